import { randomBytes } from "node:crypto";
import { availableParallelism, hostname } from "node:os";
import { Coordinator, type Exchange, type Server, serve } from "@tutti/coordinator";
import { readCheckpoint } from "@tutti/core/checkpoint";
import { systemClock } from "@tutti/core/clock";
import type { DataPlaces } from "@tutti/core/data";
import { engineNotice } from "@tutti/core/engine";
import { isTuttiError } from "@tutti/core/errors";
import type { RunEvent } from "@tutti/core/events";
import { type ComputeMemory, computeMemory } from "@tutti/core/kernels";
import type { RunDefinition } from "@tutti/core/run";
import { explainNonFinite } from "./explain-non-finite.ts";
import { InProcessLanes } from "./in-process-lanes.ts";
import { inProcessWorker } from "./in-process-worker.ts";
import { LocalWorkers } from "./local-workers.ts";
import type { Observer } from "./observers.ts";
import { OutputDirectory } from "./output-directory.ts";
import { localPlaces } from "./placed-data.ts";
import { prepareRun } from "./prepare-run.ts";
import { type RemoteHosts, RemoteWorkers } from "./remote-workers.ts";
import { openRunDashboard, type RunDashboard, type RunDashboardOptions } from "./run-dashboard.ts";
import { freshStart, startFrom } from "./starting-point.ts";
import { TraceFile } from "./trace-file.ts";
import { Training, type TrainingHandle, type TrainResult } from "./training-handle.ts";

/** Where and how to train: nothing of it changes a bit of the result, but `shards` and `maxSteps`. */
export interface TrainOptions {
  /** Worker processes to start on this machine; 0 (the default without `listen`) computes in this process. */
  readonly workers?: number;
  /** Threads per local worker; 1 by default. */
  readonly lanes?: number;
  /** Output directory for checkpoints, metrics and model.onnx; without it nothing is kept. */
  readonly out?: string;
  /** Go on from the newest checkpoint in `out`, if there is one. */
  readonly resume?: boolean;
  /** Resume although the definition is another than the checkpoint's. */
  readonly allowChanges?: boolean;
  /** Folder that relative data paths start from; the working directory by default. */
  readonly baseDirectory?: string;
  /** Also accept workers of other machines. A token is needed for any bind but loopback; `tls` holds PEM texts. */
  readonly listen?: {
    readonly host: string;
    readonly port: number;
    readonly token?: string | undefined;
    readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  };
  /** Also start a worker on each of these machines over SSH; `listen` must be where they can reach it. */
  readonly hosts?: RemoteHosts;
  /** Workers to wait for before the first step; all local ones by default. */
  readonly startWorkers?: number;
  /** Memory for the columns of each data set; what does not fit is read from files, by position. 256 MiB by default. */
  readonly dataMemoryBytes?: number;
  /** With fewer workers than this no step begins; 1 by default. */
  readonly minWorkers?: number;
  /** Workers that compute at the same time; further ones wait for a place. */
  readonly maxWorkers?: number;
  /** "mixed" lets workers in whose arithmetic is not the run's: the promise of same bits is off. */
  readonly numerics?: "same" | "mixed";
  /**
   * How workers' sums meet: at the coordinator ("star", the default), directly between workers ("mesh") where they can reach
   * each other, or whichever of the two proves quicker ("auto"). The bits are the same.
   */
  readonly exchange?: Exchange;
  /** Share of shard sums, 0 to 1, that two workers compute and must agree on. */
  readonly audit?: number;
  /** Start from this checkpoint file, whatever `out` holds (`replay`). */
  readonly from?: string;
  /** End after this step at the latest. */
  readonly maxSteps?: number;
  /** Shards of a batch, instead of the run's own. */
  readonly shards?: number;
  /** SHA-256 of the parameters with every step event. */
  readonly hashEveryStep?: boolean;
  /** Write a trace of this process and all workers into this file (Trace Event Format: ui.perfetto.dev, chrome://tracing). */
  readonly trace?: string;
  /** Aborting is `stop()`. */
  readonly signal?: AbortSignal;
  /** Callbacks for the run's events. */
  readonly observers?: readonly Observer[];
  /** Serve a page on which the run can be watched and steered; a `dashboard` event says where. Off by default. */
  readonly dashboard?: RunDashboardOptions | undefined;
  /** What workers print. */
  readonly log?: (line: string) => void;
}

/** Of sums that are copied between processes: 1 MiB, one frame each. */
const copiedChunkFloats = 262_144;

/** Of sums that are seen where they are: 16 MiB, the most that a worker takes; one chunk, for most models. */
const sharedChunkFloats = 2 ** 22;

