import type { Dataset, Preparation } from "../data/index.ts";
import { TuttiError } from "../errors/index.ts";
import { sameShape, shapeToString } from "../graph/index.ts";
import type { ModuleTree } from "../nn/module-tree.ts";
import type { RunDefinition } from "./definition.ts";
import { type Trace, traceStep } from "./trace.ts";

/** The step function in one mode, traced for every length that sequences are padded to. */
export interface Traces {
  /** The trace that names, metrics and exports are taken from: that of the longest. */
  readonly main: Trace;
  /** @param length one of the data set's lengths; undefined where all rows have one shape. */
  at(length: number | undefined): Trace;
}

/**
 * Traces the step function once for each length of the data.
 *
 * @throws TuttiError what `traceStep` throws; SHAPE_MISMATCH where results that belong to the whole run would depend on the
 *   length that a batch happens to be padded to.
 */
export function traceLengths(
  definition: RunDefinition,
  tree: ModuleTree,
  { columns, sequences }: Dataset,
  preparation: Preparation,
  training: boolean,
): Traces {
  const main = traceStep(definition, tree, columns, preparation, training);
  if (sequences === undefined) return { main, at: () => main };
  const traces = new Map<number | undefined, Trace>();
  for (const length of sequences.lengths) {
    const trace = traceStep(definition, tree, sequences.paddedTo(length).columns, preparation, training);
    requireSameMetrics(main, trace, length);
    requireSameStatistics(main, trace, length);
    traces.set(length, trace);
  }
  return {
    main,
    at(length) {
      const trace = traces.get(length);
      if (trace === undefined) throw new TuttiError("INTERNAL", `no trace for sequences of length ${length}`);
      return trace;
    },
  };
}

function requireSameMetrics(main: Trace, other: Trace, length: number): void {
  const names = (trace: Trace): string => Object.keys(trace.metrics).join(", ");
  if (names(main) !== names(other)) {
    throw new TuttiError(
      "BAD_RUN_FILE",
      `step: its metrics depend on the length of the sequences: ${names(main)}; padded to ${length}: ${names(other)}`,
    );
  }
  for (const [name, metric] of Object.entries(main.metrics)) {
    const found = other.metrics[name]!;
    if (metric.kind === "sums" && found.kind === "sums" && metric.length === found.length) continue;
    if (metric.kind !== "collect" || found.kind !== "collect") throw dependsOnLength(`metrics.${name}`, length);
    for (const [column, { shape }] of Object.entries(metric.columns)) {
      const now = found.columns[column]?.shape;
      if (now !== undefined && sameShape(shape, now)) continue;
      const was = `${column} is ${shapeToString(shape)}, ${now === undefined ? "absent" : shapeToString(now)}`;
      throw dependsOnLength(`metrics.${name}: ${was}`, length);
    }
  }
}

function requireSameStatistics(main: Trace, other: Trace, length: number): void {
  for (const [i, { module, valuesPerSample }] of main.statistics.entries()) {
    if (other.statistics[i]?.valuesPerSample === valuesPerSample) continue;
    throw dependsOnLength(
      `${module === "" ? "model" : module}: batch statistics over ${valuesPerSample} values`,
      length,
    );
  }
}

function dependsOnLength(what: string, length: number): TuttiError {
  return new TuttiError(
    "SHAPE_MISMATCH",
    `${what} when sequences are padded to ${length}: it must not depend on the padding; reduce over the sequence, with the mask, first`,
  );
}
