// Prints what the trained model writes after "The ": node write.js [CHARACTERS]
import { openModel } from "tutti";

const context = 32; // as in run.ts
const symbols = 96;
const characters = Number(process.argv[2] ?? 300);
const codeOf = (character) => character.charCodeAt(0) - 32;

/** An index, by the probabilities that the logits stand for. */
function draw(logits) {
  const largest = Math.max(...logits);
  const weights = Array.from(logits, (logit) => Math.exp((logit - largest) / 0.7));
  let rest = Math.random() * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [index, weight] of weights.entries()) {
    rest -= weight;
    if (rest < 0) return index;
  }
  return 0;
}

const model = await openModel("runs/run");
const written = Array.from("The ", codeOf);
while (written.length < characters) {
  const seen = written.slice(-context);
  // A character does not see those after it, so that it does not matter what fills the rest.
  const text = Uint8Array.from({ length: context }, (_, i) => seen[i] ?? 0);
  const { logits } = await model.predict({ text });
  written.push(draw(logits.values.subarray((seen.length - 1) * symbols, seen.length * symbols)));
}
await model.close();
console.log(written.map((code) => (code === symbols - 1 ? "\n" : String.fromCharCode(code + 32))).join(""));
