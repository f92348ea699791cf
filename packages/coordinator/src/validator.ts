import type { Clock } from "@tutti/core/clock";
import type { ValidationEvent } from "@tutti/core/events";
import type { Generations } from "@tutti/core/exchange";
import type { Dealer } from "./dealer.ts";
import { EvaluationRound } from "./evaluation-round.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { Membership } from "./membership.ts";
import type { Publisher } from "./publisher.ts";
import { finishMetrics, type PreparedShard, type TrainingRun } from "./training-run.ts";

/** The last validation's figures: "loss" and every metric. */
export type Validation = Readonly<Record<string, number>>;

export interface ValidatorParts {
  readonly run: TrainingRun;
  readonly clock: Clock;
  readonly generation: number;
  readonly generations: Generations;
  readonly publisher: Publisher;
  readonly membership: Membership;
  readonly dealer: Dealer;
  readonly life: Lifecycle;
}

/** Runs the validation data over the workers: every shard is one lease, dealt as workers have room. */
export class Validator {
  readonly #parts: ValidatorParts;

  constructor(parts: ValidatorParts) {
    this.#parts = parts;
  }

  /**
   * @param step whose parameters all active workers hold.
   * @param isDeserted true when nobody is left to wait for: the validation is then given up.
   * @returns no event if it was given up.
   */
  async validate(
    number: number,
    step: number,
    isDeserted: () => boolean,
  ): Promise<{ readonly event: ValidationEvent | undefined; readonly round: EvaluationRound }> {
    const { run, clock, generation, generations, publisher, membership, dealer, life } = this.#parts;
    const evaluation = run.evaluation!;
    const startedMs = clock.now();
    const scalarsLength = run.programs.find(({ mode }) => mode === "evaluate")!.scalars.length;
    const atHand = new Map<number, PreparedShard>();
    const slot = generations.updates > 0 ? run.optimizer.averageSlot : undefined;
    const round = new EvaluationRound(number, step, evaluation, scalarsLength, slot !== undefined, (shard) => {
      atHand.delete(shard);
      life.changed.notify();
    });
    if (slot !== undefined) for (const member of membership.active) publisher.sendAverage(member, slot);
    dealer.open(round, (shard) => atHand.get(shard));
    const hasRoom = (): boolean => membership.dealable.some((member) => round.leases.heldBy(member) <= member.lanes);
    for (let shard = 0; shard < evaluation.shards && !isDeserted(); shard++) {
      const prepared = await life.orFailure(evaluation.read(shard));
      await life.until(() => hasRoom() || isDeserted());
      atHand.set(shard, prepared);
      dealer.dealOrphans();
    }
    await life.until(() => round.isComplete || isDeserted());
    for (const member of membership.active) member.send({ type: "release", generation, round: round.number });
    dealer.close(membership.all);
    if (!round.isComplete) return { event: undefined, round };
    const sums = round.sums();
    const event: ValidationEvent = {
      type: "validation",
      step,
      epoch: Math.floor((step - 1) / run.stepsPerEpoch),
      loss: sums[0]! / sums[1]!,
      metrics: { ...finishMetrics(evaluation.metrics, sums), ...evaluation.finishCollected(round.collected) },
      samples: evaluation.samples,
      wallMs: clock.now() - startedMs,
    };
    return { event, round };
  }
}
