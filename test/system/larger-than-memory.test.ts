import { readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runFile } from "../cli/command.ts";
import { resultOf, TuttiProcess, temporaryFolder } from "./tutti-process.ts";

const values = 3_072;

/** A .npy file (NEP 1) of uint8 [rows, 3072], no two rows alike. */
async function writeRows(path: string, rows: number): Promise<void> {
  const dictionary = `{'descr': '|u1', 'fortran_order': False, 'shape': (${rows}, ${values}), }`;
  const header = Buffer.alloc(128, " ");
  header.write("\x93NUMPY\x01\x00", 0, "latin1");
  header.writeUInt16LE(118, 8);
  header.write(`${dictionary.padEnd(117)}\n`, 10, "latin1");
  const file = await open(path, "w");
  await file.write(header);
  const block = Buffer.alloc(1_000 * values);
  for (let i = 0; i < block.length; i++) block[i] = (i * 31) >>> 3;
  for (let row = 0; row < rows; row += 1_000) {
    for (let i = 0; i < 1_000; i++) block.writeUInt32LE(row + i, i * values);
    await file.write(block.subarray(0, Math.min(1_000, rows - row) * values));
  }
  await file.close();
}

const definition = `import { data, defineRun, nn, optim } from "tutti";
const model = nn.linear(${values}, 4);
export default defineRun({
  data: { train: data.npy({ x: "rows.npy" }) },
  model,
  step: ({ x }) => ({ loss: model(x.cast("float32").div(255)).sub(0.5).pow(2).mean(1) }),
  optimizer: optim.sgd({ lr: 0.001 }), batchSize: 64, steps: 15, shards: 4, seed: 1,
});
`;

/** Trains on so many rows. @returns the most memory the process had, in bytes, and what it trained. */
async function train(rows: number, memoryMiB: number) {
  const folder = temporaryFolder();
  await writeRows(join(folder, "rows.npy"), rows);
  const run = runFile(folder, definition);
  const out = join(folder, "out");
  const process = new TuttiProcess([
    "train",
    run,
    "--out",
    out,
    "--workers",
    "0",
    "--data-memory",
    `${memoryMiB}`,
    "--json",
  ]);
  let peakBytes = 0;
  process.onEvent((event) => {
    if (event.type !== "step") return;
    const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${process.pid}/status`, "latin1")) ?? [];
    peakBytes = 1024 * Number(kibibytes);
  });
  expect(await process.end(), process.stderr).toBe(0);
  return { peakBytes, result: resultOf(process.events) };
}

test("trains on 200 MB of rows in the memory that 3 MB take, to the bits of rows kept in memory", async () => {
  const [few, many] = [1_000, 65_000];
  const small = await train(few, 8);
  const large = await train(many, 8);
  const whole = await train(many, 1_024);
  expect(large.result).toEqual(whole.result);
  expect(large.result).not.toEqual(small.result);
  const dataBytes = (many - few) * values;
  expect(large.peakBytes - small.peakBytes).toBeLessThan(0.2 * dataBytes);
  expect(whole.peakBytes - small.peakBytes).toBeGreaterThan(0.9 * dataBytes); // or this would prove nothing
});
