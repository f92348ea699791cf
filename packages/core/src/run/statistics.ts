import { TuttiError } from "../errors/index.ts";
import type { GraphCopy, Tensor } from "../graph/index.ts";
import type { ProgramView, RunningStatistics } from "../step/index.ts";
import type { ParameterLayout } from "./parameters.ts";
import type { Trace } from "./trace.ts";

/** A tensor of sums over the shard, and its place. */
export interface SumOutput {
  readonly view: ProgramView;
  readonly tensor: Tensor;
}

/**
 * For each buffer that follows statistics, Σ(x−r) or Σ(x−r)² over the shard, r being the running mean; over all calls of a
 * module that is called more than once.
 *
 * @throws TuttiError SHAPE_MISMATCH for a shard with fewer than 2 values per channel.
 */
export function statisticOutputs(
  trace: Trace,
  map: GraphCopy["map"],
  layout: ParameterLayout,
  samples: number,
): readonly SumOutput[] {
  const outputs = new Map<string, SumOutput>();
  const add = (path: string, tensor: Tensor): void => {
    const entry = layout.buffers.find(({ name }) => name === path)!;
    const before = outputs.get(path);
    const view = { ...entry, name: `statistics:${path}` };
    outputs.set(path, { view, tensor: before === undefined ? tensor : before.tensor.add(tensor) });
  };
  for (const { module, buffers, mean, variance, valuesPerSample } of trace.statistics) {
    const prefix = module === "" ? "" : `${module}.`;
    const values = samples * valuesPerSample;
    if (values < 2) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${module === "" ? "model" : module}: a shard of ${samples} sample gives 1 value per channel, which has no variance: lower \`shards\`, raise \`batchSize\`, or set lastBatch: "drop"`,
      );
    }
    const { graph } = map[mean.id]!;
    const id = graph.inputs.get(prefix + buffers.mean);
    const running = id === undefined ? graph.input("buffer", prefix + buffers.mean, map[mean.id]!) : graph.tensor(id);
    const shift = map[mean.id]!.sub(running);
    // About any r: Σ(x−r) = n·(μ−r), Σ(x−r)² = n·(σ² + (μ−r)²).
    add(prefix + buffers.mean, shift.mul(values));
    add(prefix + buffers.variance, map[variance.id]!.add(shift.mul(shift)).mul(values));
  }
  return [...outputs.values()];
}

/** How the buffers of a trace's modules follow from a step's sums, by the layout. */
export function runningStatistics({ statistics }: Trace, { buffers }: ParameterLayout): readonly RunningStatistics[] {
  const found = new Map<string, RunningStatistics>();
  for (const { module, buffers: names, valuesPerSample, momentum } of statistics) {
    const prefix = module === "" ? "" : `${module}.`;
    const [mean, variance] = [names.mean, names.variance].map(
      (name) => buffers.find((entry) => entry.name === prefix + name)!,
    );
    const before = found.get(module)?.valuesPerSample ?? 0;
    found.set(module, {
      name: module === "" ? "model" : module,
      mean: mean!.offset,
      variance: variance!.offset,
      length: mean!.length,
      momentum,
      valuesPerSample: before + valuesPerSample,
    });
  }
  return [...found.values()];
}
