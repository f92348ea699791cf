// Prints what examples/char-gpt.ts writes: a sample from each checkpoint of a run as it appears, and from the finished
// model, with which it ends. Usage: node examples/char-gpt-sample.mjs [runs/char-gpt]
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { InferenceSession, Tensor } from "onnxruntime-node";

const run = process.argv[2] ?? "runs/char-gpt";
const prompt = "The whale ";
const characters = 300;
const temperature = 0.7;
// As in char-gpt.ts.
const context = 64;
const symbols = 96;

const tutti = join(dirname(createRequire(import.meta.url).resolve("tutti")), "../bin/tutti.js");
const codeOf = (character) => (character === "\n" ? symbols - 1 : character.charCodeAt(0) - 32);
const characterOf = (code) => (code === symbols - 1 ? "\n" : String.fromCharCode(code + 32));

/** An index by the probabilities softmax(logits / temperature). */
function draw(logits) {
  const largest = Math.max(...logits);
  const weights = Array.from(logits, (logit) => Math.exp((logit - largest) / temperature));
  let rest = Math.random() * weights.reduce((sum, weight) => sum + weight, 0);
  const index = weights.findIndex((weight) => {
    rest -= weight;
    return rest < 0;
  });
  return index < 0 ? weights.length - 1 : index;
}

async function sample(model) {
  const session = await InferenceSession.create(model);
  const codes = Array.from(prompt, codeOf);
  while (codes.length < characters) {
    // A character does not see those after it, so that it does not matter what fills the rest.
    const seen = codes.slice(-context);
    const text = new Tensor(
      "uint8",
      Uint8Array.from({ length: context }, (_, i) => seen[i] ?? 0),
      [1, context],
    );
    const { logits } = await session.run({ text });
    codes.push(draw(logits.data.subarray((seen.length - 1) * symbols, seen.length * symbols)));
  }
  await session.release();
  return codes.map(characterOf).join("");
}

const folder = mkdtempSync(join(tmpdir(), "char-gpt-"));
const exported = join(folder, "model.onnx");
const shown = new Set();
try {
  for (;;) {
    const isFinished = existsSync(join(run, "model.onnx"));
    const checkpoints = existsSync(join(run, "checkpoints")) ? readdirSync(join(run, "checkpoints")) : [];
    for (const name of checkpoints.sort()) {
      if (!/^step-\d+\.safetensors$/.test(name) || shown.has(name)) continue;
      shown.add(name);
      execFileSync(process.execPath, [tutti, "export", join(run, "checkpoints", name), "--onnx", exported]);
      console.log(`— ${name} —\n${await sample(exported)}\n`);
    }
    if (isFinished) break;
    await setTimeout(1_000);
  }
} finally {
  rmSync(folder, { recursive: true });
}
