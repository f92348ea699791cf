import { data } from "@tutti/core/data";
import { inlineLane, openLanes } from "@tutti/core/engine";
import { nn } from "@tutti/core/nn";
import { optim } from "@tutti/core/optim";
import { compileRun, defineRun } from "@tutti/core/run";
import { expect, test } from "vitest";
import { blockedProgram } from "../../src/engine/blocked-program.ts";
import { loadEngine } from "../../src/engine/runtime.ts";
import { bitsOf, classifierStep, compute } from "./classifier-step.ts";

const samples = 16;
const source = data.arrays({
  image: { dtype: "uint8", shape: [16 * 12 * 12], values: new Uint8Array(samples * 16 * 12 * 12) },
  label: { dtype: "int64", shape: [], values: new BigInt64Array(samples) },
});
const model = nn.sequential({
  conv1: nn.conv2d(16, 32, 3, { padding: 1 }),
  act1: nn.relu(),
  each: nn.conv2d(32, 32, 3, { padding: 1, groups: 32 }),
  act2: nn.relu(),
  flat: nn.flatten(),
  fc: nn.linear(32 * 12 * 12, 4),
});
const definition = defineRun({
  data: { train: source },
  model,
  step: ({ image, label }) => ({
    loss: nn.crossEntropy(model(image.cast("float32").div(255).reshape([-1, 16, 12, 12])), label),
  }),
  optimizer: optim.sgd({ lr: 0.1 }),
  batchSize: samples,
  shards: 1,
  steps: 1,
});
const compiled = compileRun(definition, { train: await source.open({ baseDirectory: "." }) });
const [program] = compiled.training.programs.values();

test("a program's own graph is of operators that any worker takes; the session's has channels in blocks", async () => {
  const has = (bytes: Uint8Array): boolean => Buffer.from(bytes).includes("com.microsoft.nchwc");
  const blocked = await blockedProgram(await loadEngine(), program!.onnx);
  expect([has(program!.onnx), has(blocked)]).toEqual([false, true]);
  expect(await blockedProgram(await loadEngine(), program!.onnx)).toEqual(blocked);
});

test("gives the same bits in blocks on any lane, copying or not, wherever parameters lie on 64 bytes", async () => {
  const step = classifierStep([program!]);
  const { arena } = step;
  const floats = program!.parameters.reduce((end, { offset, length }) => Math.max(end, offset + length), 0);
  const bits = new Set<string>();
  for (const open of [
    () => inlineLane({ arena }),
    () => inlineLane({ arena, zeroCopy: false }),
    () => openLanes({ arena, count: 1 }),
  ]) {
    const lanes = await open();
    for (const start of [0, 64, 448]) {
      const parameters = Math.ceil(arena.allocate(4 * floats + 2048) / 1024) * 1024 + start;
      arena.floats(parameters, floats).set(arena.floats(step.parameters, floats));
      bits.add(bitsOf(step, await compute(lanes, { ...step, parameters }, undefined, start + 1)));
    }
    await lanes.close();
  }
  expect(bits.size).toBe(1);
});
