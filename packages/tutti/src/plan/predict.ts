import { defaultChunkFloats, planLeases } from "@tutti/coordinator";
import { type GradientRounding, gradientRounding, packedSumsBytes } from "@tutti/core/compression";

/** What was measured of a run on this machine, and what its definition says. Times in milliseconds of one step. */
export interface Calibration {
  /** V. */
  readonly shards: number;
  /** Of the global batch. */
  readonly samples: number;
  /** Of the sums of a node, and of the gradients among them. */
  readonly sumsFloats: number;
  readonly gradientFloats: number;
  /** Of the parameters that a step changes. */
  readonly updatedFloats: number;
  /** What workers are sent of the rows of a batch. */
  readonly rowBytes: number;
  /** Clipping by the gradient's norm: nothing can be sent back before all sums are in. */
  readonly waitsForNorm: boolean;
  /** All shards of a batch on one lane of a worker. */
  readonly computeMs: number;
  /** A whole step in one process on one lane, without any exchange. */
  readonly aloneMs: number;
  /** CPU time of the coordinator: for the step itself, and for each worker. */
  readonly coordinatorBaseMs: number;
  readonly coordinatorPerWorkerMs: number;
  /** Of the time for each worker, what small messages take, whatever the size of the model. */
  readonly messagesMs: number;
  /** The optimizer. */
  readonly updateMs: number;
  /** What a step with one worker over loopback took beyond computing and the coordinator's CPU. */
  readonly restMs: number;
}

export type PlannedExchange = "star" | "mesh";
export type PlannedCompression = GradientRounding["to"] | "none";

/** A cluster whose machines are as fast as this one, all behind one switch. */
export interface Cluster {
  readonly workers: number;
  readonly lanes: number;
  /** Of every machine's link, each way. */
  readonly bytesPerSecond: number;
  /** One way. */
  readonly latencyMs: number;
  readonly exchange: PlannedExchange;
  readonly compress: PlannedCompression;
}

export type Bottleneck =
  | "computing"
  | "coordinator's link"
  | "coordinator's CPU"
  | "workers' links"
  | "workers' CPU"
  | "rows"
  | "latency";

export interface Prediction extends Cluster {
  readonly stepMs: number;
  readonly samplesPerSecond: number;
  /** Against one process with one lane. */
  readonly speedup: number;
  /** Speedup by lane. */
  readonly efficiency: number;
  readonly bottleneck: Bottleneck;
  /** Workers without a shard to compute. */
  readonly standby: number;
  readonly computeMs: number;
  /** Sums and parameters on their way, and what is done with them meanwhile. */
  readonly exchangeMs: number;
  /** Bytes of a step into and out of the coordinator, and of the busiest worker. */
  readonly coordinatorBytes: { readonly in: number; readonly out: number };
  readonly workerBytes: { readonly in: number; readonly out: number };
}

/** Payload of a full Ethernet frame over what it takes of the link: 1448 of 1514 bytes with TCP timestamps. */
const payloadShare = 1448 / 1514;

/**
 * Predicts a step. Both exchanges pass sums on chunk by chunk, both ways at once, so the slowest of links and CPU decides:
 *
 * star: compute + max(in/link, out/link, CPU of the coordinator) + last chunk/link + 2 latencies + rest. In: the sums of all leased
 * nodes; out: the parameters to every worker. With a barrier for the norm, in and out follow each other.
 *
 * mesh: compute + max(worker's in/link and out/link, coordinator's in/link, CPU of a worker or the coordinator) + last chunk/link
 * + 4 latencies + rest. The last chunk, to all who get it, is on its way when nothing else is any more. A worker sends the sums of its nodes but for its own range, and the reduced range to all others and the coordinator.
 *
 * Rows are sent while the step before is computed, so only what they take longer than that counts.
 */
