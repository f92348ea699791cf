import type { Clock } from "@tutti/core/clock";
import { isTuttiError } from "@tutti/core/errors";
import type { ControlRequest, CoordinatorStatus, DoneEvent, RunEvent, StepTimes } from "@tutti/core/events";
import { sha256OfParameters } from "@tutti/core/exchange";
import type { Connection, ToCoordinator, ToWorker } from "@tutti/core/wire";
import type { CoordinatorOptions, StartingPoint, StateView } from "./coordinator-options.ts";
import { type CoordinatorParts, coordinatorParts } from "./coordinator-parts.ts";
import { Lifecycle } from "./lifecycle.ts";
import type { Departure, Member } from "./member.ts";
import type { Membership } from "./membership.ts";
import { initialProgress, nextProgress, type Progress } from "./progress.ts";
import { runDone, runStarted } from "./run-events.ts";
import { RunLedger } from "./run-ledger.ts";
import { coordinatorStatus, stepTimes } from "./status.ts";
import type { PreparedBatch, TrainingRun } from "./training-run.ts";
import { TrainingStep } from "./training-step.ts";
import type { Validation } from "./validator.ts";

/**
 * Trains a run with whatever workers connect. Transport, clock and lanes are given to it, so the same code runs over
 * sockets, in one process and in the simulator.
 */
export class Coordinator {
  readonly #run: TrainingRun;
  readonly #options: CoordinatorOptions;
  readonly #clock: Clock;
  readonly #life = new Lifecycle();
  readonly #parts: CoordinatorParts;
  readonly #startStep: number;
  readonly #ledger: RunLedger;
  /** The step under way, or the last one. */
  #step: TrainingStep | undefined;
  #progress: Progress;
  /** The validation that is due after the last step has not been done yet. */
  #owesValidation: boolean;
  #nextRound = 1;

