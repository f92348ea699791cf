import { applyOverrides } from "@tutti/core/run";
import { byteSize, count, duration, table } from "../cli/format.ts";
import { onInterrupt } from "../cli/interrupt.ts";
import type { Output } from "../cli/output.ts";
import { loadRunFile } from "../load-run.ts";
import { calibrate } from "./calibrate.ts";
import {
  type Calibration,
  type PlannedCompression,
  type PlannedExchange,
  type Prediction,
  predict,
} from "./predict.ts";

export interface PlanOptions {
  readonly run: string;
  readonly set: readonly string[];
  readonly workers: readonly number[];
  readonly lanes: number;
  readonly bytesPerSecond: number;
  readonly latencyMs: number;
  readonly exchange: readonly PlannedExchange[];
  readonly compress: readonly PlannedCompression[];
  readonly measureMs: number;
  readonly json: boolean;
}

/** `tutti plan`: measures a few steps here, then predicts them on clusters. Throws what loading and training throw. */
export async function plan(options: PlanOptions, output: Output): Promise<void> {
  const { definition, directory } = await loadRunFile(options.run);
  const interrupted = new AbortController();
  const release = onInterrupt(output, () => interrupted.abort());
  try {
    const { measureMs, json } = options;
    if (!json) output.log(`measuring three runs on this machine, about ${duration(3 * measureMs)} and their starts`);
    const calibration = await calibrate(applyOverrides(definition, options.set), {
      baseDirectory: directory,
      measureMs,
      signal: interrupted.signal,
    });
    const predictions = clusters(options).map((cluster) => predict(calibration, cluster));
    if (json) {
      output.json({ type: "calibration", ...calibration });
      for (const prediction of predictions) output.json({ type: "plan", ...prediction });
      return;
    }
    for (const line of calibrationLines(calibration)) output.line(line);
    output.line();
    for (const line of table([heads, ...predictions.map(cells)])) output.line(line);
    const idle = Math.max(...predictions.map(({ standby }) => standby));
    if (idle > 0) {
      output.line(
        `\nWorkers beyond the run's ${calibration.shards} shards stand by (up to ${idle} here): --set shards=N predicts another run.`,
      );
    }
  } finally {
    release();
  }
}

function clusters({ workers, exchange, compress, lanes, bytesPerSecond, latencyMs }: PlanOptions) {
  return workers.flatMap((each) =>
    exchange
      .filter((how) => how === "star" || each > 1)
      .flatMap((how) =>
        compress.map((to) => ({ workers: each, lanes, bytesPerSecond, latencyMs, exchange: how, compress: to })),
      ),
  );
}

function calibrationLines(found: Calibration): readonly string[] {
  const { shards, samples, computeMs, aloneMs, sumsFloats, rowBytes } = found;
  return [
    `Batch of ${count(samples)} in ${shards} shards: ${ms(computeMs)} to compute on one lane, ${ms(aloneMs)} a step in one process`,
    `${byteSize(4 * sumsFloats)} of sums, ${byteSize(rowBytes)} of rows; the coordinator's CPU: ${ms(found.coordinatorBaseMs)} a step and ${ms(found.coordinatorPerWorkerMs)} for each worker`,
  ];
}

const heads = [
  "workers",
  "exchange",
  "compress",
  "step",
  "samples/s",
  "speedup",
  "efficiency",
  "bottleneck",
  "through the coordinator",
];

function cells(prediction: Prediction): readonly string[] {
  const { workers, exchange, compress, stepMs, samplesPerSecond, speedup, efficiency, bottleneck } = prediction;
  const { coordinatorBytes } = prediction;
  return [
    String(workers),
    exchange,
    compress,
    ms(stepMs),
    count(samplesPerSecond),
    `${speedup.toFixed(2)}x`,
    `${(100 * efficiency).toFixed(1)} %`,
    bottleneck,
    `${byteSize(coordinatorBytes.in)} in, ${byteSize(coordinatorBytes.out)} out`,
  ];
}

function ms(value: number): string {
  return `${Number(value.toPrecision(3))} ms`;
}
