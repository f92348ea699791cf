import { TuttiError } from "@tutti/core/errors";
import type { RunDefinition } from "@tutti/core/run";
import { type TrainOptions, train } from "../../train.ts";
import type { TrainResult } from "../../training-handle.ts";

/** What one worker count gave. */
export interface Trace {
  readonly workers: number;
  readonly shards: number;
  /** One for each step, in order. */
  readonly steps: readonly { readonly weightsSha256: string; readonly loss: number }[];
  /** Training leases answered by each worker, in the order they joined; empty without worker processes. */
  readonly leases: readonly number[];
  readonly wallMs: number;
}

export type TraceOptions = Pick<TrainOptions, "baseDirectory" | "lanes" | "exchange" | "signal" | "log"> & {
  readonly workers: number;
  readonly maxSteps: number;
};

/** Trains the first steps of a run, keeping nothing but their traces. Throws INTERRUPTED and what training throws. */
export async function trace(
  definition: RunDefinition,
  options: TraceOptions,
): Promise<{ trace: Trace; result: TrainResult }> {
  const { workers, maxSteps, signal } = options;
  const handle = train(definition, { ...options, hashEveryStep: true });
  const steps: { weightsSha256: string; loss: number }[] = [];
  let shards = 0;
  for await (const event of handle) {
    if (event.type === "run") shards = event.shards;
    if (event.type === "step") steps.push({ weightsSha256: event.weightsSha256 ?? "", loss: event.loss });
  }
  const result = await handle;
  if (signal?.aborted)
    throw new TuttiError(
      "INTERRUPTED",
      `interrupted after ${result.done.steps} of ${maxSteps} steps with ${workers} workers: nothing was proved`,
    );
  const leases = workers === 0 ? [] : result.done.workers.map((worker) => worker.leases);
  return { trace: { workers, shards, steps, leases, wallMs: result.done.wallMs }, result };
}

/** The first step (from 1) after which two traces are not the same bits; undefined if they agree to the end. */
export function firstDifference(a: Trace, b: Trace): number | undefined {
  const length = Math.max(a.steps.length, b.steps.length);
  for (let i = 0; i < length; i++) {
    const [left, right] = [a.steps[i], b.steps[i]];
    if (left?.weightsSha256 !== right?.weightsSha256 || !Object.is(left?.loss, right?.loss)) return i + 1;
  }
  return undefined;
}

/** Throws WORKER_IDLE if fewer workers computed than there were shards for. */
export function checkAllWorked({ workers, shards, leases }: Trace): void {
  const busy = leases.filter((count) => count > 0).length;
  const expected = Math.min(workers, shards);
  if (busy >= expected) return;
  throw new TuttiError(
    "WORKER_IDLE",
    `of ${workers} workers and ${shards} shards a step, expected ${expected} workers to compute, found ${busy} (leases answered: ${leases.join(", ")})`,
  );
}

/** Where two results' parameters first differ, in layout order: "fc1.weight[17]: 0.25 and 0.2500001"; undefined if nowhere. */
export function firstDifferingParameter(a: TrainResult, b: TrainResult): string | undefined {
  for (const [name, left] of a.parameters) {
    const right = b.parameters.get(name);
    for (let i = 0; i < left.length; i++) {
      if (!Object.is(left[i], right?.[i])) return `${name}[${i}]: ${left[i]} and ${right?.[i]}`;
    }
  }
  return undefined;
}