export function predict(calibration: Calibration, cluster: Cluster): Prediction {
  const { shards, samples, computeMs, aloneMs, restMs, rowBytes } = calibration;
  const { workers, lanes, latencyMs, bytesPerSecond, exchange } = cluster;
  const leases = planLeases(
    shards,
    Array.from({ length: workers }, (_, worker) => ({ worker, weight: 1 })),
  );
  const widest = Math.max(...leases.map(({ nodes }) => nodes.reduce((sum, { lo, hi }) => sum + hi - lo, 0)));
  const compute = (computeMs / shards) * Math.ceil(widest / lanes);
  const linkMs = (bytes: number): number => (bytes / (bytesPerSecond * payloadShare)) * 1000;
  const traffic = (exchange === "star" ? starTraffic : meshTraffic)(calibration, cluster, leases);
  const { coordinatorBytes, workerBytes, coordinatorCpuMs, workerCpuMs } = traffic;
  const together = calibration.waitsForNorm && exchange === "star";
  const link = (bytes: { in: number; out: number }): number =>
    together ? linkMs(bytes.in) + linkMs(bytes.out) : Math.max(linkMs(bytes.in), linkMs(bytes.out));
  const shares: readonly (readonly [Bottleneck, number])[] = [
    ["coordinator's link", link(coordinatorBytes)],
    ["workers' links", link(workerBytes)],
    ["coordinator's CPU", coordinatorCpuMs],
    ["workers' CPU", workerCpuMs],
  ];
  const [slowest, slowestMs] = shares.reduce((a, b) => (b[1] > a[1] ? b : a));
  const exchangeMs = slowestMs + (together ? 0 : linkMs(traffic.lastChunkBytes));
  const rowsMs = Math.max(0, linkMs(rowBytes) - compute);
  const waitMs = (exchange === "star" ? 2 : 4) * latencyMs + restMs;
  const stepMs = compute + exchangeMs + rowsMs + waitMs;
  const [bottleneck] = [
    ["computing", compute] as const,
    [slowest, slowestMs] as const,
    ["rows", rowsMs] as const,
    ["latency", waitMs] as const,
  ].reduce((a, b) => (b[1] > a[1] ? b : a));
  return {
    ...cluster,
    stepMs,
    samplesPerSecond: (samples * 1000) / stepMs,
    speedup: aloneMs / stepMs,
    efficiency: aloneMs / stepMs / (workers * lanes),
    bottleneck,
    standby: leases.filter(({ nodes }) => nodes.length === 0).length,
    computeMs: compute,
    exchangeMs,
    coordinatorBytes,
    workerBytes,
  };
}

interface Traffic {
  readonly coordinatorBytes: { readonly in: number; readonly out: number };
  readonly workerBytes: { readonly in: number; readonly out: number };
  readonly coordinatorCpuMs: number;
  readonly workerCpuMs: number;
  /** What can be sent only when the last sum has come in, to everybody who gets it. */
  readonly lastChunkBytes: number;
}

type Leases = ReturnType<typeof planLeases<number>>;

/** Bytes of the sums of each worker's nodes as they travel. */
function leasedBytes({ sumsFloats }: Calibration, leases: Leases, rounding: GradientRounding | undefined): number[] {
  return leases.map(({ nodes }) =>
    nodes.reduce((sum, node) => sum + packedSumsBytes(rounding, node, 0, sumsFloats), 0),
  );
}

function roundingOf({ shards, gradientFloats }: Calibration, compress: PlannedCompression) {
  return compress === "none" ? undefined : gradientRounding(compress, shards, gradientFloats);
}

/** CPU time by byte, of whoever takes or gives it: that of the measured star, whose sums were not packed. */
function cpuPerByte({ coordinatorPerWorkerMs, messagesMs, sumsFloats, updatedFloats }: Calibration): number {
  return Math.max(0, coordinatorPerWorkerMs - messagesMs) / (4 * (sumsFloats + updatedFloats));
}

function starTraffic(calibration: Calibration, { workers, compress }: Cluster, leases: Leases): Traffic {
  const up = leasedBytes(calibration, leases, roundingOf(calibration, compress));
  const down = 4 * calibration.updatedFloats;
  const coordinatorBytes = { in: total(up), out: down * workers };
  const workerBytes = { in: down, out: Math.max(...up) };
  const perByte = cpuPerByte(calibration);
  const { coordinatorBaseMs, messagesMs } = calibration;
  return {
    coordinatorBytes,
    workerBytes,
    coordinatorCpuMs: coordinatorBaseMs + messagesMs * workers + perByte * (coordinatorBytes.in + coordinatorBytes.out),
    workerCpuMs: perByte * (workerBytes.in + workerBytes.out),
    lastChunkBytes: Math.min(down, 4 * defaultChunkFloats) * workers,
  };
}

function meshTraffic(calibration: Calibration, { workers, compress }: Cluster, leases: Leases): Traffic {
  const rounding = roundingOf(calibration, compress);
  const up = leasedBytes(calibration, leases, rounding);
  const { sumsFloats, shards, coordinatorBaseMs, messagesMs, updateMs } = calibration;
  const reduced = packedSumsBytes(rounding, { lo: 0, hi: shards }, 0, sumsFloats);
  const others = (workers - 1) / workers;
  const [most, all] = [Math.max(...up), total(up)];
  const workerBytes = {
    in: (all - Math.min(...up)) / workers + reduced * others,
    out: most * others + reduced,
  };
  const perByte = cpuPerByte(calibration);
  return {
    coordinatorBytes: { in: reduced, out: 0 },
    workerBytes,
    coordinatorCpuMs: coordinatorBaseMs + messagesMs * workers + perByte * reduced,
    workerCpuMs: updateMs + perByte * (workerBytes.in + workerBytes.out),
    // To the other workers and the coordinator.
    lastChunkBytes: Math.min(1 / workers, defaultChunkFloats / sumsFloats) * reduced * workers,
  };
}

function total(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
