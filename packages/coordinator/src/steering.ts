import { TuttiError } from "@tutti/core/errors";
import type { ControlRequest } from "@tutti/core/events";
import type { Dealer } from "./dealer.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { Member } from "./member.ts";
import type { Membership } from "./membership.ts";

export interface SteeringParts {
  readonly life: Lifecycle;
  readonly membership: Membership;
  readonly dealer: Dealer;
  /** Committed steps. */
  readonly step: () => number;
  /** Writes a checkpoint of the state between two steps; undefined where nothing is kept. */
  readonly save: (() => Promise<void> | void) | undefined;
  readonly notice: (message: string) => void;
}

/**
 * What a person may ask of a run under way. Everything takes effect between two steps, where it can decide when the next
 * one begins and who computes it, and so not a bit of the result.
 */
export class Steering {
  readonly #parts: SteeringParts;
  #isPaused = false;
  #wantsCheckpoint = false;

  constructor(parts: SteeringParts) {
    this.#parts = parts;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Takes an order, to be followed after the step under way. Throws BAD_OPTION if it cannot be. */
  order(request: ControlRequest): void {
    const { life, save } = this.#parts;
    if (life.isOver || life.isStopping) throw new TuttiError("BAD_OPTION", "the run is over or about to end");
    switch (request.action) {
      case "pause":
        this.#isPaused = true;
        break;
      case "resume":
        if (!this.#isPaused) throw new TuttiError("BAD_OPTION", "the run is not paused");
        this.#isPaused = false;
        break;
      case "checkpoint":
        if (save === undefined)
          throw new TuttiError("BAD_OPTION", "nothing is kept of this run: it was started without an output directory");
        this.#wantsCheckpoint = true;
        break;
      case "drain":
        this.#drain(request.worker);
        break;
      case "stop":
        life.stop();
        return;
    }
    life.changed.notify();
  }

  /** Called between two steps: does what was asked for, and waits while the run is paused. */
  async betweenSteps(): Promise<void> {
    const { life, membership, save, step, notice } = this.#parts;
    let isTold = false;
    for (;;) {
      for (const member of membership.all) if (member.isDraining) this.#dismiss(member);
      if (this.#wantsCheckpoint) {
        this.#wantsCheckpoint = false;
        await life.orFailure(save?.());
      }
      const isWaiting = this.#isPaused && !life.isStopping;
      if (isWaiting !== isTold) notice(isWaiting ? `paused after step ${step()}` : "going on");
      isTold = isWaiting;
      if (!isWaiting) return;
      await life.until(() => !this.#isPaused || life.isStopping || this.#wantsCheckpoint);
    }
  }

  #drain(id: string): void {
    const { membership, dealer } = this.#parts;
    const member = membership.all.find((one) => one.id === id);
    if (member === undefined) throw new TuttiError("BAD_OPTION", `there is no worker ${id}: it may have left`);
    if (member.isDealable && membership.dealable.length === 1) {
      throw new TuttiError(
        "BAD_OPTION",
        `${id} is the only worker that computes: let another join first, or pause the run`,
      );
    }
    member.isDraining = true;
    if (dealer.round === undefined || !member.isActive) this.#dismiss(member);
  }

  #dismiss(member: Member): void {
    this.#parts.membership.dismiss(member, "DRAINED", "drained: it was asked to leave, and its work goes to others");
  }
}
