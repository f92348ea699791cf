import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunEvent, StepEvent, ValidationEvent } from "@tutti/core/events";
import type { RunDefinition } from "@tutti/core/run";
import { train } from "../train.ts";
import type { ChaosResult } from "./train-under-faults.ts";

/** A run that nothing happened to, step by step. */
export interface Undisturbed {
  readonly steps: readonly StepEvent[];
  readonly validations: ReadonlyMap<number, ValidationEvent>;
}

/** What became of a run under faults, measured against an undisturbed one. */
export interface Judgement {
  readonly steps: number;
  /** Steps that the metrics lack, or hold more than once. */
  readonly stepsLost: number;
  /** Samples that the metrics count too few or too many. */
  readonly samplesLost: number;
  /** Steps that were committed again by a later coordinator, from the last checkpoint. */
  readonly stepsAgain: number;
  /** Where weights, a loss, a norm or a metric first differ; undefined if nowhere. */
  readonly difference: string | undefined;
  /** Processes and files left behind, and coordinators admitted beside another, in words. */
  readonly leftBehind: readonly string[];
}

/** Trains in this process, on one thread, keeping no files. */
export async function undisturbed(
  definition: RunDefinition,
  options: { readonly baseDirectory: string; readonly steps: number; readonly signal?: AbortSignal },
): Promise<Undisturbed> {
  const { baseDirectory, steps: maxSteps, signal } = options;
  const handle = train(definition, {
    baseDirectory,
    maxSteps,
    workers: 0,
    hashEveryStep: true,
    ...(signal === undefined ? {} : { signal }),
  });
  const steps: StepEvent[] = [];
  const validations = new Map<number, ValidationEvent>();
  for await (const event of handle) {
    if (event.type === "step") steps.push(event);
    if (event.type === "validation") validations.set(event.step, event);
  }
  await handle;
  return { steps, validations };
}

/**
 * The last step that any coordinator of the run has committed, which the reference must reach: one that was killed may have got
 * further than the one after it, if that was stopped for want of time.
 */
export function lastStepCommitted({ generations }: Pick<ChaosResult, "generations">): number {
  return generations.flat().reduce((last, event) => (event.type === "step" ? Math.max(last, event.step) : last), 0);
}

/** @param reference at least up to `lastStepCommitted`. @param out the output directory of the run under faults. */
export async function judge(result: ChaosResult, out: string, reference: Undisturbed): Promise<Judgement> {
  const events = result.generations.flat();
  const { steps } = result.done;
  const committed = events.flatMap((event) => (event.type === "step" ? [event.step] : []));
  const expectedSamples = reference.steps.slice(0, steps).reduce((sum, { samples }) => sum + samples, 0);
  const recorded = await recordedSteps(out);
  const recordedSamples = recorded.reduce((sum, { samples }) => sum + samples, 0);
  const distinct = new Set(recorded.map(({ step }) => step));
  return {
    steps,
    stepsLost: steps - distinct.size + (recorded.length - distinct.size),
    samplesLost: Math.abs(expectedSamples - recordedSamples),
    stepsAgain: committed.length - new Set(committed).size,
    difference: firstDifference(result, events, reference),
    leftBehind: [
      ...result.workersLeft.map((worker) => `a ${worker}, which did not end with the run`),
      ...(result.rivalsAdmitted > 0 ? [`${result.rivalsAdmitted} coordinators were let into a used directory`] : []),
      ...(await strayFiles(out)).map((path) => `the file ${path}`),
    ],
  };
}

/** Every generation is held to the reference, also for the steps that a later one computed again. */
function firstDifference(
  result: ChaosResult,
  events: readonly RunEvent[],
  { steps, validations }: Undisturbed,
): string | undefined {
  for (const event of events) {
    const expected =
      event.type === "step"
        ? steps[event.step - 1]
        : event.type === "validation"
          ? validations.get(event.step)
          : undefined;
    if (event.type !== "step" && event.type !== "validation") continue;
    const [left, right] = [figures(event), expected === undefined ? "nothing" : figures(expected)];
    if (left !== right) return `${event.type} of step ${event.step}: ${left}, expected ${right}`;
  }
  const { weightsSha256, steps: done } = result.done;
  const expected = steps[done - 1]?.weightsSha256;
  return weightsSha256 === expected
    ? undefined
    : `weights after step ${done}: SHA-256 ${weightsSha256}, expected ${expected}`;
}

/** What must be equal, as `--json` writes it: JSON's decimals stand for exactly one double each. */
function figures(event: StepEvent | ValidationEvent): string {
  const { step, epoch, loss, metrics, samples } = event;
  const ofSteps = event.type === "step" ? { gradientNorm: event.gradientNorm, lr: event.lr } : {};
  const plain = (_: string, value: unknown): unknown =>
    typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
  return JSON.stringify({ step, epoch, loss, metrics, samples, ...ofSteps }, plain);
}

async function recordedSteps(out: string): Promise<readonly { step: number; samples: number }[]> {
  const lines = (await readFile(join(out, "metrics.jsonl"), "utf8")).split("\n").filter((line) => line !== "");
  return lines
    .map((line) => JSON.parse(line) as { type: string; step: number; samples: number })
    .filter(({ type }) => type === "step");
}

/** Files that a run that is over should not have left: locks, drafts. */
async function strayFiles(out: string): Promise<readonly string[]> {
  const expected = /^(metrics\.jsonl|model\.onnx|checkpoints(\/(step-\d{8}|best)\.safetensors)?)$/;
  const paths = await readdir(out, { recursive: true });
  return paths.map((path) => path.replaceAll("\\", "/")).filter((path) => !expected.test(path));
}
