import type { Clock } from "@tutti/core/clock";
import { SumsPacking } from "@tutti/core/compression";
import type { Dataset } from "@tutti/core/data";
import { type Lanes, type NodeResult, packedCollects, type ShardInput } from "@tutti/core/engine";
import { TuttiError } from "@tutti/core/errors";
import type { ShardProgram, TreeNode } from "@tutti/core/step";
import {
  type Connection,
  checksPerHeartbeat,
  type MessageOf,
  protocolVersion,
  Silence,
  type ToCoordinator,
  type ToWorker,
} from "@tutti/core/wire";
import type { BatchStore } from "./batch-store.ts";
import { MeshMember } from "./mesh/mesh-member.ts";
import type { PeerTransport } from "./mesh/peer-transport.ts";
import type { Parameters } from "./parameters.ts";
import { PlacedRows } from "./placed-rows.ts";
import { WorkSpans } from "./work-spans.ts";
import type { WorkerMemory } from "./worker-memory.ts";

type Welcome = MessageOf<ToWorker, "welcome">;
type Lease = MessageOf<ToWorker, "lease">;

/** Programs and the rows to compute them on, so that the coordinator learns how this machine rounds. */
export interface CanaryTask {
  readonly programs: readonly { readonly program: ShardProgram; readonly columns: number }[];
  readonly parameters: number;
  readonly generation: number;
}

export interface WorkerParts {
  readonly connection: Connection<ToCoordinator, ToWorker>;
  readonly lanes: Lanes;
  /** How other workers are reached; undefined if they cannot be. */
  readonly peers?: PeerTransport | undefined;
  /** Kept by the process while it leaves and joins. */
  readonly memory: WorkerMemory;
  readonly clock: Clock;
  /** Refuses a graph that this worker should not run; throws GRAPH_INVALID. */
  readonly checkProgram: (onnx: Uint8Array) => void;
  /** Hash of all the canary's outputs. */
  readonly numericClass: (task: CanaryTask) => Promise<string>;
  readonly identity: {
    readonly instance: string;
    readonly host: string;
    readonly pid: number;
    readonly engine: string;
    readonly node: string;
  };
  readonly log: (message: string) => void;
  /** The data sets that this worker has for itself, by name; stays the caller's to close. */
  readonly data?: ReadonlyMap<string, Dataset>;
}

/** How a worker's membership ended. */
export interface Parting {
  /** over: the run has ended · refused: this worker is not wanted · lost: the connection broke, try again. */
  readonly kind: "over" | "refused" | "lost";
  readonly message: string;
  readonly code: string;
}

/** How long lanes may go on with what they compute after the membership has ended. */
export const drainMs = 10_000;

/** The canary's rows are kept as of this round; coordinators count theirs from 1. */
const canaryRound = 0;

interface Computation {
  readonly round: number;
  readonly parameters: number;
  /** Set when its answer is not wanted any more, or its parameters have been overwritten. */
  isVoid: boolean;
}

/**
 * One membership in one run: gets programs, parameters and rows, computes the nodes it is leased, streams back their
 * sums. Its step is the coordinator's seen from the other side: lease → compute → upload → stage → commit.
 */
