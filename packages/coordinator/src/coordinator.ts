import { createHash } from "node:crypto";
import type { Clock } from "@tutti/core/clock";
import { TuttiError } from "@tutti/core/errors";
import type { DoneEvent, RunEvent } from "@tutti/core/events";
import { type ComputeMemory, computeMemory, type Kernels } from "@tutti/core/kernels";
import type { Arena } from "@tutti/core/memory";
import { type Connection, protocolVersion, type ToCoordinator, type ToWorker } from "@tutti/core/wire";
import { Dealer } from "./dealer.ts";
import { deferred } from "./deferred.ts";
import type { EvaluationRound } from "./evaluation-round.ts";
import { Generations } from "./generations.ts";
import type { LeaseShare } from "./lease-plan.ts";
import type { Departure, FailedMessage, Member } from "./member.ts";
import { Membership } from "./membership.ts";
import { defaultMembership, type MembershipConfig } from "./membership-policy.ts";
import { PhaseClock } from "./phase-clock.ts";
import { Publisher } from "./publisher.ts";
import { RecentTimes } from "./recent-times.ts";
import { Reduction } from "./reduction.ts";
import { Signal } from "./signal.ts";
import { StepRound } from "./step-round.ts";
import { StepUpdate } from "./step-update.ts";
import { finishMetrics, type PreparedBatch, type TrainingRun } from "./training-run.ts";
import { type Validation, Validator } from "./validator.ts";

/** Where training starts: freshly initialised, or a checkpoint. */
export interface StartingPoint {
  /** Steps already committed. */
  readonly step: number;
  /** In the layout, padded with zeros; copied. */
  readonly parameters: Float32Array;
  /** Optimizer state by slot, in the optimizer's order; copied. */
  readonly slots: readonly Float32Array[];
  /** The class the run is pinned to; undefined before its first commit. */
  readonly numericClass?: string;
}

/** The state between two steps. The views hold until the next but one commit: copy what must last. */
export interface StateView {
  readonly step: number;
  readonly numericClass: string;
  readonly parameters: Float32Array;
  readonly slots: readonly Float32Array[];
}

export interface CoordinatorOptions {
  readonly clock: Clock;
  /** Rises with every coordinator of the same run: what an older one still says is stale. */
  readonly generation: number;
  /** Workers to wait for before the first step; later the run goes on with those that are left. */
  readonly startWorkers: number;
  readonly membership?: Partial<MembershipConfig>;
  /** Unanswered leases are dealt again after this long (10 s), or 8 times the 95th percentile of recent ones if that is more. */
  readonly lateMs?: number;
  /** How long after that a worker without progress is given up (2 s). */
  readonly graceMs?: number;
  /** A worker that makes no progress was dropped: kill the process if it is yours. */
  readonly onStalled?: (worker: { readonly host: string; readonly pid: number }) => void;
  /** Hash the parameters after every step (SHA-256), for `verify`. */
  readonly hashEveryStep?: boolean;
  /** Floats in a chunk of parameters or sums; a multiple of `normBlockFloats`. */
  readonly chunkFloats?: number;
  /** The gradient's norm is summed over blocks of so many floats of the layout; a property of the run. */
  readonly normBlockFloats?: number;
  /** Tensors up to this many bytes travel within their header, which copies them. */
  readonly inlineBytes?: number;
  readonly memory?: ComputeMemory;
  readonly onEvent: (event: RunEvent) => void;
  /** Called after every step (with the validation that followed it), before the next one begins; awaited. */
  readonly afterStep?: (state: StateView, validation: Validation | undefined, isLast: boolean) => Promise<void> | void;
}

/**
 * Trains a run with whatever workers connect. Transport, clock and lanes are given to it, so the same code runs over
 * sockets, in one process and in the simulator.
 */
