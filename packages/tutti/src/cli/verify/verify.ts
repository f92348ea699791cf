import type { Exchange } from "@tutti/coordinator";
import { TuttiError } from "@tutti/core/errors";
import { applyOverrides, type RunDefinition } from "@tutti/core/run";
import { loadRunFile } from "../../load-run.ts";
import { duration, table } from "../format.ts";
import { onInterrupt } from "../interrupt.ts";
import type { Output } from "../output.ts";
import { compareShardings, mixesSamples, type ShardingComparison } from "./compare-shardings.ts";
import {
  checkAllWorked,
  firstDifference,
  firstDifferingParameter,
  type Trace,
  type TraceOptions,
  trace,
} from "./traces.ts";

export interface VerifyOptions {
  readonly run: string;
  readonly set: readonly string[];
  /** Worker counts. */
  readonly workers: readonly number[];
  readonly lanes: number;
  /** Where sums meet, with several workers. */
  readonly exchange: Exchange;
  readonly steps: number;
  readonly json: boolean;
}

/**
 * `tutti verify`: trains the same steps with each worker count and compares the weights after every one.
 * Throws BITS_DIFFER, WORKER_IDLE, MIXES_SAMPLES.
 */
export async function verify(options: VerifyOptions, output: Output): Promise<void> {
  const { workers, lanes, exchange, steps, json } = options;
  const { definition: loaded, directory } = await loadRunFile(options.run);
  const definition = applyOverrides(loaded, options.set);
  const interrupted = new AbortController();
  const release = onInterrupt(output, () => interrupted.abort());
  try {
    const sharding = await compareShardings(definition, directory);
    if (!json) sayShardings(sharding, output);
    const common = {
      baseDirectory: directory,
      lanes,
      exchange,
      signal: interrupted.signal,
      log: (line: string) => output.log(line),
    };
    const traces: Trace[] = [];
    for (const count of workers) {
      const { trace: found } = await trace(definition, { ...common, workers: count, maxSteps: steps });
      traces.push(found);
      if (json) output.json(lineOf(found, traces[0]!));
      else
        output.log(
          `${count} ${count === 1 ? "worker" : "workers"}: ${found.steps.length} steps in ${duration(found.wallMs)}`,
        );
    }
    if (!json) for (const line of tableOf(traces)) output.line(line);
    for (const found of traces) {
      const step = firstDifference(traces[0]!, found);
      if (step !== undefined)
        throw await difference(definition, { ...common, maxSteps: step }, traces[0]!.workers, found.workers);
    }
    for (const found of traces) checkAllWorked(found);
    const last = traces[0]!.steps.at(-1);
    if (json)
      output.json({
        type: "verified",
        workers,
        steps: traces[0]!.steps.length,
        shards: traces[0]!.shards,
        weightsSha256: last?.weightsSha256 ?? "",
        sharding: sharding ?? null,
      });
    else
      output.line(
        `\nSame bits: weights and loss are equal after each of ${traces[0]!.steps.length} steps on ${workers.join(", ")} workers.`,
      );
  } finally {
    release();
  }
}

function sayShardings(sharding: ShardingComparison | undefined, output: Output): void {
  if (sharding === undefined) return;
  const { relative, parameter, perShard } = sharding;
  const [own, other] = sharding.shards.map((shards) => (shards === 1 ? "1 shard" : `${shards} shards`));
  const verdict = mixesSamples(sharding)
    ? `it mixes samples, as nn.perShard declares${placesOf(perShard)}: the result depends on the number of shards, never on workers`
    : "no samples are mixed";
  output.log(
    `first gradient at ${own} and at ${other}: differs by ${relative.toExponential(1)} of its size (${parameter}); ${verdict}`,
  );
}

/** " in bn1, bn2": the modules, if it was in modules. */
function placesOf(scopes: readonly string[]): string {
  const named = [...new Set(scopes)].filter((scope) => scope !== "");
  return named.length === 0 ? "" : ` in ${named.join(", ")}`;
}

/** Trains both again up to the step, to see which parameter it was. */
async function difference(
  definition: RunDefinition,
  options: Omit<TraceOptions, "workers">,
  a: number,
  b: number,
): Promise<TuttiError> {
  const { result: left } = await trace(definition, { ...options, workers: a });
  const { result: right } = await trace(definition, { ...options, workers: b });
  const parameter = firstDifferingParameter(left, right);
  const where =
    parameter === undefined
      ? "trained again, they agree, so the arithmetic itself is not repeatable on this machine"
      : `first in ${parameter}`;
  return new TuttiError(
    "BITS_DIFFER",
    `step ${options.maxSteps}: ${a} and ${b} workers give different weights or losses; ${where}`,
    { step: options.maxSteps, parameter },
  );
}

function lineOf(found: Trace, first: Trace) {
  const { workers, shards, leases, wallMs, steps } = found;
  return {
    type: "verify",
    ...{ workers, shards, leases, wallMs },
    weightsSha256: steps.map((step) => step.weightsSha256),
    loss: steps.map((step) => step.loss),
    firstDifference: firstDifference(first, found) ?? null,
  };
}

function tableOf(traces: readonly Trace[]): readonly string[] {
  const steps = traces[0]!.steps.length;
  const short = (found: Trace, step: number): string => found.steps[step - 1]?.weightsSha256.slice(0, 16) ?? "–";
  return table([
    ["workers", "leases of each", "weights after step 1", `after step ${steps}`, "loss", "compared with the first"],
    ...traces.map((found) => {
      const step = firstDifference(traces[0]!, found);
      const verdict = step === undefined ? "equal after every step" : `DIFFERS from step ${step} on`;
      return [
        String(found.workers),
        found.leases.join(" ") || "–",
        short(found, 1),
        short(found, steps),
        String(found.steps.at(-1)?.loss),
        verdict,
      ];
    }),
  ]);
}