export class Worker {
  readonly #parts: WorkerParts;
  readonly #batches: BatchStore;
  readonly #placed: PlacedRows;
  readonly #programs = new Map<string, ShardProgram>();
  readonly #canaries: { program: string; address: number }[] = [];
  readonly #computing = new Map<Computation, Promise<void>>();
  readonly #endingRounds = new Set<number>();
  readonly #parting: { promise: Promise<Parting>; resolve: (parting: Parting) => void };
  #loading: Promise<void> = Promise.resolve();
  /** Loads the programs and computes the canary: may take a lane for ever, as leases may. */
  #preparing: Promise<void> = Promise.resolve();
  #welcome: Welcome | undefined;
  #parameters: Parameters | undefined;
  #packing: SumsPacking;
  /** Only while the run is traced. */
  #spans: WorkSpans | undefined;
  /** Ends the span in which parameters arrive. */
  #stagedSpan: (() => void) | undefined;
  #mesh: MeshMember | undefined;
  #farewell: Parting | undefined;
  #timer: { cancel(): void } | undefined;
  /** The coordinator's last heartbeat, until it was answered. */
  #heard: { readonly sentMs: number; readonly atMs: number } | undefined;
  #isGone = false;
  /** Those that have come. */
  #leases = 0;
  /** Its parameters are not the coordinator's, which is going to send them again: nothing may be computed from them. */
  #differs = false;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
    this.#batches = parts.memory.batches;
    this.#placed = new PlacedRows(parts.data ?? new Map(), this.#batches);
    this.#packing = new SumsPacking(undefined, parts.memory);
    let resolve: (parting: Parting) => void = () => {};
    const promise = new Promise<Parting>((settle) => {
      resolve = settle;
    });
    this.#parting = { promise, resolve };
  }

  /** Joins and works until the run is over or the connection is lost. */
  run(): Promise<Parting> {
    const { connection, identity, lanes } = this.#parts;
    connection.listen({
      message: (message, payload) => this.#receive(message, payload),
      closed: (reason, error) =>
        this.#part(this.#farewell ?? { kind: "lost", code: error?.code ?? "CONNECTION_LOST", message: reason }),
    });
    const data = [...(this.#parts.data ?? [])].map(([name, { fingerprint }]) => ({ name, fingerprint }));
    connection.send({ type: "hello", protocol: protocolVersion, lanes: lanes.count, ...identity, data });
    return this.#parting.promise;
  }

  /** Leaves: what it holds is dealt to others. */
  leave(reason: string): void {
    this.#farewell = { kind: "over", code: "LEFT", message: reason };
    this.#parts.connection.send({ type: "leaving", reason });
    this.#parts.connection.close(reason);
  }

  #receive(message: ToWorker, payload: Uint8Array | undefined): void {
    if (this.#isGone) return;
    switch (message.type) {
      case "welcome":
        this.#join(message);
        return;
      case "program":
        this.#loadProgram(message, payload);
        return;
      case "canary":
        this.#takeCanary(message, payload);
        return;
      case "parameters":
        // Whatever still computes reads what is overwritten now; its leases were dealt to others.
        this.#differs = false;
        this.#parts.memory.takeBackBefore(message.step);
        if (message.chunk === 0) this.#mesh?.restart();
        if (message.chunk === 0) for (const computation of this.#computing.keys()) computation.isVoid = true;
        this.#store.receive(message.step, message.chunk, payload ?? new Uint8Array(0));
        return;
      case "average": {
        const { averageFloats, chunkFloats } = this.#welcome!;
        const chunks = Math.ceil(averageFloats / chunkFloats);
        this.#store.receiveAverage(message.step, message.chunk, chunks, averageFloats, payload ?? new Uint8Array(0));
        return;
      }
      case "batch":
        this.#takeRows(message, message.inline ?? payload ?? new Uint8Array(0));
        return;
      case "lease":
        this.#leases++;
        this.#placed.whenRead(
          message,
          () => this.#compute(message),
          (error) => this.#failed(message, error),
        );
        return;
      case "update":
        this.#mesh?.withdraw();
        this.#stage(message.step, message.chunk, message.inline ?? payload ?? new Uint8Array(0));
        return;
      case "replica":
      case "state":
      case "peers":
      case "exchange":
      case "divisor":
      case "reown":
      case "reduced":
        if (!this.#differs || message.type === "peers") this.#mesh?.receive(message, payload);
        return;
      case "commit":
        this.#commit(message);
        return;
      case "abort":
        this.#parameters?.abort();
        this.#mesh?.ended(message.round, 0, false);
        this.#releaseRound(message.round);
        return;
      case "release":
        this.#releaseRound(message.round);
        return;
      case "skip":
        this.#store.skip(message.step);
        this.#parts.memory.takeBackBefore(message.step);
        this.#mesh?.skipped(message.step);
        this.#releaseRound(message.round);
        return;
      case "heartbeat":
        this.#heard = { sentMs: message.sentMs, atMs: this.#parts.clock.now() };
        if (this.#spans !== undefined) this.#sayAlive();
        return;
      case "goodbye":
        this.#farewell = {
          kind: message.rejoin ? "lost" : isRefusal(message.code) ? "refused" : "over",
          code: message.code,
          message: message.message,
        };
        return;
    }
  }

  #join(welcome: Welcome): void {
    const { memory, clock, connection } = this.#parts;
    this.#welcome = welcome;
    this.#spans = welcome.trace === true ? new WorkSpans(clock) : undefined;
    this.#packing = new SumsPacking(welcome.rounding, memory);
    const { parameterFloats, updatedFloats, chunkFloats } = welcome;
    this.#parameters = memory.parameters(parameterFloats, updatedFloats, chunkFloats, connection.sharesMemory);
    if (welcome.mesh !== undefined) this.#joinMesh(welcome, this.#parameters);
    this.#beat(welcome);
  }

  /** Says that it is there, and looks for signs that the coordinator is, as long as the membership lasts. */
  #beat({ heartbeatMs, silenceMs }: Welcome): void {
    const { clock, connection } = this.#parts;
    const checkMs = heartbeatMs / checksPerHeartbeat;
    const silence = new Silence(connection, checkMs, clock.now());
    let checks = 0;
    const check = (): void => {
      const silentMs = silence.measure(clock.now());
      if (silentMs > silenceMs) {
        this.#giveUpCoordinator(`silent for ${Math.round(silentMs)} ms (limit ${silenceMs})`);
        return;
      }
      if (checks++ % checksPerHeartbeat === 0) this.#sayAlive();
      this.#timer = clock.setTimer(checkMs, check);
    };
    check();
  }

  /** Where only the coordinator's direction is dead, it still hears why. */
  #giveUpCoordinator(why: string): void {
    const { connection } = this.#parts;
    this.#farewell ??= { kind: "lost", code: "CONNECTION_LOST", message: `the coordinator was ${why}` };
    connection.send({ type: "leaving", reason: `to this worker the coordinator was ${why}` });
    connection.destroy();
    this.#part(this.#farewell);
  }

  #sayAlive(): void {
    const sentMs = this.#parts.clock.now();
    const heard = this.#heard;
    this.#heard = undefined;
    const echo = heard === undefined ? {} : { echo: { sentMs: heard.sentMs, heldMs: sentMs - heard.atMs } };
    const { connection } = this.#parts;
    connection.send({
      type: "heartbeat",
      sentMs,
      ...echo,
      arrivedBytes: connection.arrivedBytes,
      ...(this.#mesh === undefined ? {} : { peerBytes: this.#mesh.arrivedBytes }),
      leases: this.#leases,
    });
  }

  #joinMesh(welcome: Welcome, parameters: Parameters): void {
    const { connection, peers, clock, memory, log } = this.#parts;
    const stage = (step: number, chunk: number, bytes: Uint8Array): void => this.#stage(step, chunk, bytes);
    this.#mesh = new MeshMember({
      ...{ connection, clock, memory, welcome, parameters, stage, log },
      transport: peers,
    });
    void this.#mesh.start();
  }

  #loadProgram(message: MessageOf<ToWorker, "program">, payload: Uint8Array | undefined): void {
    const onnx = Uint8Array.from(payload ?? []);
    this.#parts.checkProgram(onnx);
    const program: ShardProgram = { ...message.manifest, id: message.id, onnx };
    this.#programs.set(message.id, program);
    const before = this.#loading;
    const load = this.#parts.lanes.load(program);
    this.#loading = Promise.all([before, load]).then(() => {});
    this.#preparing = this.#loading;
    this.#loading.catch((error) => this.#giveUp(error));
  }

  #takeCanary(message: MessageOf<ToWorker, "canary">, payload: Uint8Array | undefined): void {
    const index = this.#canaries.length;
    this.#batches.put(canaryRound, index, message.program, 0, payload ?? new Uint8Array(0));
    this.#canaries.push({ program: message.program, address: this.#batches.get(canaryRound, index)!.address });
    if (!message.last) return;
    this.#preparing = this.#loading
      .then(() => {
        const { address: parameters, version: generation } = this.#store.borrow();
        const programs = this.#canaries.map((canary) => ({
          program: this.#program(canary.program),
          columns: canary.address,
        }));
        return this.#parts.numericClass({ programs, parameters, generation });
      })
      .then((numericClass) => {
        if (this.#isGone) return; // whoever joined next has this memory now
        this.#batches.release(canaryRound);
        this.#parts.connection.send({ type: "ready", numericClass });
      })
      .catch((error) => this.#giveUp(error));
  }

  #takeRows(message: MessageOf<ToWorker, "batch">, bytes: Uint8Array): void {
    const { round, shard, program, firstPosition, dataset } = message;
    if (dataset === undefined) this.#batches.put(round, shard, program, firstPosition, bytes);
    else this.#placed.read({ round, shard, program: this.#program(program), firstPosition, dataset, numbers: bytes });
  }

  #compute(lease: Lease): void {
    if (this.#differs) return; // dealt before the coordinator learned of it, and dealt again since
    const { step, version, address } = lease.average ? this.#store.average : this.#store.current;
    const position = { generation: lease.generation, round: lease.round, step: lease.step, lo: lease.lo, hi: lease.hi };
    if (step !== lease.step) {
      const message = `this worker holds the parameters of step ${step}, not ${lease.step}`;
      this.#parts.connection.send({ type: "failed", ...position, code: "PROTOCOL", message });
      return;
    }
    const shards = new Map<number, ShardInput>();
    for (let shard = lease.lo; shard < lease.hi; shard++) {
      const held = this.#batches.get(lease.round, shard);
      if (held === undefined) continue;
      shards.set(shard, { programId: held.program, columns: held.address, firstPosition: held.firstPosition });
    }
    const computation: Computation = { round: lease.round, parameters: address, isVoid: false };
    const [first] = shards.values();
    const isTraining = first === undefined || this.#programs.get(first.programId)?.mode === "train";
    const computedSpan = this.#spans?.begin(isTraining ? "compute" : "evaluate", lease.step, lease);
    const computed = this.#parts.lanes
      .compute({
        node: { lo: lease.lo, hi: lease.hi },
        shards,
        parameters: address,
        generation: version,
        seed: this.#welcome!.seed,
        step,
        rounding: this.#welcome!.rounding,
      })
      .finally(() => computedSpan?.())
      .then((result) => {
        if (computation.isVoid || this.#isGone) result.release();
        else this.#upload(position, shards, result);
      })
      .catch((error: unknown) => {
        if (!computation.isVoid) this.#failed(lease, error);
      })
      .finally(() => {
        this.#computing.delete(computation);
        if (this.#endingRounds.has(lease.round)) this.#releaseRound(lease.round);
      });
    this.#computing.set(computation, computed);
  }

  #failed({ generation, round, step, lo, hi }: Lease, error: unknown): void {
    if (this.#isGone) return;
    const { code, message } = error instanceof TuttiError ? error : { code: "INTERNAL", message: String(error) };
    this.#parts.connection.send({ type: "failed", generation, round, step, lo, hi, code, message });
  }

  /** Announces the node with its scalars, then sends its sums chunk by chunk, straight from the lanes' buffer. */
  #upload(
    position: { generation: number; round: number; step: number } & TreeNode,
    shards: ReadonlyMap<number, ShardInput>,
    result: NodeResult,
  ): void {
    const { connection } = this.#parts;
    if (this.#spans !== undefined) connection.send({ type: "spans", spans: this.#spans.take() });
    const { chunkFloats, inlineBytes } = this.#welcome!;
    const sumsFloats = result.sums === 0 ? 0 : this.#welcome!.sumsFloats;
    const scalars = new Uint8Array(result.scalars.buffer);
    const collects = this.#collects(position, shards, result);
    const { computeMs } = result;
    const announcement = {
      type: "result",
      ...position,
      scalars,
      computeMs,
      payloadBytes: collects.byteLength,
    } as const;
    const uploadSpan = this.#spans?.begin("upload", position.step, position);
    const chunks = Math.ceil(sumsFloats / chunkFloats);
    if (sumsFloats > 0 && this.#mesh?.exchanges(position.round)) {
      connection.send({ ...announcement, chunks }, collects, uploadSpan);
      this.#mesh.hold(position, result);
      return;
    }
    if (sumsFloats <= chunkFloats && this.#packing.bytes(position, 0, sumsFloats) <= inlineBytes) {
      const inline =
        sumsFloats === 0 ? {} : { inline: this.#packing.packInPlace(position, result.sums, 0, sumsFloats).slice() };
      connection.send({ ...announcement, chunks: sumsFloats === 0 ? 0 : 1, ...inline }, collects, uploadSpan);
      result.release();
      return;
    }
    const isLent = connection.sharesMemory;
    if (isLent) this.#parts.memory.lend({ round: position.round, step: position.step, result });
    connection.send({ ...announcement, chunks }, collects);
    for (let chunk = 0; chunk < chunks; chunk++) {
      const begin = chunk * chunkFloats;
      const end = Math.min(sumsFloats, begin + chunkFloats);
      const payload = this.#packing.packInPlace(position, result.sums, begin, end);
      const payloadBytes = payload.byteLength;
      const flushed = (): void => {
        if (!isLent) result.release();
        uploadSpan?.();
      };
      const onFlushed = chunk === chunks - 1 ? flushed : undefined;
      connection.send({ type: "partial", ...position, chunk, payloadBytes }, payload, onFlushed);
    }
  }

  /** A copy of the shards' per-sample outputs, one block after the other; empty for programs without any. */
  #collects({ lo }: TreeNode, shards: ReadonlyMap<number, ShardInput>, { collects }: NodeResult): Uint8Array {
    const blocks = collects.map((address, row) => {
      const { totalBytes } = packedCollects(this.#program(shards.get(lo + row)!.programId));
      return this.#parts.memory.arena.bytes(address, totalBytes);
    });
    const joined = new Uint8Array(blocks.reduce((sum, block) => sum + block.byteLength, 0));
    let at = 0;
    for (const block of blocks) {
      joined.set(block, at);
      at += block.byteLength;
    }
    return joined;
  }

  #stage(step: number, chunk: number, bytes: Uint8Array): void {
    const store = this.#store;
    if (!store.isStaging) {
      // Late computations still read this buffer; their step is over, so their answers are not missed.
      for (const computation of this.#computing.keys())
        if (computation.parameters === store.stagingAddress) computation.isVoid = true;
      this.#stagedSpan?.();
      this.#stagedSpan = this.#spans?.begin("parameters", step);
    }
    store.stage(step, chunk, bytes);
  }

  #commit(message: MessageOf<ToWorker, "commit">): void {
    const hash = this.#store.commit(message.step);
    this.#stagedSpan?.();
    this.#parts.memory.takeBackBefore(message.step);
    this.#mesh?.ended(message.round, message.step, hash === message.hash);
    this.#releaseRound(message.round);
    if (hash === undefined) return; // there is no other copy
    if (hash === message.hash) return;
    this.#differs = true;
    this.#parts.log(`step ${message.step}: this worker's parameters differ from the coordinator's`);
    this.#parts.connection.send({ type: "differs", generation: message.generation, step: message.step, hash });
  }

  /** Rows go back to the pool once nothing computes from them. */
  #releaseRound(round: number): void {
    this.#placed.forget(round);
    let isBusy = false;
    for (const computation of this.#computing.keys()) {
      if (computation.round !== round) continue;
      computation.isVoid = true;
      isBusy = true;
    }
    if (isBusy) {
      this.#endingRounds.add(round);
      return;
    }
    this.#endingRounds.delete(round);
    this.#batches.release(round);
    this.#parts.memory.takeBack(round);
  }

  #giveUp(error: unknown): void {
    const { code, message } = error instanceof TuttiError ? error : { code: "INTERNAL", message: String(error) };
    this.#farewell = { kind: "refused", code, message };
    this.#parts.connection.send({ type: "leaving", reason: message });
    this.#parts.connection.close(message);
    this.#part(this.#farewell);
  }

  #part(parting: Parting): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#timer?.cancel();
    this.#placed.forgetAll();
    this.#mesh?.close();
    // Whoever joins next uses the same memory: nothing may still be computing in it.
    const drained = Promise.allSettled([this.#preparing, ...this.#computing.values()]).then(() => {
      this.#batches.clear();
      this.#parting.resolve(parting);
    });
    const hung: Parting = {
      kind: "refused",
      code: "LANE_HUNG",
      message: `a lane is still computing ${drainMs / 1000} s after the membership ended (${parting.message}); this process must be ended`,
    };
    const deadline = this.#parts.clock.setTimer(drainMs, () => this.#parting.resolve(hung));
    void drained.then(() => deadline.cancel());
  }

  get #store(): Parameters {
    if (this.#parameters === undefined)
      throw new TuttiError("PROTOCOL", "the coordinator sent work before its welcome");
    return this.#parameters;
  }

  #program(id: string): ShardProgram {
    const program = this.#programs.get(id);
    if (program === undefined) throw new TuttiError("PROTOCOL", `no program ${id}`);
    return program;
  }
}

function isRefusal(code: string): boolean {
  return (
    code === "NUMERIC_CLASS" ||
    code === "DATA_DIFFERS" ||
    code === "QUARANTINED" ||
    code === "PROTOCOL" ||
    code === "UNAUTHORIZED"
  );
}
