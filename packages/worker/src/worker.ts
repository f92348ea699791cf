import type { ShardInput } from "@tutti/core/engine";
import { TuttiError } from "@tutti/core/errors";
import { type MessageOf, protocolVersion, type ToWorker } from "@tutti/core/wire";
import type { BatchStore } from "./batch-store.ts";
import { Heartbeats } from "./heartbeats.ts";
import { MeshMember } from "./mesh/mesh-member.ts";
import type { Parameters } from "./parameters.ts";
import { PlacedRows } from "./placed-rows.ts";
import { Preparation } from "./preparation.ts";
import { Upload } from "./upload.ts";
import { WorkSpans } from "./work-spans.ts";
import type { Parting, WorkerParts } from "./worker-parts.ts";

type Welcome = MessageOf<ToWorker, "welcome">;
type Lease = MessageOf<ToWorker, "lease">;

/** How long lanes may go on with what they compute after the membership has ended. */
export const drainMs = 10_000;

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
  readonly #preparation: Preparation;
  readonly #heartbeats: Heartbeats;
  readonly #computing = new Map<Computation, Promise<void>>();
  readonly #endingRounds = new Set<number>();
  readonly #parting: { promise: Promise<Parting>; resolve: (parting: Parting) => void };
  #welcome: Welcome | undefined;
  #parameters: Parameters | undefined;
  #upload: Upload | undefined;
  /** Only while the run is traced. */
  #spans: WorkSpans | undefined;
  /** Ends the span in which parameters arrive. */
  #stagedSpan: (() => void) | undefined;
  #mesh: MeshMember | undefined;
  #farewell: Parting | undefined;
  #isGone = false;
  /** Those that have come. */
  #leases = 0;
  /** Its parameters are not the coordinator's, which is going to send them again: nothing may be computed from them. */
  #differs = false;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
    this.#batches = parts.memory.batches;
    this.#placed = new PlacedRows(parts.data ?? new Map(), this.#batches);
    const { connection, clock, lanes, memory, checkProgram, numericClass } = parts;
    this.#preparation = new Preparation({
      ...{ lanes, memory, checkProgram, numericClass },
      borrow: () => this.#store.borrow(),
      isGone: () => this.#isGone,
      ready: (found) => connection.send({ type: "ready", numericClass: found }),
      failed: (error) => this.#giveUp(error),
    });
    this.#heartbeats = new Heartbeats({
      ...{ connection, clock },
      peerBytes: () => this.#mesh?.arrivedBytes,
      leases: () => this.#leases,
      silent: (why) => this.#giveUpCoordinator(why),
    });
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
        this.#preparation.load(message, payload);
        return;
      case "canary":
        this.#preparation.canary(message, payload);
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
        this.#heartbeats.heard(message.sentMs);
        if (this.#spans !== undefined) this.#heartbeats.say();
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
    const { parameterFloats, updatedFloats, chunkFloats } = welcome;
    this.#parameters = memory.parameters(parameterFloats, updatedFloats, chunkFloats, connection.sharesMemory);
    if (welcome.mesh !== undefined) this.#joinMesh(welcome, this.#parameters);
    const program = (id: string) => this.#preparation.program(id);
    this.#upload = new Upload({ connection, memory, welcome, program, spans: this.#spans, mesh: this.#mesh });
    this.#heartbeats.begin(welcome);
  }

  /** Where only the coordinator's direction is dead, it still hears why. */
  #giveUpCoordinator(why: string): void {
    const { connection } = this.#parts;
    this.#farewell ??= { kind: "lost", code: "CONNECTION_LOST", message: `the coordinator was ${why}` };
    connection.send({ type: "leaving", reason: `to this worker the coordinator was ${why}` });
    connection.destroy();
    this.#part(this.#farewell);
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

  #takeRows(message: MessageOf<ToWorker, "batch">, bytes: Uint8Array): void {
    const { round, shard, program, firstPosition, dataset } = message;
    if (dataset === undefined) this.#batches.put(round, shard, program, firstPosition, bytes);
    else
      this.#placed.read({
        round,
        shard,
        program: this.#preparation.program(program),
        firstPosition,
        dataset,
        numbers: bytes,
      });
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
    const isTraining = first === undefined || this.#preparation.isTraining(first.programId);
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
        else this.#upload!.send(position, shards, result);
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
    this.#heartbeats.end();
    this.#placed.forgetAll();
    this.#mesh?.close();
    // Whoever joins next uses the same memory: nothing may still be computing in it.
    const drained = Promise.allSettled([this.#preparation.done, ...this.#computing.values()]).then(() => {
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
