import { TuttiError } from "@tutti/core/errors";
import { Generations, Reduction, UpdateThreads, type UpdateThreadsOptions } from "@tutti/core/exchange";
import { computeMemory } from "@tutti/core/kernels";
import type { Arena } from "@tutti/core/memory";
import { Auditor } from "./audit.ts";
import {
  type CoordinatorOptions,
  defaultChunkFloats,
  leaseDeadlines,
  type StartingPoint,
  type StateView,
} from "./coordinator-options.ts";
import { Dealer } from "./dealer.ts";
import { ExchangeChoice } from "./exchange-choice.ts";
import { Intake } from "./intake.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { Member } from "./member.ts";
import { Membership } from "./membership.ts";
import { defaultMembership } from "./membership-policy.ts";
import { Mesh } from "./mesh.ts";
import { PhaseClock } from "./phase-clock.ts";
import { Publisher } from "./publisher.ts";
import { ReadAhead } from "./read-ahead.ts";
import { Reception } from "./reception.ts";
import type { RunLedger } from "./run-ledger.ts";
import { RunTrace } from "./run-trace.ts";
import { Steering } from "./steering.ts";
import type { TrainingRun } from "./training-run.ts";
import type { StepParts, TrainingStep } from "./training-step.ts";
import { Validator } from "./validator.ts";

/** What a coordinator is made of, wired to each other. */
export interface CoordinatorParts {
  readonly generations: Generations;
  readonly reduction: Reduction;
  readonly phases: PhaseClock;
  readonly trace: RunTrace | undefined;
  readonly mesh: Mesh;
  readonly membership: Membership;
  readonly publisher: Publisher;
  readonly dealer: Dealer;
  readonly reception: Reception;
  readonly ahead: ReadAhead;
  readonly intake: Intake;
  readonly step: StepParts;
  readonly steering: Steering;
  readonly validator: Validator;
}

/** What the parts ask of, and tell, the coordinator that they belong to. */
export interface PartsHooks {
  readonly life: Lifecycle;
  readonly ledger: RunLedger;
  readonly members: ConstructorParameters<typeof Membership>[2];
  /** The step under way, or the last one. */
  step(): TrainingStep | undefined;
  view(): StateView;
  weightsSha256(): string;
  admitted(member: Member): void;
  sendParameters(member: Member): void;
  notice(message: string): void;
  fail(error: unknown): void;
}

