import * as v from "valibot";
import type { ProgramManifest } from "../step/shard-program.ts";
import { printable } from "./printable.ts";

/** Version of this protocol; also in the WebSocket subprotocol name. Any change of a message raises it. */
export const protocolVersion = 3;
export const subprotocol = `tutti.v${protocolVersion}`;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const moment = v.pipe(v.number(), v.finite());
const text = v.pipe(v.string(), v.maxLength(4096));
/** Shown to people, and nothing else is done with it: cut and cleaned instead of refused, so that no error is lost. */
const shown = (maxLength: number) =>
  v.pipe(
    v.string(),
    v.transform((said) => printable(said, maxLength)),
  );
const identifier = v.pipe(v.string(), v.maxLength(128));
const hex = v.pipe(v.string(), v.maxLength(128), v.regex(/^[0-9a-f]*$/));
const bytes = v.custom<Uint8Array>((value) => value instanceof Uint8Array, "expected bytes");
const dims = v.pipe(v.array(count), v.maxLength(16));
const dtype = v.picklist(["float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "int64", "bool"]);

const programTensor = v.object({
  name: text,
  dtype,
  shape: dims,
  range: v.exactOptional(v.tuple([v.number(), v.number()])),
});
const view = { name: text, shape: dims, offset: count, length: count };
const programView = v.object(view);
const programRandom = v.object({
  name: text,
  shape: dims,
  kind: v.literal("bernoulli"),
  keep: v.pipe(v.number(), v.gtValue(0), v.ltValue(1)),
  call: count,
});

const axis = v.pipe(count, v.maxValue(15));
const augmentation = v.variant("kind", [
  v.object({ kind: v.literal("flip"), axis, probability: v.pipe(v.number(), v.gtValue(0), v.maxValue(1)) }),
  v.object({
    kind: v.literal("crop"),
    axes: v.pipe(v.array(axis), v.maxLength(16)),
    padding: v.pipe(count, v.maxValue(2 ** 20)),
  }),
  v.object({ kind: v.literal("noise"), std: v.pipe(v.number(), v.gtValue(0), v.finite()) }),
]);
const programAugmentation = v.object({
  stepsPerEpoch: v.pipe(count, v.minValue(1)),
  batchSize: v.pipe(count, v.minValue(1)),
  columns: v.pipe(
    v.array(v.object({ column: text, changes: v.pipe(v.array(augmentation), v.maxLength(64)) })),
    v.maxLength(4096),
  ),
});

/** All of a shard program but its graph. */
export const manifestSchema: v.GenericSchema<ProgramManifest> = v.object({
  mode: v.picklist(["train", "evaluate"]),
  samples: v.pipe(count, v.minValue(1)),
  columns: v.pipe(v.array(programTensor), v.maxLength(4096)),
  parameters: v.pipe(v.array(v.object({ ...view, isBuffer: v.exactOptional(v.boolean()) })), v.maxLength(100_000)),
  augmentation: v.exactOptional(programAugmentation),
  randoms: v.pipe(v.array(programRandom), v.maxLength(4096)),
  sums: v.pipe(v.array(programView), v.maxLength(100_000)),
  sumsFloats: count,
  scalars: v.object({ name: text, length: count }),
  collects: v.pipe(v.array(programTensor), v.maxLength(4096)),
});

const statistics = v.object({
  name: text,
  mean: count,
  variance: count,
  length: count,
  momentum: v.nullable(v.number()),
  valuesPerSample: count,
});
const plateau = v.object({ scale: v.number(), best: v.nullable(v.number()), badCount: count, cooldownLeft: count });
const peer = v.object({ id: identifier, host: identifier, port: v.pipe(count, v.minValue(1), v.maxValue(65_535)) });
const chunkRange = { first: count, end: count };

/** Which answer a message belongs to: coordinator generation, round and the parameters' step. Others are stale. */
const position = { generation: count, round: count, step: count };
const node = { lo: count, hi: count };
const reduced = v.object({ type: v.literal("reduced"), ...position, chunk: count, payloadBytes: count });

const toWorker = [
  v.object({
    type: v.literal("welcome"),
    protocol: count,
    run: identifier,
    generation: count,
    worker: identifier,
    /** Of all randomness. */
    seed: v.pipe(v.number(), v.safeInteger()),
    parameterFloats: count,
    /** The prefix of the parameters that updates cover: what is trained, and buffers. */
    updatedFloats: count,
    sumsFloats: count,
    /** The prefix that averaged weights cover; 0 without. */
    averageFloats: count,
    chunkFloats: v.pipe(count, v.minValue(16)),
    inlineBytes: count,
    programs: count,
    /** Of the sums of training nodes, if the run compresses them. */
    rounding: v.exactOptional(
      v.object({ to: v.picklist(["bf16", "int8"]), floats: count, leastShards: v.pipe(count, v.minValue(1)) }),
    ),
    /** The run may exchange sums between workers: listen for them, and let in who knows the key. */
    mesh: v.exactOptional(v.object({ key: hex })),
    heartbeatMs: v.pipe(count, v.minValue(1)),
    silenceMs: v.pipe(count, v.minValue(1)),
    /** Tell with each result what was done when. */
    trace: v.exactOptional(v.literal(true)),
  }),
  v.object({
    type: v.literal("replica"),
    optimizer: v.record(identifier, v.unknown()),
    trainable: v.pipe(v.array(programView), v.maxLength(100_000)),
    trainableFloats: count,
    statistics: v.pipe(v.array(statistics), v.maxLength(100_000)),
    normBlockFloats: v.pipe(count, v.minValue(16)),
  }),
  v.object({
    type: v.literal("state"),
    generation: count,
    step: count,
    slot: count,
    chunk: count,
    payloadBytes: count,
  }),
  v.object({ type: v.literal("peers"), members: v.pipe(v.array(peer), v.maxLength(4096)) }),
  v.object({
    type: v.literal("exchange"),
    ...position,
    updates: count,
    samples: count,
    plateau,
    shards: v.pipe(count, v.minValue(1), v.maxValue(65_536)),
    nodes: v.pipe(v.array(v.object(node)), v.maxLength(65_536)),
    owners: v.pipe(v.array(v.object({ worker: identifier, ...chunkRange })), v.maxLength(4096)),
  }),
  v.object({ type: v.literal("divisor"), generation: count, round: count, divisor: v.number() }),
  v.object({
    type: v.literal("reown"),
    generation: count,
    round: count,
    chunks: v.pipe(v.array(v.object(chunkRange)), v.maxLength(65_536)),
  }),
  reduced,
  v.object({ type: v.literal("program"), id: hex, manifest: manifestSchema, payloadBytes: count }),
  v.object({ type: v.literal("canary"), program: hex, last: v.boolean(), payloadBytes: count }),
  v.object({ type: v.literal("parameters"), generation: count, step: count, chunk: count, payloadBytes: count }),
  v.object({
    type: v.literal("batch"),
    generation: count,
    round: count,
    shard: count,
    program: hex,
    firstPosition: count,
    /** The worker's own data set to read; the payload is then the row numbers, uint32. */
    dataset: v.exactOptional(identifier),
    payloadBytes: count,
    inline: v.exactOptional(bytes),
  }),
  v.object({ type: v.literal("lease"), ...position, ...node, average: v.exactOptional(v.literal(true)) }),
  v.object({
    type: v.literal("update"),
    generation: count,
    step: count,
    chunk: count,
    payloadBytes: count,
    inline: v.exactOptional(bytes),
  }),
  /** The averaged weights at `step`, for validation: what updates cover, in chunks like them. */
  v.object({ type: v.literal("average"), generation: count, step: count, chunk: count, payloadBytes: count }),
  v.object({ type: v.literal("commit"), generation: count, step: count, round: count, hash: hex }),
  /** The staged update of this round is void; its batches and leases are over. */
  v.object({ type: v.literal("abort"), generation: count, round: count }),
  /** The step was left out: its batches and leases are over, the parameters at `step` are those before. */
  v.object({ type: v.literal("skip"), generation: count, step: count, round: count }),
  /** The round is over: its batches and unanswered leases can go. A commit says the same of its own round. */
  v.object({ type: v.literal("release"), generation: count, round: count }),
  v.object({ type: v.literal("heartbeat"), sentMs: v.number() }),
  v.object({ type: v.literal("goodbye"), code: identifier, message: shown(4096), rejoin: v.boolean() }),
] as const;

const toCoordinator = [
  v.object({
    type: v.literal("hello"),
    protocol: count,
    host: shown(255),
    pid: count,
    lanes: v.pipe(count, v.minValue(1), v.maxValue(4096)),
    engine: shown(255),
    node: shown(255),
    /** Identity of this worker process, kept when it reconnects. */
    instance: identifier,
    /** The data sets that it has for itself. */
    data: v.exactOptional(v.pipe(v.array(v.object({ name: identifier, fingerprint: hex })), v.maxLength(64))),
  }),
  v.object({ type: v.literal("ready"), numericClass: hex }),
  v.object({
    type: v.literal("result"),
    ...position,
    ...node,
    scalars: bytes,
    computeMs: v.pipe(v.number(), v.minValue(0)),
    chunks: count,
    /** Of the per-sample outputs of an evaluation's shards, one block after the other; 0 where there are none. */
    payloadBytes: count,
    inline: v.exactOptional(bytes),
  }),
  v.object({ type: v.literal("partial"), ...position, ...node, chunk: count, payloadBytes: count }),
  v.object({ type: v.literal("failed"), ...position, ...node, code: identifier, message: shown(4096) }),
  /** What was done since the last one, by the worker's clock; only if the run is traced, one before each result. */
  v.object({
    type: v.literal("spans"),
    spans: v.pipe(
      v.array(
        v.object({
          name: v.picklist(["compute", "evaluate", "upload", "parameters"]),
          /** Tells apart what was done at the same time. */
          row: v.pipe(count, v.maxValue(99)),
          beginMs: moment,
          endMs: moment,
          step: count,
          /** Of which node; absent for parameters. */
          node: v.exactOptional(v.object(node)),
        }),
      ),
      v.maxLength(256),
    ),
  }),
  v.object({ type: v.literal("differs"), generation: count, step: count, hash: hex }),
  v.object({ type: v.literal("listening"), host: shown(255), port: v.pipe(count, v.maxValue(65_535)) }),
  v.object({ type: v.literal("linked"), peer: identifier }),
  v.object({ type: v.literal("unlinked"), peer: identifier, reason: shown(1024) }),
  reduced,
  v.object({ type: v.literal("applied"), ...position, hash: hex }),
  v.object({ type: v.literal("leaving"), reason: shown(4096) }),
  v.object({
    type: v.literal("heartbeat"),
    sentMs: v.number(),
    /** The last heartbeat that came, and how long ago: the coordinator measures the round trip. */
    echo: v.exactOptional(v.object({ sentMs: v.number(), heldMs: v.pipe(v.number(), v.minValue(0)) })),
    /** What has arrived on this connection: bytes, and leases among it. */
    arrivedBytes: count,
    /** What chunks have arrived from other workers, where sums are exchanged directly. */
    peerBytes: v.exactOptional(count),
    leases: count,
  }),
] as const;

const betweenWorkers = [
  v.object({
    type: v.literal("greeting"),
    protocol: count,
    run: identifier,
    generation: count,
    from: identifier,
    to: identifier,
  }),
  v.object({ type: v.literal("accepted") }),
  v.object({ type: v.literal("contribution"), ...position, ...node, chunk: count, payloadBytes: count }),
  reduced,
  v.object({ type: v.literal("heartbeat"), sentMs: v.number() }),
] as const;

export const betweenWorkersSchema = v.variant("type", [...betweenWorkers]);
export const toWorkerSchema = v.variant("type", [...toWorker]);
export const toCoordinatorSchema = v.variant("type", [...toCoordinator]);

/** What a coordinator says. */
export type ToWorker = v.InferOutput<typeof toWorkerSchema>;
/** What a worker says. */
export type ToCoordinator = v.InferOutput<typeof toCoordinatorSchema>;
/** What workers say to each other. */
export type PeerMessage = v.InferOutput<typeof betweenWorkersSchema>;
export type Message = ToWorker | ToCoordinator | PeerMessage;

export type MessageOf<T extends Message, Type extends T["type"]> = Extract<T, { type: Type }>;