  constructor(run: TrainingRun, start: StartingPoint, options: CoordinatorOptions) {
    this.#run = run;
    this.#options = options;
    this.#clock = options.clock;
    this.#startStep = start.step;
    this.#progress = start.progress ?? initialProgress;
    this.#owesValidation = start.owesValidation ?? false;
    this.#ledger = new RunLedger(start.skippedSteps ?? 0);
    this.#parts = coordinatorParts(run, start, options, {
      life: this.#life,
      ledger: this.#ledger,
      members: this.#memberEvents(),
      step: () => this.#step,
      view: () => this.view,
      weightsSha256: () => this.weightsSha256(),
      admitted: (member) => this.#admitted(member),
      sendParameters: (member) => this.#sendParameters(member),
      notice: (message) => this.#notice(message),
      fail: (error) => this.fail(error),
    });
  }

  /** A new worker connection, not yet listened to. @param address where it comes from. */
  accept(connection: Connection<ToWorker, ToCoordinator>, address = "127.0.0.1"): void {
    if (this.#life.isOver) connection.close("the run is over");
    else this.#parts.membership.accept(connection, address);
  }

  /** True once the run has ended, well or not. */
  get isOver(): boolean {
    return this.#life.isOver;
  }

  /**
   * Ends the run after the step under way, or without it when no worker is left to compute it; `train` then returns with
   * outcome "stopped".
   */
  stop(): void {
    this.#life.stop();
  }

  /** Does what a person asks for, after the step under way; it cannot change a bit of the result. Throws BAD_OPTION if it is not possible. */
  order(request: ControlRequest): void {
    this.#parts.steering.order(request);
  }

  /** What is known of the run besides its events. */
  get status(): CoordinatorStatus {
    return coordinatorStatus(this.#life.state, this.#parts.steering.isPaused, this.#parts.membership.all, this.#ledger);
  }

  /** Where the time of the last committed step went by worker; null before the first. */
  get stepTimes(): StepTimes | null {
    if (this.#step === undefined || this.#parts.generations.step === this.#startStep) return null;
    return stepTimes(this.#parts.generations.step, this.#step.wallMs, this.#parts.membership.active);
  }

  /** Ends the run at once with an error, such as local workers that cannot be started. Nothing uncommitted remains. */
  fail(error: unknown): void {
    this.#life.fail(error);
  }

  /** Trains to the end of the run. Throws what made it fail. */
  async train(): Promise<DoneEvent> {
    try {
      if (!this.#isComplete) await this.#workersReady();
      const startedMs = this.#clock.now();
      if (!this.#life.isStopping) this.#begin();
      let validation: Validation | undefined;
      while (!this.#isComplete && !this.#life.isStopping) {
        await this.#parts.steering.betweenSteps();
        await this.#enoughWorkers();
        if (this.#life.isStopping) break;
        if (!this.#owesValidation) {
          if (!(await this.#trainStep(await this.#nextBatch()))) break;
          this.#owesValidation = this.#isValidationDue();
        }
        const validated = this.#owesValidation ? await this.#validate() : undefined;
        if (this.#owesValidation) break;
        validation = validated ?? validation;
        await this.#life.orFailure(this.#options.afterStep?.(this.view, validated, false));
      }
      await this.#life.orFailure(this.#options.afterStep?.(this.view, undefined, true));
      return this.#finish(this.#clock.now() - startedMs, validation);
    } catch (error) {
      const message = `the run failed: ${error instanceof Error ? error.message : String(error)}`;
      this.#end("failed", message, isForWantOfRoom(error));
      throw error;
    } finally {
      await this.#parts.step.threads?.close();
    }
  }

  /** The state now; see StateView for how long the views hold. */
  get view(): StateView {
    const { step, parameters, updates } = this.#parts.generations;
    const slots = this.#run.optimizer.slots.map((_, i) => this.#parts.generations.slot(i));
    return {
      step,
      skippedSteps: step - updates,
      owesValidation: this.#owesValidation,
      progress: this.#progress,
      numericClass: this.#parts.reception.numericClass ?? "",
      parameters,
      slots,
    };
  }

  /** SHA-256 (hex) over the parameters in layout order, little-endian float32, without padding. */
  weightsSha256(): string {
    return sha256OfParameters(this.#run.layout, this.#parts.generations.parameters);
  }

  // ———————————————————————————————————————————————— one training step ————————————————————————————————————————————————

  /**
   * assign → collect → reduce → update → commit → publish
   * @returns false when it was given up: the run is stopping, and nobody is left to compute.
   */
  async #trainStep(batch: PreparedBatch, timesBegun = 1): Promise<boolean> {
    await this.#life.until(() => this.#parts.publisher.isFlushed(this.#parts.membership.active));
    const ending = this.#parts.step.threads?.ending;
    if (ending !== undefined) await this.#life.orFailure(ending);
    const step = this.#assign(batch, timesBegun > 1); // shards → leases → workers
    // The next step's rows travel meanwhile. A worker in this process has its leases in a microtask, and comes first.
    if (timesBegun === 1) queueMicrotask(() => this.#readAhead());
    const isInDoubt = (): boolean => step.distrusted !== undefined && timesBegun <= mostBeginnings;
    await this.#life.until(() => step.isCollected || isInDoubt() || this.#isDeserted); // answers are reduced, updated and sent back chunk by chunk as they come
    if (isInDoubt()) return this.#beginAnew(step, batch, timesBegun);
    if (!step.isCollected) {
      step.abandon();
      this.#notice(`no worker is left to finish step ${this.#parts.generations.step + 1}: stopping without it`);
      return false;
    }
    const update = step.finishUpdate();
    if (update.nonFinite !== undefined) {
      step.leaveOut(update.nonFinite);
      return true;
    }
    await this.#life.until(() => step.isAgreed || isInDoubt()); // workers that hold replicas have applied the update, too
    if (isInDoubt()) return this.#beginAnew(step, batch, timesBegun);
    step.commit(update.hash); // t+1 becomes the current generation, everywhere
    step.publish(update.gradientNorm);
    return true;
  }

  /** Nothing that a worker has contributed counts once it has broken a rule or computed wrong. */
  #beginAnew(step: TrainingStep, batch: PreparedBatch, timesBegun: number): Promise<boolean> {
    const { id = "?", host = "?" } = step.distrusted ?? {};
    step.abandon();
    this.#notice(
      `step ${this.#parts.generations.step + 1} begins anew without what ${id} on ${host} contributed to it`,
    );
    return this.#trainStep(batch, timesBegun + 1);
  }

  /** @param isAgain what is known of the next step is left for it, and sums go over the coordinator. */
  #assign(batch: PreparedBatch, isAgain: boolean): TrainingStep {
    const ahead = isAgain ? undefined : this.#parts.ahead.take();
    const isCurrent = ahead !== undefined && this.#parts.dealer.isCurrent(ahead.shares);
    const shares = isCurrent ? ahead.shares : this.#parts.dealer.plan(batch.shards.length);
    const number = ahead?.round ?? this.#nextRound++;
    const { members, isDirect } = this.#parts.mesh.plan();
    const isMesh =
      isDirect &&
      !isAgain &&
      shares.length === members.length &&
      shares.every(({ worker }, i) => worker === members[i]);
    const step = new TrainingStep(this.#parts.step, number, batch, this.#progress.plateau, shares, isMesh);
    this.#step = step;
    step.deal(shares);
    return step;
  }

  // ——————————————————————————————————————————————————————— data ———————————————————————————————————————————————————————

  #readAhead(): void {
    const step = this.#parts.generations.step + 1;
    if (step < this.#run.totalSteps && !this.#life.isStopping) this.#parts.ahead.start(this.#nextRound++, step);
  }

  async #nextBatch(): Promise<PreparedBatch> {
    this.#parts.phases.start();
    const waitingSinceMs = this.#clock.now();
    const batch = await this.#life.orFailure(
      this.#parts.ahead.batch ?? this.#run.batches.read(this.#parts.generations.step),
    );
    this.#parts.phases.waited("data", waitingSinceMs);
    return batch;
  }

  // ———————————————————————————————————————————————————— validation ————————————————————————————————————————————————————

  #isValidationDue(): boolean {
    const { evaluation, totalSteps } = this.#run;
    const { step } = this.#parts.generations;
    return evaluation !== undefined && (evaluation.isDue(step) || step === totalSteps);
  }

  /** @returns undefined when it was given up, and is owed: the run is stopping, and nobody is left to compute. */
  async #validate(): Promise<Validation | undefined> {
    const { step } = this.#parts.generations;
    this.#parts.phases.interrupt();
    const sinceMs = this.#clock.now();
    const { event, round } = await this.#parts.validator.validate(this.#nextRound++, step, () => this.#isDeserted);
    this.#parts.trace?.span("validation", sinceMs, this.#clock.now(), step);
    this.#ledger.add(round);
    if (event === undefined) {
      this.#notice(`no worker is left for the validation after step ${step}: stopping without it`);
      return undefined;
    }
    this.#owesValidation = false;
    const validation = { loss: event.loss, ...event.metrics };
    this.#progress = nextProgress(this.#progress, this.#run, validation);
    this.#emit(event);
    return validation;
  }

  // ————————————————————————————————————————————————————— members —————————————————————————————————————————————————————

  #memberEvents(): ConstructorParameters<typeof Membership>[2] {
    return {
      hello: (member) => {
        this.#parts.reception.welcome(member);
        this.#parts.trace?.greeted(member);
      },
      ready: (member) => {
        if (this.#parts.trace !== undefined) member.send({ type: "heartbeat", sentMs: this.#clock.now() });
        this.#parts.reception.ready(member);
      },
      echoed: (member, sentMs, echo) => this.#parts.trace?.answered(member, sentMs, echo),
      message: (member, message, payload) => {
        if (message.type === "spans") this.#parts.trace?.spans(member, message.spans);
        else this.#parts.intake.receive(member, message, payload);
      },
      left: (member, departure) => this.#left(member, departure),
      broken: (error) => this.fail(error),
    };
  }

  /** Parameters and what of the next is final; a member that takes part in an exchange no longer does. */
  #sendParameters(member: Member): void {
    this.#parts.mesh.stateIsAt(member, -1);
    this.#step?.demote(member);
    this.#parts.publisher.sendAll(member, this.#step?.updatedChunks ?? []);
  }

  #admitted(member: Member): void {
    this.#parts.publisher.sendAll(member, this.#step?.updatedChunks ?? []);
    this.#parts.mesh.admitted(member);
    const { averageSlot } = this.#run.optimizer;
    if (this.#parts.dealer.round?.usesAverage && averageSlot !== undefined)
      this.#parts.publisher.sendAverage(member, averageSlot);
    this.#parts.dealer.dealOrphans();
    this.#life.changed.notify();
  }

  #left(member: Member, departure: Departure): void {
    const { id, host, lanes } = member;
    this.#parts.trace?.left(member, departure.reason);
    if (host !== "?") this.#emit({ type: "worker", event: "left", id, host, lanes, reason: departure.reason });
    this.#parts.dealer.round?.leases.release(member);
    this.#step?.left(member);
    if (departure.error?.code === "PROTOCOL" || departure.error?.code === "QUARANTINED") this.#step?.distrust(member);
    this.#parts.mesh.left(member);
    this.#parts.reception.left(member);
    this.#parts.dealer.dealOrphans();
    this.#life.changed.notify();
  }

  // ———————————————————————————————————————————————— beginning and end ————————————————————————————————————————————————

  async #workersReady(): Promise<void> {
    const wanted = Math.max(1, this.#options.startWorkers);
    await this.#life.until(() => this.#parts.membership.active.length >= wanted || this.#life.isStopping);
  }

  async #enoughWorkers(): Promise<void> {
    const least = this.#options.minWorkers ?? 1;
    if (least <= 1 || this.#parts.membership.active.length >= least) return;
    this.#notice(`${this.#parts.membership.active.length} of at least ${least} workers are here: waiting for more`);
    await this.#life.until(() => this.#parts.membership.active.length >= least || this.#life.isStopping);
  }

  #begin(): void {
    this.#life.begin();
    this.#emit(runStarted(this.#run, this.#startStep, this.#parts.reception.numericClass ?? ""));
  }

  #finish(wallMs: number, validation: Validation | undefined): DoneEvent {
    const { step } = this.#parts.generations;
    const outcome = !this.#isComplete ? "stopped" : step < this.#run.totalSteps ? "early-stopped" : "completed";
    const result = { outcome, step, weightsSha256: this.weightsSha256(), validation, wallMs } as const;
    const done = runDone(this.#run, result, this.#ledger, this.#parts.membership.active);
    this.#emit(done);
    this.#end(done.outcome, `the run is over: ${done.outcome}`);
    return done;
  }

  /** @param mayGoOn workers are to try for a while to reach the next coordinator of the run. */
  #end(code: string, message: string, mayGoOn = false): void {
    this.#life.end();
    this.#parts.ahead.take();
    this.#parts.dealer.stop();
    this.#parts.membership.dismissAll(code, message, mayGoOn);
  }

  /** All steps are done and validated, or validations have said that it is enough. */
  get #isComplete(): boolean {
    if (this.#owesValidation) return false;
    return this.#parts.generations.step >= this.#run.totalSteps || this.#progress.earlyStopping.isOver;
  }

  /** The run is to stop, and nobody is there who could finish what is under way. */
  get #isDeserted(): boolean {
    return this.#life.isStopping && this.#parts.membership.active.length === 0;
  }

  #notice(message: string): void {
    this.#emit({ type: "notice", message });
  }

  #emit(event: RunEvent): void {
    this.#options.onEvent(event);
  }
}

/** How often a step begins anew at most: nobody may keep a run from going on by breaking rules again and again. */
const mostBeginnings = 3;

/** Then the run can go on from its last checkpoint as soon as there is room. */
function isForWantOfRoom(error: unknown): boolean {
  return isTuttiError(error) && (error.code === "CHECKPOINT_WRITE_FAILED" || error.code === "OUTPUT_NOT_WRITABLE");
}
