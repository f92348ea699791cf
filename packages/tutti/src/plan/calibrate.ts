import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { TuttiError } from "@tutti/core/errors";
import type { StepEvent } from "@tutti/core/events";
import { applyOverrides, type RunDefinition } from "@tutti/core/run";
import { measureLoopback } from "../cli/doctor/loopback.ts";
import { commandFile } from "../own-package.ts";
import { prepareRun } from "../prepare-run.ts";
import { type TrainOptions, train } from "../train.ts";
import type { Calibration } from "./predict.ts";

/** Steps that warm up, and how long is measured after them. */
const warmUpSteps = 5;
const leastSteps = 5;

/** There and back: rows and lease with the result, chunk headers with flow control, the commit. */
const messagesOfStep = 3;

export interface CalibrationOptions {
  readonly baseDirectory: string;
  /** How long to measure each of the three runs. */
  readonly measureMs: number;
  readonly signal: AbortSignal;
}

/**
 * Measures a run in three short runs of its first steps: in this process, and with one and two worker processes over loopback, as
 * workers of other machines would connect. Nothing of them is kept. Throws what training throws, and BAD_OPTION for a run that is
 * too short to be measured.
 */
export async function calibrate(definition: RunDefinition, options: CalibrationOptions): Promise<Calibration> {
  const endless = applyOverrides(definition, ["steps=1000000000"]);
  const { baseDirectory } = options;
  const prepared = await prepareRun(endless, baseDirectory);
  const { run } = prepared;
  const batch = await run.batches.read(0);
  await prepared.close();
  const alone = await measured(endless, { workers: 0, lanes: 1, baseDirectory }, 0, options);
  const one = await measured(endless, remote(1, baseDirectory), 1, options);
  const two = await measured(endless, remote(2, baseDirectory), 2, options);
  const { roundTripMs } = await measureLoopback();
  const perWorkerMs = Math.max(0, two.cpuMs - one.cpuMs);
  const baseMs = Math.max(0, one.cpuMs - perWorkerMs);
  const { sumsFloats } = run.programs.find(({ mode }) => mode === "train")!;
  return {
    shards: batch.shards.length,
    samples: batch.samples,
    sumsFloats,
    gradientFloats: run.trainable.totalFloats,
    updatedFloats: run.updated.totalFloats,
    rowBytes: batch.shards.reduce((sum, { bytes }) => sum + bytes.byteLength, 0),
    waitsForNorm: run.optimizer.needsGlobalNorm,
    computeMs: one.computeMs,
    aloneMs: alone.wallMs,
    coordinatorBaseMs: baseMs,
    coordinatorPerWorkerMs: perWorkerMs,
    messagesMs: Math.min(perWorkerMs, messagesOfStep * roundTripMs),
    updateMs: one.updateMs,
    restMs: Math.max(0, one.wallMs - one.computeMs - one.cpuMs),
  };
}

interface Measured {
  readonly wallMs: number;
  readonly computeMs: number;
  readonly updateMs: number;
  /** CPU time of this process. */
  readonly cpuMs: number;
}

function remote(workers: number, baseDirectory: string): TrainOptions {
  const token = randomBytes(32).toString("hex");
  return { listen: { host: "127.0.0.1", port: 0, token }, startWorkers: workers, baseDirectory };
}

/** Medians over the steps of a run with so many worker processes, the last batch of an epoch not counted. */
async function measured(
  definition: RunDefinition,
  options: TrainOptions,
  workers: number,
  { measureMs, signal }: CalibrationOptions,
): Promise<Measured> {
  const children: ChildProcess[] = [];
  const handle = train(definition, { ...options, signal });
  const steps: StepEvent[] = [];
  let begun: { readonly atMs: number; readonly cpu: NodeJS.CpuUsage } | undefined;
  let cpuMs = 0;
  let fullBatch = 0;
  try {
    for await (const event of handle) {
      if (event.type === "notice") {
        const url = /^listening for workers at (ws:\S+)$/.exec(event.message)?.[1];
        if (url === undefined) continue;
        const env = { ...process.env, TUTTI_TOKEN: options.listen!.token! };
        for (let i = 0; i < workers; i++)
          children.push(spawn(process.execPath, [commandFile, "worker", url], { env, stdio: "ignore" }));
      }
      if (event.type !== "step") continue;
      fullBatch = Math.max(fullBatch, event.samples);
      if (event.step <= warmUpSteps) continue;
      begun ??= { atMs: performance.now(), cpu: process.cpuUsage() };
      steps.push(event);
      const { user, system } = process.cpuUsage(begun.cpu);
      cpuMs = (user + system) / 1000 / Math.max(1, steps.length - 1);
      if (steps.length > leastSteps && performance.now() - begun.atMs >= measureMs) handle.stop();
    }
    await handle;
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }
  const whole = steps.filter(({ samples }) => samples === fullBatch).slice(1);
  if (whole.length < leastSteps - 1) {
    throw new TuttiError(
      "BAD_OPTION",
      `plan: ${steps.length} steps could be measured before the run ended (${warmUpSteps} warm up), expected at least ${leastSteps}`,
    );
  }
  const middle = (of: (step: StepEvent) => number): number =>
    whole.map(of).sort((a, b) => a - b)[Math.floor(whole.length / 2)]!;
  return {
    wallMs: middle(({ wallMs }) => wallMs),
    computeMs: middle(({ time }) => time.computeMs + time.stragglerMs),
    updateMs: middle(({ time }) => time.updateMs),
    cpuMs,
  };
}