/**
 * Trains a run, here, on worker processes of this machine, or with workers that connect. Nothing is lost by not
 * iterating: events go to those who listen at the time. Rejects with what made the run fail (TuttiError).
 */
export function train(definition: RunDefinition, options: TrainOptions = {}): TrainingHandle {
  const { workers = 0, lanes = 1, listen } = options;
  const started =
    workers > 0 ? LocalWorkers.start(workers, lanes) : listen === undefined ? new InProcessLanes(lanes) : undefined;
  return trainOn(started, definition, options);
}

/** What computes on this machine. */
export type Started = LocalWorkers | InProcessLanes | undefined;

/** As `train`, with what its caller has started before it knew the definition. It ends with the run. */
export function trainOn(started: Started, definition: RunDefinition, options: TrainOptions): TrainingHandle {
  const { signal, observers } = options;
  return new Training((stop, emit) => runTraining(started, definition, options, stop, emit), { signal, observers });
}

async function runTraining(
  started: Started,
  definition: RunDefinition,
  options: TrainOptions,
  stop: AbortSignal,
  emit: (event: RunEvent) => void,
): Promise<TrainResult> {
  const { workers = 0, lanes = 1, listen, baseDirectory = process.cwd(), maxSteps, shards, log = () => {} } = options;
  const prepared = await prepareRun(definition, baseDirectory, {
    dataMemoryBytes: options.dataMemoryBytes,
    placement: definition.plain.placement,
    maxSteps,
    ...(shards === undefined ? {} : { shards }),
  }).catch(async (error: unknown) => {
    await started?.close(0);
    throw error;
  });
  const { compiled, run } = prepared;
  const children = started instanceof LocalWorkers ? started : undefined;
  const here = started instanceof InProcessLanes ? started : undefined;
  const closing: (() => Promise<void>)[] = [() => prepared.close(), async () => started?.close()];
  let output: OutputDirectory | undefined;
  let dashboard: RunDashboard | undefined;
  const onEvent = (event: RunEvent): void => {
    output?.record(event);
    dashboard?.event(event);
    emit(event);
  };
  try {
    if (options.out !== undefined) {
      const resume = { resume: options.resume ?? false, allowChanges: options.allowChanges ?? false };
      output = await OutputDirectory.open(options.out, compiled, resume, onEvent);
      const opened = output;
      closing.push(() => opened.close());
      for (const { reason } of output.damaged)
        emit({ type: "notice", message: `${reason}; going on from an older checkpoint` });
    }
    if (compiled.perShard.length > 0) {
      const message = `${compiled.perShard.join(", ")}: computed from the samples of each shard, so the result depends on \`shards\` (${compiled.shards}), though not on workers`;
      emit({ type: "notice", message });
    }
    if (compiled.training.isWeighted || compiled.evaluation?.isWeighted)
      emit({ type: "notice", message: "samples are weighted by the data's column `weight`" });
    const slowEngine = workers > 0 || listen === undefined ? engineNotice() : undefined;
    if (slowEngine !== undefined) emit({ type: "notice", message: slowEngine });
    const trace = options.trace === undefined ? undefined : await TraceFile.open(options.trace);
    closing.push(async () => {
      const problem = await trace?.close();
      if (problem !== undefined) emit({ type: "notice", message: `the trace is not whole: ${problem}` });
    });
    const saveNow = output?.saveNow.bind(output);
    const checkpoint = options.from === undefined ? output?.resumed : await readCheckpoint(options.from);
    const exchange = options.exchange ?? "star";
    // Workers that exchange directly have replicas of their own.
    const sharedArena = exchange === "star" ? children?.arena : undefined;
    const memory = here?.memory ?? computeMemory(sharedArena);
    const chunkFloats = here !== undefined || sharedArena !== undefined ? sharedChunkFloats : copiedChunkFloats;
    const coordinator = new Coordinator(
      run,
      checkpoint === undefined ? freshStart(compiled, memory) : startFrom(checkpoint, compiled),
      {
        clock: systemClock(),
        memory,
        updateThreads: {
          count: idleCores(here !== undefined ? lanes : sharedArena === undefined ? 1 : workers * lanes),
        },
        // Beside a network, smaller chunks let sending, reducing and receiving overlap.
        ...(listen === undefined && exchange === "star" ? { chunkFloats } : {}),
        generation: Date.now(),
        startWorkers: options.startWorkers ?? Math.max(1, workers),
        ...(options.minWorkers === undefined ? {} : { minWorkers: options.minWorkers }),
        numerics: options.numerics ?? "same",
        ...(options.maxWorkers === undefined ? {} : { maxWorkers: options.maxWorkers }),
        auditShare: options.audit ?? 0,
        exchange,
        meshObstacle:
          listen?.tls === undefined
            ? undefined
            : "workers would talk to each other without TLS, which the coordinator speaks",
        onNonFinite: definition.plain.onNonFinite,
        hashEveryStep: options.hashEveryStep ?? false,
        onEvent,
        ...(trace === undefined ? {} : { trace: (event) => trace.write(event) }),
        onStalled: ({ host, pid }) => {
          if (host === hostname()) children?.kill(pid);
        },
        afterStep: (state, validation, isLast) => output?.afterStep(state, validation, isLast),
        ...(saveNow === undefined ? {} : { saveNow }),
      },
    );
    stop.addEventListener("abort", () => coordinator.stop(), { once: true });
    if (stop.aborted) coordinator.stop();
    if (options.dashboard !== undefined) {
      const past = output?.resumed === undefined ? undefined : output.paths.metrics;
      dashboard = await openRunDashboard(options.dashboard, coordinator, compiled, past);
      closing.push(dashboard.close);
      emit({ type: "dashboard", url: dashboard.url });
    }
    const accept = (...from: Parameters<Coordinator["accept"]>): void => coordinator.accept(...from);
    if (listen !== undefined) {
      const server = await serve({ ...listen, accept, memory });
      closing.push(() => server.close());
      emit({ type: "notice", message: `listening for workers at ${server.url}` });
      if (options.hosts !== undefined) closing.push(remoteWorkers(options.hosts, server, options, coordinator, log));
    }
    if (children !== undefined) {
      const { places, remove } = await localPlaces(prepared.placed);
      closing.push(remove);
      const data = { places, memoryBytes: options.dataMemoryBytes };
      closing.push(await joinLocally(children, data, memory, sharedArena !== undefined, coordinator, accept, log));
    }
    if (here !== undefined) closing.push(await inProcessWorker(coordinator, here, prepared.placed, log));
    const done = await coordinator.train().catch(async (error: unknown) => {
      const explained = await explainNonFinite(error, definition, baseDirectory, coordinator.view);
      const code = isTuttiError(explained) ? explained.code : "INTERNAL";
      dashboard?.event({
        type: "error",
        code,
        message: String(explained instanceof Error ? explained.message : explained),
      });
      throw explained;
    });
    const parameters = coordinator.view.parameters;
    await output?.exportModel(coordinator.view);
    const values = new Map(
      compiled.layout.entries.map(({ name, offset, length }) => [name, parameters.slice(offset, offset + length)]),
    );
    return { done, parameters: values, ...(output === undefined ? {} : { out: output.paths }) };
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

/** Updates are soon bounded by memory. */
const mostUpdateThreads = 3;

/** Cores that have nothing to do but to wait while the coordinator, one of `computing` threads of the run, applies an update. */
function idleCores(computing: number): number {
  return Math.max(0, Math.min(computing, availableParallelism(), 1 + mostUpdateThreads) - 1);
}

/** Starts workers on other machines. Returns how to end them. */
function remoteWorkers(
  hosts: RemoteHosts,
  server: Server,
  { listen, exchange = "star", dataMemoryBytes }: TrainOptions,
  coordinator: Coordinator,
  log: (line: string) => void,
): () => Promise<void> {
  const url = new URL(server.url);
  if (hosts.address !== undefined) url.hostname = hosts.address;
  const workers = new RemoteWorkers({
    hosts,
    url: `${url.protocol}//${url.host}`,
    token: listen?.token,
    dataMemoryBytes,
    reachEachOther: exchange !== "star",
    log,
    isOver: () => coordinator.isOver,
    failed: (error) => coordinator.fail(error),
  });
  workers.start();
  return () => workers.close();
}

/** Lets worker processes of this machine in: by a server on loopback that nobody else can join. Returns how to end both. */
async function joinLocally(
  children: LocalWorkers,
  data: { readonly places: DataPlaces; readonly memoryBytes: number | undefined },
  memory: ComputeMemory,
  sharesMemory: boolean,
  coordinator: Coordinator,
  accept: (...from: Parameters<Coordinator["accept"]>) => void,
  log: (line: string) => void,
): Promise<() => Promise<void>> {
  const token = randomBytes(32).toString("hex");
  const sharedFile = (name: string) => children.sharedFile(name);
  const server: Server = await serve({ host: "127.0.0.1", port: 0, token, accept, sharedFile, memory });
  children.join({
    url: server.url,
    token,
    data: data.places,
    dataMemoryBytes: data.memoryBytes,
    sharesMemory,
    log,
    isOver: () => coordinator.isOver,
    failed: (error) => coordinator.fail(error),
  });
  return async () => {
    await children.close();
    await server.close();
  };
}