/** Makes the parts of a coordinator that has committed what `start` says. Nothing runs yet. */
export function coordinatorParts(
  run: TrainingRun,
  start: StartingPoint,
  options: CoordinatorOptions,
  hooks: PartsHooks,
): CoordinatorParts {
  const program = run.programs.find(({ mode }) => mode === "train");
  if (program === undefined) throw new TuttiError("INTERNAL", "a run without a training program");
  const { life, ledger } = hooks;
  const inlineBytes = options.inlineBytes ?? 16_384;
  const { arena, kernels } = options.memory ?? computeMemory();
  const floats = {
    total: run.layout.totalFloats,
    updated: run.updated.totalFloats,
    trainable: run.trainable.totalFloats,
  };
  const generations: Generations = new Generations(arena, run.optimizer, floats, {
    step: start.step,
    updates: start.step - (start.skippedSteps ?? 0),
  });
  generations.initialize(start.parameters, start.slots);
  const { sumsFloats } = program;
  const normBlockFloats = options.normBlockFloats ?? 16_384;
  const blocks = Math.max(1, Math.ceil(sumsFloats / normBlockFloats));
  const chunkFloats = Math.min(options.chunkFloats ?? defaultChunkFloats, blocks * normBlockFloats);
  const reduction: Reduction = new Reduction(
    { arena, kernels },
    { sumsFloats, chunkFloats, rounding: run.rounding, seed: run.seed },
  );
  const trace = options.trace === undefined ? undefined : new RunTrace(options.clock, options.trace);
  const phases: PhaseClock = new PhaseClock(
    options.clock,
    trace && ((what, from, to) => trace.span(what, from, to, what === "step" ? generations.step : undefined)),
  );
  const choice = new ExchangeChoice(options.exchange ?? "star", sumsFloats * 4);
  const mesh: Mesh = new Mesh({
    run,
    clock: options.clock,
    choice,
    normBlockFloats,
    obstacle: (options.auditShare ?? 0) > 0 ? "audits compare whole answers here" : options.meshObstacle,
    active: () => membership.dealable,
    notice: (message) => hooks.notice(message),
    broken: (reason) => hooks.step()?.fallBack(reason),
    changed: () => life.changed.notify(),
  });
  const membership: Membership = new Membership(
    options.clock,
    { ...defaultMembership, ...options.membership },
    hooks.members,
  );
  const publisher: Publisher = new Publisher({
    arena,
    generations: generations,
    reduction: reduction,
    generation: options.generation,
    inlineBytes: inlineBytes,
    changed: life.changed,
  });
  const dealer: Dealer = new Dealer({
    clock: options.clock,
    generation: options.generation,
    inlineBytes: inlineBytes,
    lateMs: () => Math.max(options.lateMs ?? leaseDeadlines.lateMs, 8 * intake.leaseTimes.p95()),
    graceMs: options.graceMs ?? leaseDeadlines.graceMs,
    active: () => membership.dealable,
    computing: () => mesh.plan().members,
    mayCompute: (member) => hooks.step()?.mayCompute(member) ?? true,
    ticked: (nowMs, lateMs) => hooks.step()?.tick(nowMs, lateMs),
    stalled: (member, forMs) => {
      options.onStalled?.({ host: member.host, pid: member.pid });
      membership.drop(member, `no progress for ${Math.round(forMs)} ms, though its heartbeats come`);
    },
    nobodyLeft: () => {
      if (!life.isStopping) hooks.notice("no worker is left: waiting for one to join");
    },
    noneToConfirm: (lease) => intake.noneToConfirm(lease),
  });
  const reception: Reception = new Reception({
    run,
    generation: options.generation,
    membership: { ...defaultMembership, ...options.membership },
    chunkFloats: reduction.chunkFloats,
    inlineBytes: inlineBytes,
    maxWorkers: options.maxWorkers ?? Number.POSITIVE_INFINITY,
    numericClass: start.numericClass,
    isMixed: options.numerics === "mixed",
    mesh: mesh,
    active: () => membership.active,
    isTraced: trace !== undefined,
    emit: (event) => options.onEvent(event),
    admitted: (member) => hooks.admitted(member),
  });
  const ahead: ReadAhead = new ReadAhead(run, dealer, phases);
  const intake: Intake = new Intake({
    clock: options.clock,
    generation: options.generation,
    dealer: dealer,
    membership: membership,
    phases: phases,
    ledger: ledger,
    direct: (member, message, payload) => {
      if (message.type === "reduced" || message.type === "applied") hooks.step()?.receive(member, message, payload);
      else mesh.receive(member, message);
    },
    sendParameters: (member) => hooks.sendParameters(member),
    emit: (event) => options.onEvent(event),
    fail: (error) => hooks.fail(error),
  });
  const step: StepParts = {
    run,
    arena,
    kernels,
    generation: options.generation,
    generations: generations,
    reduction: reduction,
    membership: membership,
    reception: reception,
    dealer: dealer,
    intake: intake,
    auditor: new Auditor({ arena, kernels }, reduction, run.seed, options.auditShare ?? 0),
    publisher: publisher,
    mesh: mesh,
    choice,
    clock: options.clock,
    phases: phases,
    ledger: ledger,
    changed: life.changed,
    needsHash: () => membership.active.some(({ connection }) => !connection.sharesMemory),
    hashScratch: arena.allocate(8 * Math.max(1, reduction.chunks)),
    normBlockFloats,
    threads: updateThreads(run, arena, normBlockFloats, options.updateThreads),
    skipsNonFinite: options.onNonFinite === "skip",
    weightsSha256: options.hashEveryStep ? () => hooks.weightsSha256() : undefined,
    emit: (event) => options.onEvent(event),
  };
  const { saveNow } = options;
  const steering: Steering = new Steering({
    life: life,
    membership: membership,
    dealer: dealer,
    step: () => generations.step,
    save: saveNow === undefined ? undefined : () => saveNow(hooks.view()),
    notice: (message) => hooks.notice(message),
  });
  const validator: Validator = new Validator({
    run,
    clock: options.clock,
    generation: options.generation,
    generations: generations,
    publisher: publisher,
    membership: membership,
    dealer: dealer,
    life: life,
  });
  return {
    ...{ generations, reduction, phases, trace, mesh, membership, publisher, dealer, reception, ahead, intake },
    ...{ step, steering, validator },
  };
}

function updateThreads(
  run: TrainingRun,
  { memory }: Arena,
  normBlockFloats: number,
  options: UpdateThreadsOptions | undefined,
): UpdateThreads | undefined {
  const { optimizer, trainable: layout } = run;
  if (options === undefined || options.count < 1 || !optimizer.areRangesSeparate) return undefined;
  return new UpdateThreads({ memory, optimizer, layout, normBlockFloats, ...options });
}
