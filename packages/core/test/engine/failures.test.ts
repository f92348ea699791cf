import { createHash } from "node:crypto";
import { inlineLane, type Lanes, openLanes } from "@tutti/core/engine";
import { Arena } from "@tutti/core/memory";
import type { ShardProgram } from "@tutti/core/step";
import { expect, test } from "vitest";
import { bitsOf, classifierStep, compute } from "./classifier-step.ts";
import { mlpProgram } from "./mlp-program.ts";
import { onnxBytes } from "./onnx-bytes.ts";

/** Looks up table[index], which the engine refuses for an index out of range: compiles, and fails on bad data only. */
function lookupProgram(): ShardProgram {
  const onnx = onnxBytes({
    nodes: [{ type: "Gather", inputs: ["table", "index"], outputs: ["row"] }],
    inputs: [
      { name: "index", dtype: "int64", shape: [1] },
      { name: "table", dtype: "float32", shape: [4] },
    ],
    outputs: [{ name: "row", dtype: "float32", shape: [1] }],
  });
  return {
    id: createHash("sha256").update(onnx).digest("hex"),
    mode: "train",
    samples: 1,
    columns: [{ name: "index", dtype: "int64", shape: [1] }],
    parameters: [{ name: "table", shape: [4], offset: 0, length: 4 }],
    sums: [],
    randoms: [],
    sumsFloats: 0,
    scalars: { name: "row", length: 1 },
    collects: [],
    onnx,
  };
}

async function bothKinds(arena: Arena, check: (lanes: Lanes) => Promise<void>): Promise<void> {
  for (const lanes of [await inlineLane({ arena }), await openLanes({ arena, count: 2 })]) {
    await check(lanes);
    await lanes.close();
  }
}

test("a shard that fails to run is ENGINE_FAILED with the engine's words, and the lane computes on", async () => {
  const arena = new Arena();
  const program = lookupProgram();
  const parameters = arena.allocate(64);
  arena.floats(parameters, 4).set([5, 6, 7, 8]);
  const columns = [2n, 3n, 99n, 0n].map((index) => {
    const address = arena.allocate(8);
    new BigInt64Array(arena.memory.buffer, address, 1)[0] = index;
    return address;
  });
  const shards = new Map(
    columns.map((address, shard) => [shard, { programId: program.id, columns: address, firstPosition: 0 }]),
  );
  await bothKinds(arena, async (lanes) => {
    await lanes.load(program);
    const task = { shards, parameters, generation: 1, seed: 0, step: 0 };
    await expect(lanes.compute({ ...task, node: { lo: 0, hi: 4 } })).rejects.toMatchObject({
      name: "TuttiError",
      code: "ENGINE_FAILED",
      message: expect.stringMatching(/indices element out of data bounds, idx=99/),
      details: { programId: program.id },
    });
    const good = await lanes.compute({ ...task, node: { lo: 0, hi: 2 } });
    expect([...good.scalars]).toEqual([7, 8]);
    good.release();
  });
});

test("a program that does not compile is ENGINE_FAILED, and can be asked for again", async () => {
  const program = { ...mlpProgram([4, 3], 2), onnx: new Uint8Array([1, 2, 3]) };
  await bothKinds(new Arena(), async (lanes) => {
    const failure = { code: "ENGINE_FAILED", message: expect.stringContaining("does not compile") };
    await expect(lanes.load(program)).rejects.toMatchObject(failure);
    await expect(lanes.load(program)).rejects.toMatchObject(failure);
  });
});