export class Coordinator {
  readonly #run: TrainingRun;
  readonly #options: CoordinatorOptions;
  readonly #clock: Clock;
  readonly #arena: Arena;
  readonly #kernels: Kernels;
  readonly #generations: Generations;
  readonly #reduction: Reduction;
  readonly #membership: Membership;
  readonly #dealer: Dealer;
  readonly #publisher: Publisher;
  readonly #validator: Validator;
  readonly #phases: PhaseClock;
  readonly #changed = new Signal();
  readonly #leaseTimes = new RecentTimes(256);
  readonly #hashScratch: number;
  readonly #startStep: number;
  readonly #ledger = { samples: 0, leasesDealtAgain: 0, duplicatesDropped: 0, staleDropped: 0 };
  #numericClass: string | undefined;
  #update: StepUpdate | undefined;
  #nextRound = 1;
  #ahead: BatchAhead | undefined;
  #state: "waiting" | "training" | "stopping" | "over" = "waiting";
  #failure: { readonly error: unknown } | undefined;
  #rejectWaiting: (error: unknown) => void = () => {};

  constructor(run: TrainingRun, start: StartingPoint, options: CoordinatorOptions) {
    const program = run.programs.find(({ mode }) => mode === "train");
    if (program === undefined) throw new TuttiError("INTERNAL", "a run without a training program");
    this.#run = run;
    this.#options = options;
    this.#clock = options.clock;
    const { arena, kernels } = options.memory ?? computeMemory();
    this.#arena = arena;
    this.#kernels = kernels;
    const floats = {
      total: run.layout.totalFloats,
      updated: run.updated.totalFloats,
      trainable: run.trainable.totalFloats,
    };
    this.#generations = new Generations(this.#arena, run.optimizer, floats, start.step);
    this.#generations.initialize(start.parameters, start.slots);
    this.#startStep = start.step;
    this.#numericClass = start.numericClass;
    this.#reduction = new Reduction(this.#arena, this.#kernels, program.sumsFloats, options.chunkFloats ?? 65_536);
    this.#hashScratch = this.#arena.allocate(8 * Math.max(1, this.#reduction.chunks));
    this.#phases = new PhaseClock(this.#clock);
    this.#membership = new Membership(
      this.#clock,
      { ...defaultMembership, ...options.membership },
      this.#memberEvents(),
    );
    this.#publisher = new Publisher({
      arena,
      generations: this.#generations,
      reduction: this.#reduction,
      generation: options.generation,
      inlineBytes: this.#inlineBytes,
      changed: this.#changed,
    });
    this.#dealer = new Dealer({
      clock: this.#clock,
      generation: options.generation,
      inlineBytes: this.#inlineBytes,
      lateMs: () => Math.max(options.lateMs ?? 10_000, 8 * this.#leaseTimes.p95()),
      graceMs: options.graceMs ?? 2000,
      active: () => this.#membership.active,
      stalled: (member, forMs) => {
        this.#options.onStalled?.({ host: member.host, pid: member.pid });
        this.#membership.drop(member, `no progress for ${Math.round(forMs)} ms, though its heartbeats come`);
      },
      nobodyLeft: () => this.#notice("no worker is left: waiting for one to join"),
    });
    this.#validator = new Validator({
      run,
      clock: this.#clock,
      generation: options.generation,
      membership: this.#membership,
      dealer: this.#dealer,
      changed: this.#changed,
      orFailure: (promise) => this.#orFailure(promise),
    });
  }

  /** A new worker connection, not yet listened to. */
  accept(connection: Connection<ToWorker, ToCoordinator>): void {
    if (this.#state === "over") connection.close("the run is over");
    else this.#membership.accept(connection);
  }

  /** Ends the run after the step under way; `train` then returns with outcome "stopped". */
  stop(): void {
    if (this.#state !== "over") this.#state = "stopping";
    this.#changed.notify();
  }

  /** Ends the run at once with an error, such as local workers that cannot be started. Nothing uncommitted remains. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#rejectWaiting(error);
  }

  /** Trains to the end of the run. Throws what made it fail. */
  async train(): Promise<DoneEvent> {
    try {
      await this.#workersReady();
      const startedMs = this.#clock.now();
      if (this.#state !== "stopping") this.#begin();
      let validation: Validation | undefined;
      while (this.#generations.step < this.#run.totalSteps && this.#state !== "stopping") {
        const batch = await this.#nextBatch();
        await this.#trainStep(batch);
        const isLast = this.#generations.step === this.#run.totalSteps || this.#isStopping;
        const validated = this.#isValidationDue() ? await this.#validate() : undefined;
        validation = validated ?? validation;
        await this.#orFailure(this.#options.afterStep?.(this.view, validated, isLast));
      }
      return this.#finish(this.#clock.now() - startedMs, validation);
    } catch (error) {
      this.#end("failed", `the run failed: ${error instanceof Error ? error.message : String(error)}`);
      throw error;
    }
  }

  /** The state now; see StateView for how long the views hold. */
  get view(): StateView {
    const { step, parameters } = this.#generations;
    const slots = this.#run.optimizer.slots.map((_, i) => this.#generations.slot(i));
    return { step, numericClass: this.#numericClass ?? "", parameters, slots };
  }

  /** SHA-256 (hex) over the parameters in layout order, little-endian float32, without padding. */
  weightsSha256(): string {
    const hash = createHash("sha256");
    const parameters = this.#generations.parameters;
    for (const { offset, length } of this.#run.layout.entries)
      hash.update(parameters.subarray(offset, offset + length));
    return hash.digest("hex");
  }

  // ———————————————————————————————————————————————— one training step ————————————————————————————————————————————————

  /** assign → collect → reduce → update → commit → publish */
  async #trainStep(batch: PreparedBatch): Promise<void> {
    while (!this.#publisher.isFlushed(this.#membership.active)) await this.#orFailure(this.#changed.wait());
    const { round, collected } = this.#assign(batch); // shards → leases → workers
    this.#readAhead(); // the next step's rows travel meanwhile
    await this.#orFailure(collected); // answers are reduced, updated and sent back chunk by chunk as they come
    const { gradientNorm, hash } = this.#finishUpdate(round);
    this.#commit(round, hash); // t+1 becomes the current generation, everywhere
    this.#publish(round, gradientNorm);
  }

  #assign(batch: PreparedBatch): { round: StepRound; collected: Promise<void> } {
    const collected = deferred();
    const ahead = this.#ahead;
    this.#ahead = undefined;
    const shares =
      ahead !== undefined && this.#dealer.isCurrent(ahead.shares)
        ? ahead.shares
        : this.#dealer.plan(batch.shards.length);
    const nodes = shares.length > 0 ? shares.flatMap((share) => share.nodes) : [{ lo: 0, hi: batch.shards.length }];
    const update = this.#newUpdate(batch);
    const round: StepRound = new StepRound({
      number: ahead?.round ?? this.#nextRound++,
      step: this.#generations.step,
      batch,
      nodes,
      reduction: this.#reduction,
      scalarsLength: this.#run.programs.find(({ mode }) => mode === "train")!.scalars.length,
      chunkReduced: (chunk) => this.#phases.run("update", () => update.chunkReduced(chunk)),
      scalarsKnown: () => this.#phases.run("update", () => this.#scalarsKnown(round, update)),
      complete: () => {
        this.#phases.complete();
        collected.resolve();
      },
    });
    this.#update = update;
    this.#phases.dealt();
    this.#phases.run("data", () => {
      this.#dealer.open(round, (shard) => batch.shards[shard]);
      for (const { worker, nodes } of shares) {
        for (const node of nodes) this.#dealer.deal(round.leases.get(node)!, worker);
        if (nodes.length === 0) this.#tellStandby(worker);
      }
      this.#dealer.dealOrphans();
    });
    return { round, collected: collected.promise };
  }

  #newUpdate(batch: PreparedBatch): StepUpdate {
    return new StepUpdate({
      kernels: this.#kernels,
      arena: this.#arena,
      layout: this.#run.trainable,
      statistics: this.#run.statistics,
      samples: batch.samples,
      optimizer: this.#run.optimizer,
      generations: this.#generations,
      reduction: this.#reduction,
      hashScratch: this.#hashScratch,
      normBlockFloats: this.#options.normBlockFloats ?? 16_384,
      send: (chunk) => this.#phases.run("download", () => this.#publisher.sendUpdate(this.#membership.active, chunk)),
    });
  }

  #scalarsKnown(round: StepRound, update: StepUpdate): void {
    const { sums, perShard } = round.scalars!;
    const weight = sums[1]!;
    if (Number.isFinite(sums[0]!) && Number.isFinite(weight) && weight !== 0) {
      update.divisorKnown(Math.fround(weight));
      return;
    }
    const shards = [...perShard.keys()].filter(
      (i) => !Number.isFinite(perShard[i]![0]!) || !Number.isFinite(perShard[i]![1]!),
    );
    const what =
      weight === 0 ? "the sample weights add up to 0" : `the loss of shard ${shards.join(", ")} is NaN or infinite`;
    const step = round.step + 1;
    const remedy = "Lower the learning rate, clip gradients, or check the data";
    this.fail(
      new TuttiError("NON_FINITE", `step ${step}: ${what}; the step was not committed. ${remedy}`, { step, shards }),
    );
  }

  #finishUpdate(round: StepRound): { gradientNorm: number; hash: string } {
    try {
      return this.#phases.run("update", () => this.#update!.finish());
    } catch (error) {
      this.#broadcast({ type: "abort", generation: this.#options.generation, round: round.number });
      throw error;
    }
  }

  #commit(round: StepRound, hash: string): void {
    this.#generations.commit();
    this.#update = undefined;
    const { step } = this.#generations;
    this.#phases.run("download", () => {
      this.#broadcast({ type: "commit", generation: this.#options.generation, step, round: round.number, hash });
    });
    this.#dealer.close(this.#membership.all, round.batch.shards.length);
  }

  #publish(round: StepRound, gradientNorm: number): void {
    const { wallMs, time } = this.#phases.split(round.lastComputeMs);
    const { sums } = round.scalars!;
    const { step } = this.#generations;
    this.#count(round);
    this.#ledger.samples += round.batch.samples;
    this.#emit({
      type: "step",
      step,
      epoch: round.batch.epoch,
      loss: sums[0]! / sums[1]!,
      lr: this.#run.optimizer.learningRate(step),
      gradientNorm,
      metrics: finishMetrics(this.#run.metrics, sums),
      samples: round.batch.samples,
      samplesPerSecond: (round.batch.samples * 1000) / wallMs,
      wallMs,
      time,
      ...(this.#options.hashEveryStep ? { weightsSha256: this.weightsSha256() } : {}),
    });
  }

  // ——————————————————————————————————————————————————————— data ———————————————————————————————————————————————————————

  async #nextBatch(): Promise<PreparedBatch> {
    this.#phases.start();
    const waitingSince = this.#clock.now();
    const batch = await this.#orFailure(this.#ahead?.batch ?? this.#run.batches.read(this.#generations.step));
    this.#phases.add("data", this.#clock.now() - waitingSince);
    return batch;
  }

  #readAhead(): void {
    const step = this.#generations.step + 1;
    if (step >= this.#run.totalSteps || this.#isStopping) return;
    const ahead: BatchAhead = { round: this.#nextRound++, batch: this.#run.batches.read(step), shares: [] };
    this.#ahead = ahead;
    ahead.batch.then(
      (batch) => {
        if (this.#ahead !== ahead || this.#state === "over") return;
        ahead.shares = this.#dealer.plan(batch.shards.length);
        this.#phases.run("data", () => {
          for (const { worker, nodes } of ahead.shares) {
            for (const node of nodes) this.#dealer.sendRows(ahead.round, node, (shard) => batch.shards[shard], worker);
          }
        });
      },
      () => {}, // whoever awaits the batch sees the error
    );
  }

  // ———————————————————————————————————————————————————— validation ————————————————————————————————————————————————————

  #isValidationDue(): boolean {
    const { evaluation, totalSteps } = this.#run;
    const { step } = this.#generations;
    return evaluation !== undefined && (evaluation.isDue(step) || step === totalSteps);
  }

  async #validate(): Promise<Validation> {
    const { event, round } = await this.#validator.validate(this.#nextRound++, this.#generations.step);
    this.#count(round);
    this.#emit(event);
    return { loss: event.loss, ...event.metrics };
  }

  // ————————————————————————————————————————————————————— members —————————————————————————————————————————————————————

  #memberEvents(): ConstructorParameters<typeof Membership>[2] {
    return {
      hello: (member) => this.#welcome(member),
      ready: (member) => this.#admit(member),
      message: (member, message, payload) => this.#receive(member, message, payload),
      left: (member, departure) => this.#left(member, departure),
      broken: (error) => this.fail(error),
    };
  }

  #welcome(member: Member): void {
    const { programs, layout, updated, canaries } = this.#run;
    const { heartbeatMs, silenceMs } = { ...defaultMembership, ...this.#options.membership };
    member.send({
      type: "welcome",
      protocol: protocolVersion,
      run: this.#run.id,
      generation: this.#options.generation,
      worker: member.id,
      parameterFloats: layout.totalFloats,
      seed: this.#run.seed,
      updatedFloats: updated.totalFloats,
      sumsFloats: Math.max(...programs.map(({ sumsFloats }) => sumsFloats)),
      chunkFloats: this.#reduction.chunkFloats,
      inlineBytes: this.#inlineBytes,
      programs: programs.length,
      heartbeatMs,
      silenceMs,
    });
    for (const { id, onnx, ...manifest } of programs) {
      member.send({ type: "program", id, manifest, payloadBytes: onnx.byteLength }, onnx);
    }
    for (const [i, { program, bytes }] of canaries.entries()) {
      member.send({ type: "canary", program, last: i === canaries.length - 1, payloadBytes: bytes.byteLength }, bytes);
    }
  }

  #admit(member: Member): void {
    const { id, host, lanes, numericClass } = member;
    this.#numericClass ??= numericClass;
    if (this.#numericClass !== numericClass) {
      const reason = `its arithmetic differs (numeric class ${numericClass.slice(0, 12)}; the run is pinned to ${this.#numericClass.slice(0, 12)}): use machines of one CPU family with the same engine version`;
      this.#emit({ type: "worker", event: "refused", id, host, lanes, reason });
      member.dismiss("NUMERIC_CLASS", reason, false);
      return;
    }
    member.state = "active";
    this.#emit({ type: "worker", event: "joined", id, host, lanes });
    this.#publisher.sendAll(member, this.#update?.updatedChunks ?? []);
    this.#dealer.dealOrphans();
    this.#changed.notify();
  }

  #receive(member: Member, message: ToCoordinator, payload: Uint8Array | undefined): void {
    if (message.type === "differs") {
      this.#membership.drop(member, `its parameters after step ${message.step} differ from the coordinator's`);
      return;
    }
    if (message.type !== "result" && message.type !== "partial" && message.type !== "failed") return;
    const { round } = this.#dealer;
    member.lastProgressMs = this.#clock.now();
    if (round === undefined || message.round !== round.number || message.generation !== this.#options.generation) {
      this.#ledger.staleDropped++;
      return;
    }
    if (message.type === "failed") {
      this.#leaseFailed(member, message);
    } else if (message.type === "result") {
      const lease = round.leases.get(message);
      if (lease !== undefined && !lease.isDone)
        member.measure(message.hi - message.lo, this.#clock.now() - lease.dealtAtMs);
      if (round instanceof StepRound) member.leasesAnswered++;
      this.#phases.announced();
      this.#phases.run("reduce", () => round.result(member, message));
    } else if (round instanceof StepRound) {
      this.#phases.run("reduce", () => round.partial(member, message, payload));
    }
  }

  #leaseFailed(member: Member, message: FailedMessage): void {
    const { round } = this.#dealer;
    const lease = round?.leases.get(message);
    if (round === undefined || lease === undefined || lease.isDone) return;
    lease.holders.delete(member);
    lease.failures++;
    const where = `step ${round.step + 1}, shards ${message.lo}…${message.hi - 1}, worker ${member.id} on ${member.host}`;
    if (lease.failures >= 3) {
      this.fail(new TuttiError("ENGINE_FAILED", `${where}: ${message.message} (tried ${lease.failures} times)`));
      return;
    }
    this.#notice(`${where}: ${message.message}; dealt again`);
    this.#dealer.dealOrphans();
  }

  #left(member: Member, departure: Departure): void {
    const { id, host, lanes } = member;
    if (host !== "?") this.#emit({ type: "worker", event: "left", id, host, lanes, reason: departure.reason });
    this.#dealer.round?.leases.release(member);
    this.#dealer.dealOrphans();
    this.#changed.notify();
  }

  #tellStandby(member: Member): void {
    if (member.toldStandby) return;
    member.toldStandby = true;
    const { host, lanes, id } = member;
    const reason = `all ${this.#run.shards} shards of a step are dealt to others; raise \`shards\` to use more workers`;
    this.#emit({ type: "worker", event: "standby", id, host, lanes, reason });
  }

  // ———————————————————————————————————————————————— beginning and end ————————————————————————————————————————————————

  async #workersReady(): Promise<void> {
    const wanted = Math.max(1, this.#options.startWorkers);
    while (this.#membership.active.length < wanted && this.#state !== "stopping")
      await this.#orFailure(this.#changed.wait());
  }

  #begin(): void {
    this.#state = "training";
    const { definitionDigest, shards, seed, batchSize, stepsPerEpoch, totalSteps, trainable } = this.#run;
    this.#emit({
      type: "run",
      definitionDigest,
      parameters: trainable.entries.reduce((sum, { length }) => sum + length, 0),
      shards,
      seed,
      batchSize,
      stepsPerEpoch,
      totalSteps,
      startStep: this.#startStep,
      numericClass: this.#numericClass ?? "",
    });
  }

  #finish(wallMs: number, validation: Validation | undefined): DoneEvent {
    const { step } = this.#generations;
    const done: DoneEvent = {
      type: "done",
      outcome: step >= this.#run.totalSteps ? "completed" : "stopped",
      steps: step,
      epochs: step / this.#run.stepsPerEpoch,
      weightsSha256: this.weightsSha256(),
      validation: validation ?? null,
      wallMs,
      samplesPerSecond: (this.#ledger.samples * 1000) / wallMs,
      ledger: { ...this.#ledger },
      workers: this.#membership.active.map(({ id, host, lanes, leasesAnswered }) => ({
        id,
        host,
        lanes,
        leases: leasesAnswered,
      })),
    };
    this.#emit(done);
    this.#end(done.outcome, `the run is over: ${done.outcome}`);
    return done;
  }

  #end(code: string, message: string): void {
    this.#state = "over";
    this.#dealer.stop();
    this.#membership.dismissAll(code, message);
  }

  get #inlineBytes(): number {
    return this.#options.inlineBytes ?? 16_384;
  }

  get #isStopping(): boolean {
    return this.#state === "stopping";
  }

  #count(round: StepRound | EvaluationRound): void {
    this.#ledger.leasesDealtAgain += round.leases.dealtAgain;
    this.#ledger.duplicatesDropped += round.duplicates;
  }

  #broadcast(message: ToWorker): void {
    for (const member of this.#membership.active) member.send(message);
  }

  #notice(message: string): void {
    this.#emit({ type: "notice", message });
  }

  #emit(event: RunEvent): void {
    this.#options.onEvent(event);
  }

  /** Waits, unless the run fails first. Only train() waits, for one thing at a time. */
  #orFailure<T>(promise: Promise<T> | T): Promise<T> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    return new Promise<T>((resolve, reject) => {
      this.#rejectWaiting = reject;
      Promise.resolve(promise).then(resolve, reject);
    });
  }
}

/** The next step's batch, being read or already with the workers that are expected to compute it. */
interface BatchAhead {
  readonly round: number;
  readonly batch: Promise<PreparedBatch>;
  shares: readonly LeaseShare<Member>[];
}
