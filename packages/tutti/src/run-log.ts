import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { RunEvent } from "@tutti/core/events";
import * as v from "valibot";

/** What JSON has no figure for was written as null. */
const figure = v.pipe(
  v.nullable(v.number()),
  v.transform((value) => value ?? Number.NaN),
);
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const figures = v.record(v.string(), figure);
const time = v.object({
  dataMs: v.number(),
  computeMs: v.number(),
  stragglerMs: v.optional(v.number(), 0),
  uploadMs: v.number(),
  reduceMs: v.number(),
  updateMs: v.number(),
  downloadMs: v.number(),
  waitMs: v.number(),
});

/** The lines of metrics.jsonl that say something of a run's course. */
const schema = v.variant("type", [
  v.object({
    type: v.literal("run"),
    definitionDigest: v.string(),
    parameters: count,
    shards: count,
    seed: v.number(),
    batchSize: count,
    stepsPerEpoch: v.pipe(count, v.minValue(1)),
    totalSteps: count,
    startStep: count,
    numericClass: v.string(),
  }),
  v.object({
    type: v.literal("step"),
    step: count,
    epoch: count,
    loss: figure,
    lr: figure,
    gradientNorm: figure,
    metrics: figures,
    samples: count,
    samplesPerSecond: figure,
    wallMs: v.number(),
    time,
  }),
  v.object({ type: v.literal("skipped"), step: count, epoch: count, samples: count, reason: v.string() }),
  v.object({
    type: v.literal("validation"),
    step: count,
    epoch: count,
    loss: figure,
    metrics: figures,
    samples: count,
    wallMs: v.number(),
  }),
  v.object({ type: v.literal("checkpoint"), step: count, path: v.string(), best: v.boolean() }),
  v.object({
    type: v.literal("worker"),
    event: v.picklist(["joined", "left", "refused", "standby"]),
    id: v.string(),
    host: v.string(),
    lanes: count,
    reason: v.exactOptional(v.string()),
  }),
  v.object({
    type: v.literal("done"),
    outcome: v.picklist(["completed", "early-stopped", "stopped"]),
    steps: count,
    epochs: v.number(),
    weightsSha256: v.string(),
    validation: v.nullable(figures),
    wallMs: v.number(),
    samplesPerSecond: figure,
    ledger: v.object({
      samples: count,
      leasesDealtAgain: count,
      duplicatesDropped: count,
      duplicatesDiffering: count,
      staleDropped: count,
      nodesAudited: count,
      workersHealed: count,
      workersQuarantined: count,
      skippedSteps: count,
    }),
    workers: v.array(v.object({ id: v.string(), host: v.string(), lanes: count, leases: count })),
  }),
  v.object({ type: v.literal("error"), code: v.string(), message: v.string() }),
]);

/** Reads the events of a metrics.jsonl, in order; lines that are none, such as a torn last one, are left out. Throws if the file cannot be read. */
export async function* readRunEvents(path: string): AsyncGenerator<RunEvent> {
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    const parsed = v.safeParse(schema, jsonOf(line));
    if (parsed.success) yield parsed.output;
  }
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
