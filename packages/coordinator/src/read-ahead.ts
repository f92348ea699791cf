import type { Dealer } from "./dealer.ts";
import type { LeaseShare } from "./lease-plan.ts";
import type { Member } from "./member.ts";
import type { PhaseClock } from "./phase-clock.ts";
import type { PreparedBatch, TrainingRun } from "./training-run.ts";

/** The next step's batch, being read or already with the workers that are expected to compute it. */
export interface BatchAhead {
  readonly round: number;
  readonly batch: Promise<PreparedBatch>;
  /** Who has which rows, once they were sent. */
  shares: readonly LeaseShare<Member>[];
}

/** Reads one step ahead and sends the rows to workers while they compute the step before. */
export class ReadAhead {
  readonly #run: TrainingRun;
  readonly #dealer: Dealer;
  readonly #phases: PhaseClock;
  #ahead: BatchAhead | undefined;

  constructor(run: TrainingRun, dealer: Dealer, phases: PhaseClock) {
    this.#run = run;
    this.#dealer = dealer;
    this.#phases = phases;
  }

  get batch(): Promise<PreparedBatch> | undefined {
    return this.#ahead?.batch;
  }

  /** @param round the number that the step's round will have. */
  start(round: number, step: number): void {
    const ahead: BatchAhead = { round, batch: this.#run.batches.read(step), shares: [] };
    this.#ahead = ahead;
    ahead.batch.then(
      (batch) => {
        if (this.#ahead !== ahead) return; // it was taken before it was read, or the run is over
        ahead.shares = this.#dealer.plan(batch.shards.length);
        this.#phases.ahead(() => {
          for (const { worker, nodes } of ahead.shares) {
            for (const node of nodes) this.#dealer.sendRows(round, node, (shard) => batch.shards[shard], worker);
          }
        });
      },
      () => {}, // whoever awaits the batch sees the error
    );
  }

  /** Hands over what was read; from now on nothing more of it is sent from here. */
  take(): BatchAhead | undefined {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    return ahead;
  }
}
