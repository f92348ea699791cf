import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Exchange } from "@tutti/coordinator";
import { TuttiError } from "@tutti/core/errors";
import { applyOverrides } from "@tutti/core/run";
import { count, duration } from "../cli/format.ts";
import { onInterrupt } from "../cli/interrupt.ts";
import type { Output } from "../cli/output.ts";
import { loadRunFile } from "../load-run.ts";
import { faultKinds } from "./faults.ts";
import { judge, lastStepCommitted, undisturbed } from "./judgement.ts";
import { faultLines, faultTable, type Round } from "./report.ts";
import { type ChaosResult, trainUnderFaults } from "./train-under-faults.ts";

export interface VerifyUnderFaultsOptions {
  readonly run: string;
  readonly set: readonly string[];
  readonly minutes: number;
  readonly seed: number;
  /** Where sums meet. */
  readonly exchange: Exchange;
  readonly json: boolean;
}

const workers = 3;

/**
 * `tutti verify --chaos`: trains on processes of this machine, to which faults happen, for so many minutes: as many runs
 * as fit, the last one cut short. Each must be, step by step and bit for bit, what one undisturbed process computes.
 *
 * @throws TuttiError BITS_DIFFER; CHAOS_FAILED if a run hung, ended, lost steps or samples, or left something behind;
 * INTERRUPTED.
 */
export async function verifyUnderFaults(options: VerifyUnderFaultsOptions, output: Output): Promise<void> {
  const { run, set, minutes, seed, exchange, json } = options;
  const { definition: loaded, directory: baseDirectory } = await loadRunFile(run);
  const definition = applyOverrides(loaded, set);
  const interrupted = new AbortController();
  const { signal } = interrupted;
  const release = onInterrupt(output, () => interrupted.abort());
  const folder = await mkdtemp(join(tmpdir(), "tutti-chaos-"));
  const startMs = performance.now();
  try {
    output.log(`seed ${seed}: a coordinator and ${workers} workers, faults for ${duration(minutes * 60_000)}`);
    const results: { readonly result: ChaosResult; readonly out: string }[] = [];
    for (let leftMs = minutes * 60_000; leftMs > 0; leftMs = minutes * 60_000 - (performance.now() - startMs)) {
      const out = join(folder, `${results.length + 1}`);
      const common = { runFile: run, set, out, workers, kinds: faultKinds, exchange, signal };
      const result = await trainUnderFaults({
        ...common,
        seed: seed + results.length,
        maxMs: leftMs,
        onFault: ({ kind, detail, step }) => output.log(`after step ${step}: ${kind}${detail && ` (${detail})`}`),
      });
      results.push({ result, out });
    }
    const steps = Math.max(...results.map(({ result }) => lastStepCommitted(result)));
    output.log(`${count(steps)} steps undisturbed, in one process, to compare with`);
    const reference = await undisturbed(definition, { baseDirectory, steps, signal });
    if (signal.aborted) throw new TuttiError("INTERRUPTED", "interrupted: nothing was proved");
    const rounds: Round[] = [];
    for (const { result, out } of results) rounds.push({ result, judgement: await judge(result, out, reference) });
    report(rounds, options, output);
  } finally {
    release();
    await rm(folder, { recursive: true, force: true });
  }
  if (json) output.json({ type: "verified", chaos: true, seed });
  else output.line("\nSame bits: weights, losses and metrics are those of an undisturbed run in one process.");
}

function report(rounds: readonly Round[], { json }: VerifyUnderFaultsOptions, output: Output): void {
  const lines = faultLines(rounds);
  for (const { result, judgement } of rounds) {
    const { seed, generations, faults, workerEnds, wallMs } = result;
    if (json)
      output.json({
        type: "chaos",
        ...{ seed, wallMs, faults, workerEnds, ...judgement },
        difference: judgement.difference ?? null,
        coordinators: generations.length,
        weightsSha256: result.done.weightsSha256,
      });
    else
      output.line(
        `seed ${seed}: ${count(judgement.steps)} steps in ${duration(wallMs)}, ${faults.length} faults, ${generations.length} coordinators, ${count(judgement.stepsAgain)} steps computed again from checkpoints`,
      );
    for (const { reason, message } of workerEnds) output.log(`a worker ended by itself: ${reason}: ${message}`);
  }
  if (json) output.json({ type: "faults", faults: lines });
  else {
    output.line();
    for (const line of faultTable(lines)) output.line(line);
  }
  for (const { result, judgement } of rounds) fail(result.seed, judgement);
}

function fail(seed: number, { difference, stepsLost, samplesLost, leftBehind, steps }: Round["judgement"]): void {
  const again = `Try again with --seed ${seed}`;
  if (difference !== undefined)
    throw new TuttiError("BITS_DIFFER", `the run under faults is not the undisturbed one: ${difference}. ${again}`);
  const found = [
    ...(steps === 0 ? ["no step was committed: give it more --minutes"] : []),
    ...(stepsLost > 0 ? [`${stepsLost} steps are missing from the metrics or in them twice`] : []),
    ...(samplesLost > 0 ? [`the metrics count ${samplesLost} samples too few or too many`] : []),
    ...(leftBehind.length > 0 ? [`left behind: ${leftBehind.join(", ")}`] : []),
  ];
  if (found.length > 0) throw new TuttiError("CHAOS_FAILED", `${found.join("; ")}. ${again}`);
}
