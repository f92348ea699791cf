import { data } from "@tutti/core/data";
import { inlineLane, numericClass } from "@tutti/core/engine";
import { computeMemory } from "@tutti/core/kernels";
import { nn } from "@tutti/core/nn";
import { optim } from "@tutti/core/optim";
import { defineRun } from "@tutti/core/run";
import { prepareRun } from "../../prepare-run.ts";

/**
 * The numeric class of a small model that never changes: machines that print the same one should round alike. A run
 * pins the class of its own programs.
 */
export async function referenceClass(): Promise<string> {
  const memory = computeMemory();
  const { arena } = memory;
  const lanes = await inlineLane({ arena });
  const prepared = await prepareRun(referenceRun(), ".");
  try {
    const { run } = prepared;
    for (const program of run.programs) await lanes.load(program);
    const programs = run.canaries.map(({ program, bytes }) => {
      const columns = arena.allocate(Math.max(64, bytes.byteLength));
      arena.bytes(columns, bytes.byteLength).set(bytes);
      return { program: run.programs.find(({ id }) => id === program)!, columns };
    });
    const parameters = arena.allocate(4 * run.layout.totalFloats);
    return await numericClass({ lanes, memory, programs, parameters, generation: 1 });
  } finally {
    await prepared.close();
    await lanes.close();
  }
}

function referenceRun() {
  const features = 100;
  const samples = 32;
  const values = Float32Array.from({ length: samples * features }, (_, i) => ((i * 7919) % 1009) / 1009 - 0.5);
  const label = Int32Array.from({ length: samples }, (_, i) => (i * 31) % 10);
  const model = nn.sequential({ hidden: nn.linear(features, 64), act: nn.tanh(), out: nn.linear(64, 10) });
  return defineRun({
    data: { train: data.arrays({ x: { dtype: "float32", shape: [features], values }, label }) },
    model,
    step: ({ x, label: target }) => ({ loss: nn.crossEntropy(model(x), target) }),
    optimizer: optim.sgd({ lr: 0.1 }),
    batchSize: samples,
    shards: 1,
  });
}
