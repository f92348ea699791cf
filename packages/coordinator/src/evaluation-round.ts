import { TuttiError } from "@tutti/core/errors";
import { Leases } from "./leases.ts";
import type { Member, ResultMessage } from "./member.ts";
import type { TrainingRun } from "./training-run.ts";

type Evaluation = Pick<NonNullable<TrainingRun["evaluation"]>, "shards" | "collectBytes">;

/** Collects the scalars of an evaluation, one lease per shard; adds them in float64 in shard order when all are in. */
export class EvaluationRound {
  readonly number: number;
  readonly step: number;
  readonly leases = new Leases();
  /** Computed from the averaged weights instead of the parameters. */
  readonly usesAverage: boolean;
  readonly #rows: (Float32Array | undefined)[];
  readonly #collected: Uint8Array[] = [];
  readonly #evaluation: Evaluation;
  readonly #scalarsLength: number;
  readonly #answered: (shard: number) => void;
  duplicates = 0;

  constructor(
    number: number,
    step: number,
    evaluation: Evaluation,
    scalarsLength: number,
    usesAverage: boolean,
    answered: (shard: number) => void,
  ) {
    this.usesAverage = usesAverage;
    this.number = number;
    this.step = step;
    this.#scalarsLength = scalarsLength;
    this.#answered = answered;
    this.#evaluation = evaluation;
    const { shards } = evaluation;
    this.#rows = Array.from({ length: shards }, () => undefined);
    for (let shard = 0; shard < shards; shard++) this.leases.add({ lo: shard, hi: shard + 1 });
  }

  get isComplete(): boolean {
    return this.leases.isComplete;
  }

  /** @param collected the shard's per-sample outputs; valid during the call. */
  result(member: Member, message: ResultMessage, collected: Uint8Array = new Uint8Array(0)): void {
    const lease = this.leases.get(message);
    if (lease === undefined || !(lease.holders.has(member) || lease.isDone)) {
      throw new TuttiError(
        "PROTOCOL",
        `an answer for evaluation shard ${message.lo}, which ${member.id} was not given`,
      );
    }
    if (message.scalars.byteLength !== this.#scalarsLength * 4) {
      throw new TuttiError(
        "PROTOCOL",
        `evaluation shard ${message.lo}: ${message.scalars.byteLength} bytes of scalars, expected ${this.#scalarsLength * 4}`,
      );
    }
    if (lease.isDone) {
      this.duplicates++;
      return;
    }
    const bytes = this.#evaluation.collectBytes(message.lo);
    if (collected.byteLength !== bytes) {
      throw new TuttiError(
        "PROTOCOL",
        `evaluation shard ${message.lo}: ${collected.byteLength} bytes of per-sample outputs, expected ${bytes}`,
      );
    }
    this.#collected[message.lo] = Uint8Array.from(collected);
    this.#rows[message.lo] = new Float32Array(Uint8Array.from(message.scalars).buffer);
    this.leases.finish(lease);
    this.#answered(message.lo);
  }

  /** The per-sample outputs of every shard, in order; complete when the round is. */
  get collected(): readonly Uint8Array[] {
    return this.#collected;
  }

  /** [Σ weight·loss, Σ weight, metrics…] over all shards. */
  sums(): Float64Array {
    const sums = new Float64Array(this.#scalarsLength);
    for (const row of this.#rows) for (let i = 0; i < sums.length; i++) sums[i]! += row?.[i] ?? Number.NaN;
    return sums;
  }
}
