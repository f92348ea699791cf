import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { inlineLane, packedColumns } from "@tutti/core/engine";
import { expect, test } from "vitest";
import { bitsOf, classifierStep, compute } from "./classifier-step.ts";
import { mlpProgram } from "./mlp-program.ts";

const script = fileURLToPath(new URL("bits-script.mjs", import.meta.url));
const matrix = new URL("../../../../test/node-matrix/node_modules/", import.meta.url);
const run = promisify(execFile);

const step = classifierStep([5, 6, 5].map((samples) => mlpProgram([20, 16, 4], samples)));

/** What the script prints for `step` on that Node; it must end by itself. */
async function bitsOn(node: string): Promise<{ node: string; zeroCopy: boolean; hashes: Record<string, string> }> {
  const folder = await mkdtemp(join(tmpdir(), "tutti-engine-"));
  try {
    const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
    const { arena, parameters, programs, shards } = step;
    const input = {
      programs: programs.map((program) => ({ ...program, onnx: base64(program.onnx) })),
      parameters: base64(arena.bytes(parameters, 4 * 65_536)),
      columns: programs.map((program, shard) =>
        base64(arena.bytes(shards.get(shard)?.columns ?? 0, packedColumns(program).totalBytes)),
      ),
    };
    await writeFile(join(folder, "step.json"), JSON.stringify(input));
    const { stdout, stderr } = await run(node, [script, join(folder, "step.json")], { timeout: 30_000 });
    expect(stderr).toBe("");
    return JSON.parse(stdout);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function bitsHere(): Promise<string> {
  const lanes = await inlineLane({ arena: step.arena });
  const bits = bitsOf(step, await compute(lanes, step));
  await lanes.close();
  return bits;
}

test("lanes end with their process, and the built package gives the bits of the sources", async () => {
  const { hashes } = await bitsOn(process.execPath);
  const bits = await bitsHere();
  expect(hashes).toEqual({ inline: bits, lanes: bits, copying: bits });
});

test.each([
  ["node24", "v24."],
  ["node26", "v26."],
])("%s shares memory with the engine without copies and gives the same bits", async (name, version) => {
  const binary = fileURLToPath(new URL(`${name}/bin/node`, matrix));
  // The matrix is Linux x64 binaries from npm; elsewhere there is nothing to compare with.
  const expected = process.platform === "linux" && process.arch === "x64";
  if (!expected && !existsSync(binary)) return console.warn(`${name} is not installed: not compared`);
  const { node, zeroCopy, hashes } = await bitsOn(binary);
  expect(node).toContain(version);
  expect(zeroCopy).toBe(true);
  const bits = await bitsHere();
  expect(hashes).toEqual({ inline: bits, lanes: bits, copying: bits });
});