test.each([
  [
    "another size of an input",
    { parameters: [{ name: "fc0.weight", shape: [3, 5], offset: 0, length: 15 }] },
    /fc0.weight is float32\[3,4\], the manifest says float32\[3,5\]/,
  ],
  [
    "another dtype of a column",
    { columns: [{ name: "image", dtype: "int8", shape: [2, 4] }] },
    /image is uint8\[2,4\], the manifest says int8\[2,4\]/,
  ],
  [
    "an output that is not there",
    { collects: [{ name: "logits", dtype: "float32", shape: [2, 3] }] },
    /logits is not in the graph/,
  ],
  [
    "a view longer than its tensor",
    { sums: [{ name: "d:fc0.weight", shape: [3, 4], offset: 0, length: 16 }] },
    /d:fc0.weight has 12 elements, the manifest gives it 16/,
  ],
  [
    "a view off the 64 bytes",
    { sums: [{ name: "d:fc0.weight", shape: [3, 4], offset: 8, length: 12 }] },
    /d:fc0.weight lies at float 8/,
  ],
  [
    "a view outside of the sums",
    { sums: [{ name: "d:fc0.weight", shape: [3, 4], offset: 32, length: 12 }] },
    /d:fc0.weight ends at float 44 of 32/,
  ],
] as const)("a manifest that names %s is refused", async (_, change, message) => {
  const program = mlpProgram([4, 3], 2);
  const wrong: ShardProgram = {
    ...program,
    parameters: "parameters" in change ? [...change.parameters, ...program.parameters.slice(1)] : program.parameters,
    columns: "columns" in change ? [...change.columns, ...program.columns.slice(1)] : program.columns,
    sums: "sums" in change ? [...change.sums, ...program.sums.slice(1)] : program.sums,
    collects: "collects" in change ? change.collects : program.collects,
  };
  await bothKinds(new Arena(), async (lanes) => {
    await expect(lanes.load(wrong)).rejects.toMatchObject({
      code: "ENGINE_FAILED",
      message: expect.stringMatching(message),
    });
  });
});

test("a shard that was not given and a program that was not loaded are named", async () => {
  const step = classifierStep([mlpProgram([4, 3], 2)]);
  const lanes = await inlineLane({ arena: step.arena });
  const task = { parameters: step.parameters, generation: 0, shards: step.shards, seed: 0, step: 0 };
  await expect(lanes.compute({ ...task, node: { lo: 0, hi: 1 } })).rejects.toThrow(
    /shard 0 needs program .* not loaded/,
  );
  await compute(lanes, step);
  await expect(lanes.compute({ ...task, node: { lo: 0, hi: 2 } })).rejects.toThrow(/shard 1 was not given/);
  await lanes.close();
});

test("programs whose sums lie differently are not added", async () => {
  const step = classifierStep([mlpProgram([4, 3], 2), mlpProgram([40, 3], 2)]);
  const lanes = await inlineLane({ arena: step.arena });
  await expect(compute(lanes, step)).rejects.toMatchObject({
    code: "INTERNAL",
    message: expect.stringMatching(/shards 0 and 1/),
  });
  await lanes.close();
});

test("an abort ends what runs and what waits with the signal's reason, and leaves the lanes as they were", async () => {
  const step = classifierStep(Array.from({ length: 8 }, () => mlpProgram([20, 16, 4], 5)));
  const lanes = await openLanes({ arena: step.arena, count: 2 });
  const expected = bitsOf(step, await compute(lanes, step));
  const controller = new AbortController();
  const task = {
    node: { lo: 0, hi: 8 },
    shards: step.shards,
    parameters: step.parameters,
    generation: 0,
    seed: 0,
    step: 0,
  };
  const aborted = Array.from({ length: 5 }, () => lanes.compute({ ...task, abort: controller.signal }));
  const kept = lanes.compute(task);
  controller.abort(new Error("a new step began"));
  for (const outcome of await Promise.allSettled(aborted)) {
    expect(outcome).toMatchObject({ status: "rejected", reason: { message: "a new step began" } });
  }
  await expect(lanes.compute({ ...task, abort: controller.signal })).rejects.toThrow("a new step began");
  expect(bitsOf(step, await kept)).toBe(expected);
  expect(bitsOf(step, await lanes.compute(task))).toBe(expected);
  await lanes.close();
});

test("close waits for what is under way, and later calls are refused", async () => {
  const step = classifierStep(Array.from({ length: 4 }, () => mlpProgram([20, 16, 4], 5)));
  const lanes = await openLanes({ arena: step.arena, count: 2 });
  await compute(lanes, step);
  const task = {
    node: { lo: 0, hi: 4 },
    shards: step.shards,
    parameters: step.parameters,
    generation: 0,
    seed: 0,
    step: 0,
  };
  const underWay = [lanes.compute(task), lanes.compute(task), lanes.compute(task)];
  const closing = lanes.close();
  await expect(lanes.compute(task)).rejects.toThrow(/closed/);
  await closing;
  const bits = underWay.map(async (result) => bitsOf(step, await result));
  expect(new Set(await Promise.all(bits)).size).toBe(1);
});

test.each([0, 1.5, -1])("%d lanes are refused", async (count) => {
  await expect(openLanes({ arena: new Arena(), count })).rejects.toMatchObject({ code: "BAD_OPTION" });
});
