import { createHash } from "node:crypto";
import type { Clock } from "@tutti/core/clock";
import { isTuttiError, TuttiError } from "@tutti/core/errors";
import type { DoneEvent, RunEvent } from "@tutti/core/events";
import { computeMemory, type Kernels } from "@tutti/core/kernels";
import type { Arena } from "@tutti/core/memory";
import type { Connection, ToCoordinator, ToWorker } from "@tutti/core/wire";
import { Auditor } from "./audit.ts";
import type { CoordinatorOptions, StartingPoint, StateView } from "./coordinator-options.ts";
import { Dealer } from "./dealer.ts";
import { deferred } from "./deferred.ts";
import type { EvaluationRound } from "./evaluation-round.ts";
import { Generations } from "./generations.ts";
import { Intake } from "./intake.ts";
import type { Departure, Member } from "./member.ts";
import { Membership } from "./membership.ts";
import { defaultMembership } from "./membership-policy.ts";
import { PhaseClock } from "./phase-clock.ts";
import { initialProgress, nextProgress, type Progress } from "./progress.ts";
import { Publisher } from "./publisher.ts";
import { ReadAhead } from "./read-ahead.ts";
import { Reception } from "./reception.ts";
import { Reduction } from "./reduction.ts";
import { runDone, runStarted } from "./run-events.ts";
import { Signal } from "./signal.ts";
import { StepRound } from "./step-round.ts";
import { StepUpdate } from "./step-update.ts";
import { finishMetrics, type PreparedBatch, type TrainingRun } from "./training-run.ts";
import { type Validation, Validator } from "./validator.ts";

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
  readonly #ahead: ReadAhead;
  readonly #phases: PhaseClock;
  readonly #changed = new Signal();
  readonly #intake: Intake;
  readonly #auditor: Auditor;
  readonly #hashScratch: number;
  readonly #startStep: number;
  readonly #reception: Reception;
  readonly #ledger = {
    samples: 0,
    leasesDealtAgain: 0,
    duplicatesDropped: 0,
    duplicatesDiffering: 0,
    staleDropped: 0,
    nodesAudited: 0,
    workersHealed: 0,
    workersQuarantined: 0,
    skippedSteps: 0,
  };
  #update: StepUpdate | undefined;
  #progress: Progress;
  #nextRound = 1;
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
    this.#generations = new Generations(this.#arena, run.optimizer, floats, {
      step: start.step,
      updates: start.step - (start.skippedSteps ?? 0),
    });
    this.#generations.initialize(start.parameters, start.slots);
    this.#startStep = start.step;
    this.#progress = start.progress ?? initialProgress;
    this.#ledger.skippedSteps = start.skippedSteps ?? 0;
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
      lateMs: () => Math.max(options.lateMs ?? 10_000, 8 * this.#intake.leaseTimes.p95()),
      graceMs: options.graceMs ?? 2000,
      active: () => this.#membership.active,
      stalled: (member, forMs) => {
        this.#options.onStalled?.({ host: member.host, pid: member.pid });
        this.#membership.drop(member, `no progress for ${Math.round(forMs)} ms, though its heartbeats come`);
      },
      nobodyLeft: () => this.#notice("no worker is left: waiting for one to join"),
      noneToConfirm: (lease) => this.#intake.noneToConfirm(lease),
    });
    this.#reception = new Reception({
      run,
      generation: options.generation,
      membership: { ...defaultMembership, ...options.membership },
      chunkFloats: this.#reduction.chunkFloats,
      inlineBytes: this.#inlineBytes,
      maxWorkers: options.maxWorkers ?? Number.POSITIVE_INFINITY,
      numericClass: start.numericClass,
      active: () => this.#membership.active,
      emit: (event) => this.#emit(event),
      admitted: (member) => this.#admitted(member),
    });
    this.#ahead = new ReadAhead(run, this.#dealer, this.#phases);
    this.#auditor = new Auditor({ arena, kernels }, this.#reduction, run.seed, options.auditShare ?? 0);
    this.#intake = new Intake({
      clock: this.#clock,
      generation: options.generation,
      dealer: this.#dealer,
      membership: this.#membership,
      phases: this.#phases,
      ledger: this.#ledger,
      sendParameters: (member) => this.#publisher.sendAll(member, this.#update?.updatedChunks ?? []),
      emit: (event) => this.#emit(event),
      fail: (error) => this.fail(error),
    });
    this.#validator = new Validator({
      run,
      clock: this.#clock,
      generation: options.generation,
      generations: this.#generations,
      publisher: this.#publisher,
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

  /** True once the run has ended, well or not. */
  get isOver(): boolean {
    return this.#state === "over";
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
      if (!this.#isComplete) await this.#workersReady();
      const startedMs = this.#clock.now();
      if (this.#state !== "stopping") this.#begin();
      let validation: Validation | undefined;
      while (!this.#isComplete && !this.#isStopping) {
        await this.#enoughWorkers();
        if (this.#isStopping) break;
        await this.#trainStep(await this.#nextBatch());
        const validated = this.#isValidationDue() ? await this.#validate() : undefined;
        validation = validated ?? validation;
        if (validated !== undefined) this.#progress = nextProgress(this.#progress, this.#run, validated);
        await this.#orFailure(this.#options.afterStep?.(this.view, validated, false));
      }
      await this.#orFailure(this.#options.afterStep?.(this.view, undefined, true));
      return this.#finish(this.#clock.now() - startedMs, validation);
    } catch (error) {
      this.#end("failed", `the run failed: ${error instanceof Error ? error.message : String(error)}`);
      throw error;
    }
  }

  /** The state now; see StateView for how long the views hold. */
  get view(): StateView {
    const { step, parameters, updates } = this.#generations;
    const slots = this.#run.optimizer.slots.map((_, i) => this.#generations.slot(i));
    return {
      step,
      skippedSteps: step - updates,
      progress: this.#progress,
      numericClass: this.#reception.numericClass ?? "",
      parameters,
      slots,
    };
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
    const update = this.#finishUpdate(round);
    if (update.nonFinite !== undefined) {
      this.#leaveOut(round, update.nonFinite);
      return;
    }
    this.#commit(round, update.hash); // t+1 becomes the current generation, everywhere
    this.#publish(round, update.gradientNorm);
  }

  #assign(batch: PreparedBatch): { round: StepRound; collected: Promise<void> } {
    const collected = deferred();
    const ahead = this.#ahead.take();
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
      arena: this.#arena,
      disputed: (lease, members) => this.#intake.disputed(round, lease, members),
      differs: (member, lease) => this.#intake.lateAnswerDiffers(round, member, lease),
      wrong: (member, lease) => this.#intake.quarantine(member, lease),
    });
    this.#auditor.plan(round, this.#generations.step, this.#membership.active.length);
    this.#update = update;
    this.#phases.dealt();
    this.#phases.run("data", () => {
      this.#dealer.open(round, (shard) => batch.shards[shard]);
      for (const { worker, nodes } of shares) {
        for (const node of nodes) this.#dealer.deal(round.leases.get(node)!, worker);
        if (nodes.length === 0) this.#reception.standby(worker);
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
      plateau: this.#progress.plateau,
      generations: this.#generations,
      reduction: this.#reduction,
      hashScratch: this.#hashScratch,
      normBlockFloats: this.#options.normBlockFloats ?? 16_384,
      send: (chunk) => this.#phases.run("download", () => this.#publisher.sendUpdate(this.#membership.active, chunk)),
    });
  }

  #scalarsKnown(round: StepRound, update: StepUpdate): void {
    round.nonFinite = round.nonFiniteLoss();
    if (round.nonFinite === undefined) update.divisorKnown(Math.fround(round.scalars!.sums[1]!));
  }

  /** @returns the error instead, when a number is not finite and such steps are to be left out. */
  #finishUpdate(
    round: StepRound,
  ): { gradientNorm: number; hash: string; nonFinite?: undefined } | { nonFinite: TuttiError } {
    try {
      if (round.nonFinite !== undefined) throw round.nonFinite;
      return this.#phases.run("update", () => this.#update!.finish());
    } catch (error) {
      this.#broadcast({ type: "abort", generation: this.#options.generation, round: round.number });
      if (!isTuttiError(error) || error.code !== "NON_FINITE" || this.#options.onNonFinite !== "skip") throw error;
      return { nonFinite: error };
    }
  }

  /** The step advances step and data position, and nothing else. */
  #leaveOut(round: StepRound, error: TuttiError): void {
    this.#generations.skip();
    this.#update = undefined;
    const { step } = this.#generations;
    this.#broadcast({ type: "skip", generation: this.#options.generation, step, round: round.number });
    this.#dealer.close(this.#membership.all, round.batch.shards.length);
    this.#count(round);
    this.#ledger.samples += round.batch.samples;
    this.#ledger.skippedSteps++;
    this.#emit({
      type: "skipped",
      step,
      epoch: round.batch.epoch,
      samples: round.batch.samples,
      reason: error.message,
    });
  }

  #commit(round: StepRound, hash: string): void {
    this.#generations.commit();
    this.#reception.committed();
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
    this.#ledger.nodesAudited += round.nodesAudited;
    this.#emit({
      type: "step",
      step,
      epoch: round.batch.epoch,
      loss: sums[0]! / sums[1]!,
      lr: this.#run.optimizer.learningRate(this.#generations.updates, this.#progress.plateau),
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

  #readAhead(): void {
    const step = this.#generations.step + 1;
    if (step < this.#run.totalSteps && !this.#isStopping) this.#ahead.start(this.#nextRound++, step);
  }

  async #nextBatch(): Promise<PreparedBatch> {
    this.#phases.start();
    const waitingSince = this.#clock.now();
    const batch = await this.#orFailure(this.#ahead.batch ?? this.#run.batches.read(this.#generations.step));
    this.#phases.add("data", this.#clock.now() - waitingSince);
    return batch;
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
      hello: (member) => this.#reception.welcome(member),
      ready: (member) => this.#reception.ready(member),
      message: (member, message, payload) => this.#intake.receive(member, message, payload),
      left: (member, departure) => this.#left(member, departure),
      broken: (error) => this.fail(error),
    };
  }

  #admitted(member: Member): void {
    this.#publisher.sendAll(member, this.#update?.updatedChunks ?? []);
    const { averageSlot } = this.#run.optimizer;
    if (this.#dealer.round?.usesAverage && averageSlot !== undefined) this.#publisher.sendAverage(member, averageSlot);
    this.#dealer.dealOrphans();
    this.#changed.notify();
  }

  #left(member: Member, departure: Departure): void {
    const { id, host, lanes } = member;
    if (host !== "?") this.#emit({ type: "worker", event: "left", id, host, lanes, reason: departure.reason });
    this.#dealer.round?.leases.release(member);
    this.#reception.left(member);
    this.#dealer.dealOrphans();
    this.#changed.notify();
  }

  // ———————————————————————————————————————————————— beginning and end ————————————————————————————————————————————————

  async #workersReady(): Promise<void> {
    const wanted = Math.max(1, this.#options.startWorkers);
    while (this.#membership.active.length < wanted && this.#state !== "stopping")
      await this.#orFailure(this.#changed.wait());
  }

  async #enoughWorkers(): Promise<void> {
    const least = this.#options.minWorkers ?? 1;
    if (least <= 1 || this.#membership.active.length >= least) return;
    this.#notice(`${this.#membership.active.length} of at least ${least} workers are here: waiting for more`);
    while (this.#membership.active.length < least && !this.#isStopping) await this.#orFailure(this.#changed.wait());
  }

  #begin(): void {
    this.#state = "training";
    this.#emit(runStarted(this.#run, this.#startStep, this.#reception.numericClass ?? ""));
  }

  #finish(wallMs: number, validation: Validation | undefined): DoneEvent {
    const { step } = this.#generations;
    const outcome = !this.#isComplete ? "stopped" : step < this.#run.totalSteps ? "early-stopped" : "completed";
    const result = { outcome, step, weightsSha256: this.weightsSha256(), validation, wallMs } as const;
    const done = runDone(this.#run, result, this.#ledger, this.#membership.active);
    this.#emit(done);
    this.#end(done.outcome, `the run is over: ${done.outcome}`);
    return done;
  }

  #end(code: string, message: string): void {
    this.#state = "over";
    this.#ahead.take();
    this.#dealer.stop();
    this.#membership.dismissAll(code, message);
  }

  /** All steps are done, or validations have said that it is enough. */
  get #isComplete(): boolean {
    return this.#generations.step >= this.#run.totalSteps || this.#progress.earlyStopping.isOver;
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
    if (round instanceof StepRound) this.#ledger.duplicatesDiffering += round.duplicatesDiffering;
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
