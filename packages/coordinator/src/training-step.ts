import type { Clock } from "@tutti/core/clock";
import { isTuttiError, type TuttiError } from "@tutti/core/errors";
import type { RunEvent } from "@tutti/core/events";
import { type Generations, type Reduction, StepUpdate, type UpdateThreads } from "@tutti/core/exchange";
import type { Kernels } from "@tutti/core/kernels";
import type { Arena } from "@tutti/core/memory";
import type { PlateauState } from "@tutti/core/optim";
import type { ToWorker } from "@tutti/core/wire";
import type { Auditor } from "./audit.ts";
import type { Dealer } from "./dealer.ts";
import { DirectExchange } from "./direct-exchange.ts";
import type { ExchangeChoice } from "./exchange-choice.ts";
import type { DirectMessage, Intake } from "./intake.ts";
import type { LeaseShare } from "./lease-plan.ts";
import type { Member } from "./member.ts";
import type { Membership } from "./membership.ts";
import type { Mesh } from "./mesh.ts";
import type { PhaseClock } from "./phase-clock.ts";
import type { Publisher } from "./publisher.ts";
import type { Reception } from "./reception.ts";
import type { RunLedger } from "./run-ledger.ts";
import type { Signal } from "./signal.ts";
import { StepRound } from "./step-round.ts";
import { finishMetrics, type PreparedBatch, type TrainingRun } from "./training-run.ts";

/** What all steps of a run are made with. */
export interface StepParts {
  readonly run: TrainingRun;
  readonly arena: Arena;
  readonly kernels: Kernels;
  readonly generation: number;
  readonly generations: Generations;
  readonly reduction: Reduction;
  readonly membership: Membership;
  readonly reception: Reception;
  readonly dealer: Dealer;
  readonly intake: Intake;
  readonly auditor: Auditor;
  readonly publisher: Publisher;
  readonly mesh: Mesh;
  readonly choice: ExchangeChoice;
  readonly clock: Clock;
  readonly phases: PhaseClock;
  readonly ledger: RunLedger;
  /** Notified when all answers are in. */
  readonly changed: Signal;
  /** Whether there is another copy of t+1 that its hash could find to differ. */
  readonly needsHash: () => boolean;
  /** Room for 8 bytes per chunk. */
  readonly hashScratch: number;
  readonly normBlockFloats: number;
  /** For sums that are added up here; otherwise workers apply the update at the same time. */
  readonly threads: UpdateThreads | undefined;
  /** Leave a step out whose loss or gradient is not finite, instead of ending the run. */
  readonly skipsNonFinite: boolean;
  /** SHA-256 of the parameters, where every step's event is to have it. */
  readonly weightsSha256: (() => string) | undefined;
  readonly emit: (event: RunEvent) => void;
}

/**
 * One training step, t → t+1, from its leases to its end: one of `commit` (then `publish`), `leaveOut` and `abandon`.
 * Between them, answers are reduced, updated and sent back chunk by chunk as they come.
 */
export class TrainingStep {
  readonly #parts: StepParts;
  readonly #round: StepRound;
  readonly #plateau: PlateauState;
  readonly #direct: DirectExchange | undefined;
  #update: StepUpdate | undefined;
  #isCollected = false;
  #distrusted: Member | undefined;
  #wallMs = 0;

