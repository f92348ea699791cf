import { inlineLane, openLanes, packedColumns } from "@tutti/core/engine";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { expect, test } from "vitest";
import { bitsOf, classifierStep, compute, placeColumns } from "./classifier-step.ts";
import { mlpProgram } from "./mlp-program.ts";
import { onnxBytes } from "./onnx-bytes.ts";

/** The sixteen starts of a float32 block that differ modulo 1024 bytes, among the addresses an arena gives. */
const blockStarts = Array.from({ length: 16 }, (_, index) => index * 64);

test("the engine alone gives other sums at some of the 16 float offsets: why blocks start on 64 bytes", async () => {
  const length = 1001;
  const session = await InferenceSession.create(
    onnxBytes({
      nodes: [{ type: "ReduceSum", inputs: ["x"], outputs: ["y"], ints: { keepdims: 0 } }],
      inputs: [{ name: "x", dtype: "float32", shape: [length] }],
      outputs: [{ name: "y", dtype: "float32", shape: [] }],
    }),
    { intraOpNumThreads: 1 },
  );
  const memory = new Float32Array(length + 16);
  const values = Float32Array.from({ length }, (_, i) => Math.fround(1 / (i + 1)));
  const sums = new Set<number>();
  for (let offset = 0; offset < 16; offset++) {
    memory.set(values, offset);
    const { y } = await session.run({ x: new Tensor("float32", memory.subarray(offset, offset + length), [length]) });
    sums.add(Number(y?.data[0]));
  }
  expect(sums.size).toBeGreaterThan(1);
});

test.each([true, false])(
  "gives the same bits wherever parameters and columns lie on 64 bytes (zero-copy allowed: %s)",
  async (zeroCopy) => {
    const program = mlpProgram([37, 53, 5], 7);
    const step = classifierStep([program]);
    const { arena } = step;
    const lanes = await inlineLane({ arena, zeroCopy });
    const floats = program.parameters.reduce((end, { offset, length }) => Math.max(end, offset + length), 0);
    const bits = new Set<string>();
    for (const [index, start] of blockStarts.entries()) {
      const parameters = Math.ceil(arena.allocate(4 * floats + 2048) / 1024) * 1024 + start;
      arena.floats(parameters, floats).set(arena.floats(step.parameters, floats));
      const block = Math.ceil(arena.allocate(packedColumns(program).totalBytes + 2048) / 1024) * 1024;
      const columns = placeColumns(arena, program, 0, block + (blockStarts[15 - index] ?? 0));
      const moved = {
        ...step,
        parameters,
        shards: new Map([[0, { programId: program.id, columns, firstPosition: 0 }]]),
      };
      bits.add(bitsOf(step, await compute(lanes, moved, undefined, index))); // unreleased: the sums move too
    }
    expect(bits.size).toBe(1);
    await lanes.close();
  },
);

test("gives the same bits for a shard whichever node and lane it is part of", async () => {
  const program = mlpProgram([37, 53, 5], 7);
  const step = classifierStep([program, program, program, program]);
  const lanes = await openLanes({ arena: step.arena, count: 2 });
  const rows = await Promise.all(
    [
      { lo: 0, hi: 4 },
      { lo: 2, hi: 4 },
      { lo: 3, hi: 4 },
    ].map((node) => compute(lanes, step, node)),
  );
  expect(new Set(rows.map(({ scalars }) => scalars.at(-2))).size).toBe(1);
  await lanes.close();
});