  /**
   * @param number of the round. @param plateau what validations have made of the learning rate.
   * @param isDirect those in `shares` exchange their sums directly.
   */
  constructor(
    parts: StepParts,
    number: number,
    batch: PreparedBatch,
    plateau: PlateauState,
    shares: Shares,
    isDirect: boolean,
  ) {
    this.#parts = parts;
    this.#plateau = plateau;
    const update = this.#newUpdate(batch, isDirect);
    this.#update = update;
    const { phases, intake, auditor, generations, membership } = parts;
    const round: StepRound = new StepRound({
      number,
      step: generations.step,
      batch,
      nodes: shares.length > 0 ? shares.flatMap((share) => share.nodes) : [{ lo: 0, hi: batch.shards.length }],
      reduction: parts.reduction,
      areLent: !parts.needsHash(),
      scalarsLength: parts.run.programs.find(({ mode }) => mode === "train")!.scalars.length,
      chunkReduced: (chunk) => {
        this.#direct?.chunkReduced(chunk);
        phases.run("update", () => update.chunkReduced(chunk));
      },
      scalarsKnown: () => phases.run("update", () => this.#scalarsKnown(update)),
      complete: () => this.#complete(),
      arena: parts.arena,
      disputed: (lease, members) => intake.disputed(round, lease, members),
      differs: (member, lease) => intake.lateAnswerDiffers(round, member, lease),
      wrong: (member, lease) => intake.quarantine(member, lease),
    });
    this.#round = round;
    this.#direct = isDirect ? this.#exchangeDirectly(round, shares) : undefined;
    auditor.plan(round, generations.step, membership.dealable.length);
  }

  /** Deals every lease to whom it was planned for; those planned for nobody wait for whoever joins. */
  deal(shares: Shares): void {
    const { phases, dealer, reception } = this.#parts;
    const round = this.#round;
    phases.dealt();
    this.#announce(shares);
    phases.run("data", () => {
      dealer.open(round, (shard) => round.batch.shards[shard]);
      for (const { worker, nodes } of shares) {
        for (const node of nodes) dealer.deal(round.leases.get(node)!, worker);
        if (nodes.length === 0) reception.standby(worker);
      }
      dealer.dealOrphans();
    });
    this.#flush();
  }

  /** True once all answers are in. */
  get isCollected(): boolean {
    return this.#isCollected;
  }

  /** A member that has contributed to this step and then shown that it cannot be trusted; undefined if nobody has. */
  get distrusted(): Member | undefined {
    return this.#distrusted;
  }

  /** A member has broken the protocol or computed wrong: what else it said while this step was under way is in doubt. */
  distrust(member: Member): void {
    if (this.#update === undefined || !this.#round.believes(member)) return;
    this.#distrusted ??= member;
    this.#parts.changed.notify();
  }

  /** True once everybody who applies the update has done so. */
  get isAgreed(): boolean {
    return this.#direct?.isAgreed ?? true;
  }

  /** Whether work of this step, while it is under way, may be dealt to the member. */
  mayCompute(member: Member): boolean {
    return this.#update === undefined || (this.#direct?.mayCompute(member) ?? true);
  }

  /** What a member says of the exchange under way; what is late is counted and dropped. Throws PROTOCOL. */
  receive(
    member: Member,
    message: Extract<DirectMessage, { type: "reduced" | "applied" }>,
    payload: Uint8Array | undefined,
  ): void {
    const { phases, ledger } = this.#parts;
    if (message.round !== this.#round.number || this.#direct === undefined || this.#update === undefined)
      ledger.staleDropped++;
    else if (message.type === "applied") this.#direct.applied(member, message);
    else phases.run("reduce", () => this.#direct?.reduced(member, message, payload ?? new Uint8Array(0)));
  }

  /** A member is gone. */
  left(member: Member): void {
    if (this.#update !== undefined) this.#direct?.left(member);
  }

  /** A member is given the parameters again. */
  demote(member: Member): void {
    if (this.#update !== undefined) this.#direct?.demote(member);
  }

  /** Links between members are gone. */
  fallBack(reason: string): void {
    if (this.#update !== undefined) this.#direct?.fallBack(reason);
  }

  tick(nowMs: number, lateMs: number): void {
    if (this.#update !== undefined) this.#direct?.tick(nowMs, lateMs);
  }

  /** Chunks of t+1 that are final, for a worker that joins in the middle of the step. */
  get updatedChunks(): readonly number[] {
    return this.#update?.updatedChunks ?? [];
  }

  /** How long it took, once it was published. */
  get wallMs(): number {
    return this.#wallMs;
  }

  /** @returns the error instead, when a number is not finite and such steps are to be left out. */
  finishUpdate():
    | { readonly gradientNorm: number; readonly hash: string; readonly nonFinite?: undefined }
    | { readonly nonFinite: TuttiError } {
    const { generation, phases, skipsNonFinite } = this.#parts;
    try {
      if (this.#round.nonFinite !== undefined) throw this.#round.nonFinite;
      const finished = phases.run("update", () => this.#update!.finish());
      this.#flush(); // those who are sent t+1 read it while this one commits
      return finished;
    } catch (error) {
      this.#broadcast({ type: "abort", generation, round: this.#round.number });
      if (!isTuttiError(error) || error.code !== "NON_FINITE" || !skipsNonFinite) throw error;
      return { nonFinite: error };
    }
  }

  /** t+1 becomes the current generation, everywhere. @param hash of t+1. */
  commit(hash: string): void {
    const { generation, generations, reception, phases } = this.#parts;
    generations.commit();
    reception.committed();
    this.#update = undefined;
    const { step } = generations;
    for (const member of this.#direct?.holders(hash) ?? []) this.#parts.mesh.stateIsAt(member, step);
    phases.run("download", () => {
      this.#broadcast({ type: "commit", generation, step, round: this.#round.number, hash });
    });
    this.#close();
  }

  publish(gradientNorm: number): void {
    const { run, generations, membership, phases, ledger, weightsSha256, emit } = this.#parts;
    const { lastComputeMs, scalars, batch, nodesAudited } = this.#round;
    const { wallMs, time } = phases.split(lastComputeMs);
    this.#parts.choice.measured(this.#direct === undefined ? "star" : "mesh", wallMs);
    const { sums } = scalars!;
    ledger.add(this.#round);
    ledger.samples += batch.samples;
    ledger.nodesAudited += nodesAudited;
    for (const member of membership.active) member.stepOver(this.#round.number, batch.shards.length);
    this.#wallMs = wallMs;
    emit({
      type: "step",
      step: generations.step,
      epoch: batch.epoch,
      loss: sums[0]! / sums[1]!,
      lr: run.optimizer.learningRate(generations.updates, this.#plateau),
      gradientNorm,
      metrics: finishMetrics(run.metrics, sums),
      samples: batch.samples,
      samplesPerSecond: (batch.samples * 1000) / wallMs,
      wallMs,
      time,
      ...(weightsSha256 === undefined ? {} : { weightsSha256: weightsSha256() }),
    });
  }

  /** The step advances step and data position, and nothing else. */
  leaveOut(error: TuttiError): void {
    const { generation, generations, ledger, emit } = this.#parts;
    const { number, batch } = this.#round;
    generations.skip();
    this.#update = undefined;
    const { step } = generations;
    this.#parts.mesh.skipped(step);
    this.#broadcast({ type: "skip", generation, step, round: number });
    this.#close();
    ledger.add(this.#round);
    ledger.samples += batch.samples;
    ledger.skippedSteps++;
    emit({ type: "skipped", step, epoch: batch.epoch, samples: batch.samples, reason: error.message });
  }

  /** Ends the step without a commit: t stays what it is, and nothing of the step counts. */
  abandon(): void {
    this.#broadcast({ type: "abort", generation: this.#parts.generation, round: this.#round.number });
    this.#update = undefined;
    this.#close();
    this.#parts.ledger.add(this.#round);
  }

  #newUpdate(batch: PreparedBatch, isDirect: boolean): StepUpdate {
    const { run, kernels, arena, generations, reduction, hashScratch, normBlockFloats } = this.#parts;
    const { phases, publisher, membership, needsHash } = this.#parts;
    return new StepUpdate({
      kernels,
      arena,
      layout: run.trainable,
      statistics: run.statistics,
      samples: batch.samples,
      optimizer: run.optimizer,
      plateau: this.#plateau,
      generations,
      reduction,
      needsHash,
      hashScratch,
      normBlockFloats,
      threads: isDirect ? undefined : this.#parts.threads,
      send: (chunk) => phases.run("download", () => publisher.sendUpdate(this.#updatedByUs(membership.active), chunk)),
    });
  }

  #scalarsKnown(update: StepUpdate): void {
    const round = this.#round;
    round.nonFinite = round.nonFiniteLoss();
    if (round.nonFinite !== undefined) return;
    const divisor = Math.fround(round.scalars!.sums[1]!);
    this.#direct?.divisorKnown(divisor);
    update.divisorKnown(divisor);
  }

  #exchangeDirectly(round: StepRound, shares: Shares): DirectExchange {
    const { clock, generation, generations, reduction, publisher, changed, emit } = this.#parts;
    round.isDirect = true;
    return new DirectExchange({
      ...{ clock, generation, round, reduction, publisher },
      participants: shares.map(({ worker }) => worker),
      updates: generations.updates,
      plateau: this.#plateau,
      updatedChunks: () => this.updatedChunks,
      agreed: () => changed.notify(),
      notice: (message) => emit({ type: "notice", message }),
    });
  }

  /** Before the first lease: who takes part in a direct exchange gets what it lacks of the optimizer's state. */
  #announce(shares: Shares): void {
    if (this.#direct === undefined) return;
    const { mesh, publisher, generations } = this.#parts;
    const { step } = generations;
    for (const { worker } of shares) {
      if (mesh.holdsState(worker, step)) continue;
      publisher.sendState(worker);
      mesh.stateIsAt(worker, step);
    }
    this.#direct.announce();
  }

  #updatedByUs(members: readonly Member[]): readonly Member[] {
    const direct = this.#direct;
    return direct === undefined ? members : members.filter((member) => !direct.includes(member));
  }

  #complete(): void {
    this.#parts.phases.complete();
    this.#isCollected = true;
    this.#flush(); // t+1, which is hashed next
    this.#parts.changed.notify();
  }

  #close(): void {
    this.#parts.dealer.close(this.#parts.membership.all);
  }

  #broadcast(message: ToWorker): void {
    for (const member of this.#parts.membership.active) member.send(message);
  }

  #flush(): void {
    for (const { connection } of this.#parts.membership.active) connection.flush();
  }
}

/** Who is to compute which nodes. */
type Shares = readonly LeaseShare<Member>[];
