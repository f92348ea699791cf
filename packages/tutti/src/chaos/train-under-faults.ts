import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Exchange } from "@tutti/coordinator";
import { TuttiError } from "@tutti/core/errors";
import type { DoneEvent, RunEvent } from "@tutti/core/events";
import { Dice } from "./dice.ts";
import { deck, type FaultKind, inflict, possibleFaults, type Scene, type SmallDisk } from "./faults.ts";
import { Fleet, type WorkerEnd } from "./fleet.ts";
import { JsonCommand } from "./json-command.ts";
import { SupervisedCoordinator } from "./supervised-coordinator.ts";

export interface ChaosOptions {
  readonly runFile: string;
  /** Plain values replaced, as `--set` takes them. */
  readonly set?: readonly string[];
  /** Where sums meet; the coordinator's default if not given. */
  readonly exchange?: Exchange | undefined;
  /** An output directory of its own, empty. */
  readonly out: string;
  readonly seed: number;
  readonly workers: number;
  readonly kinds: readonly FaultKind[];
  /** The disk that `out` is on, to be filled; without one it is never full. */
  readonly disk?: SmallDisk;
  /** No more faults than this. */
  readonly maxFaults?: number;
  /** Ends the run, as Ctrl-C does, after this long. */
  readonly maxMs?: number;
  /** Without a committed step for this long the run has hung; 60 s by default. */
  readonly hangMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Called with every fault as it happens. */
  readonly onFault?: (fault: FaultRecord) => void;
  readonly signal?: AbortSignal;
}

export interface FaultRecord {
  readonly kind: FaultKind;
  readonly detail: string;
  /** The last step committed before it. */
  readonly step: number;
  /** From the fault to the next committed step; undefined if none followed. */
  recoveryMs?: number;
}

export interface ChaosResult {
  readonly seed: number;
  readonly done: DoneEvent;
  /** What each coordinator said. */
  readonly generations: readonly (readonly RunEvent[])[];
  readonly faults: readonly FaultRecord[];
  /** Workers that ended by themselves before the run was over. */
  readonly workerEnds: readonly WorkerEnd[];
  /** Workers that did not end by themselves when the run was over. */
  readonly workersLeft: readonly string[];
  /** Coordinators that were let into a directory that was in use. */
  readonly rivalsAdmitted: number;
  readonly wallMs: number;
}

/** Seconds for which workers keep trying to reach a coordinator that is gone. */
const retrySeconds = 15;

/**
 * Trains a run on processes of this machine, a coordinator under a supervisor and workers behind bad links, and does to
 * them what the dice say: at events of the protocol, in the middle of what is on the wire.
 *
 * @throws TuttiError CHAOS_FAILED if the run hangs or a coordinator ends by itself; INTERRUPTED.
 */
export async function trainUnderFaults(options: ChaosOptions): Promise<ChaosResult> {
  const chaos = new Chaos(options);
  return chaos.run();
}

/** A fault that goes on. */
interface Lasting {
  stepsLeft: number;
  readonly timer: NodeJS.Timeout;
  readonly lift: () => void;
}

/** A lasting fault that waits for steps is over after this long without them. */
const longestMs = 20_000;

class Chaos {
  readonly #options: ChaosOptions;
  readonly #env: NodeJS.ProcessEnv;
  readonly #dice: Dice;
  readonly #scene: Scene;
  readonly #faults: FaultRecord[] = [];
  readonly #kinds: readonly FaultKind[];
  readonly #rivals = new Set<Promise<void>>();
  readonly #lasting = new Set<Lasting>();
  #deck: FaultKind[] = [];
  /** When the next fault comes: after so many events, then so many bytes. */
  #next: { events: number; bytes: number } | undefined = { events: 3, bytes: 0 };
  #recovering: { readonly fault: FaultRecord; readonly sinceMs: number }[] = [];
  #step = 0;
  #lastStepMs = performance.now();
  #lastEvents: string[] = [];
  #rivalsListening = 0;
  #rivalsAdmitted = 0;
  #isEnding = false;
  #isInterrupted = false;

  constructor(options: ChaosOptions) {
    this.#options = options;
    this.#env = { ...process.env, ...options.env };
    this.#dice = new Dice(options.seed, "chaos");
    const coordinator = new SupervisedCoordinator({
      runFile: options.runFile,
      set: options.set ?? [],
      exchange: options.exchange,
      out: options.out,
      env: this.#env,
      onEvent: (event) => this.#event(event),
    });
    const fleet = new Fleet({
      env: this.#env,
      retrySeconds,
      link: { coordinatorPort: () => coordinator.port, onBytes: (count) => this.#bytes(count) },
    });
    const { workers, out, disk } = options;
    const newestCheckpoint = (): string | undefined => newestIn(join(out, "checkpoints"));
    this.#scene = { coordinator, fleet, workers, disk, newestCheckpoint, rival: () => this.#rival() };
    this.#kinds = possibleFaults(options.kinds, disk);
  }

  async run(): Promise<ChaosResult> {
    const { coordinator, fleet } = this.#scene;
    const { seed, maxMs, workers, hangMs = 60_000, signal } = this.#options;
    const startMs = performance.now();
    const watched = this.#watched(hangMs, signal);
    const deadline = maxMs === undefined ? undefined : setTimeout(() => this.#end(), maxMs);
    try {
      for (let i = 0; i < workers; i++) await fleet.add();
      const done = await Promise.race([coordinator.done, watched.failed]);
      this.#end();
      const workersLeft = await fleet.close((retrySeconds + 10) * 1000);
      await Promise.all(this.#rivals);
      return {
        seed,
        done,
        generations: coordinator.generations,
        faults: this.#faults,
        workerEnds: fleet.ends,
        workersLeft,
        rivalsAdmitted: this.#rivalsAdmitted,
        wallMs: performance.now() - startMs,
      };
    } catch (error) {
      this.#end();
      coordinator.done.catch(() => {});
      await coordinator.abandon();
      await fleet.close(0);
      await Promise.all(this.#rivals);
      throw error;
    } finally {
      clearTimeout(deadline);
      watched.stop();
    }
  }

  #event(event: RunEvent): void {
    this.#lastEvents.push(JSON.stringify(event).slice(0, 200));
    if (this.#lastEvents.length > 20) this.#lastEvents.shift();
    if (event.type === "step") this.#committed(event.step);
    if (this.#next === undefined || this.#next.events === 0) return;
    this.#next.events--;
    if (this.#next.events === 0 && this.#next.bytes === 0) this.#strike();
  }

  #committed(step: number): void {
    this.#step = step;
    this.#lastStepMs = performance.now();
    // Only now it is certain that the rival did not come to a directory whose run was just over.
    this.#rivalsAdmitted += this.#rivalsListening;
    this.#rivalsListening = 0;
    for (const { fault, sinceMs } of this.#recovering) fault.recoveryMs = this.#lastStepMs - sinceMs;
    this.#recovering = [];
    for (const lasting of this.#lasting) {
      lasting.stepsLeft--;
      if (lasting.stepsLeft === 0) this.#lift(lasting);
    }
    if (this.#isEnding && !this.#isInterrupted) {
      this.#isInterrupted = true; // only now: a coordinator that is starting would take it for a reason to die
      this.#scene.coordinator.interrupt();
    }
    if (!this.#isEnding) this.#next ??= this.#drawNext();
  }

  #bytes(count: number): void {
    if (this.#next === undefined || this.#next.events > 0) return;
    this.#next.bytes -= count;
    if (this.#next.bytes <= 0) this.#strike();
  }

  /** After up to 6 events; half of the faults then in the middle of what goes over the wire. */
  #drawNext(): { events: number; bytes: number } {
    const events = this.#dice.whole(1, 6);
    const exponent = this.#dice.uniform() * 16;
    return { events, bytes: this.#dice.chance(0.5) ? Math.floor(2 ** exponent) : 0 };
  }

  #strike(): void {
    this.#next = undefined;
    const { maxFaults = Number.POSITIVE_INFINITY, onFault } = this.#options;
    if (this.#isEnding || this.#faults.length >= maxFaults) return;
    if (this.#deck.length === 0) this.#deck = deck(this.#dice, this.#kinds);
    const kind = this.#deck.shift()!;
    const inflicted = this.#isPossible(kind) ? inflict(kind, this.#scene, this.#dice) : undefined;
    if (inflicted === undefined) {
      this.#deck.push(kind); // its turn comes again
      this.#next = this.#drawNext();
      return;
    }
    const { detail, lasts, lift } = inflicted;
    const fault: FaultRecord = { kind, detail, step: this.#step };
    this.#faults.push(fault);
    this.#recovering.push({ fault, sinceMs: performance.now() });
    if (lasts !== undefined && lift !== undefined) this.#goesOn(lasts, lift);
    onFault?.(fault);
    // One fault in four is followed by the next while the run still recovers from it.
    if (this.#dice.chance(0.25)) this.#next = this.#drawNext();
  }

  /** A rival is refused by a coordinator that lives, and only as long as it does. */
  #isPossible(kind: FaultKind): boolean {
    const { coordinator } = this.#scene;
    if (coordinator.isSuspended) return false;
    if (kind === "second coordinator on the directory")
      return coordinator.port !== undefined && !coordinator.wasOutOfRoom;
    return !(kind.startsWith("coordinator killed") || kind === "disk full") || this.#rivals.size === 0;
  }

  #goesOn(lasts: { readonly steps: number } | { readonly ms: number }, lift: () => void): void {
    const lasting: Lasting = {
      stepsLeft: "steps" in lasts ? lasts.steps : Number.POSITIVE_INFINITY,
      timer: setTimeout(() => this.#lift(lasting), "ms" in lasts ? lasts.ms : longestMs),
      lift,
    };
    this.#lasting.add(lasting);
  }

  #lift(lasting: Lasting): void {
    clearTimeout(lasting.timer);
    this.#lasting.delete(lasting);
    lasting.lift();
  }

  /** No further faults; what goes on is lifted, and the run is let come to its end. */
  #end(): void {
    this.#isEnding = true;
    this.#next = undefined;
    for (const lasting of [...this.#lasting]) this.#lift(lasting);
  }

  /** Another coordinator on a directory that is in use, which must be refused. */
  #rival(): Promise<void> {
    const { runFile, out, set = [] } = this.#options;
    let refused = false;
    const args = ["coordinator", runFile, "--port", "0", "--out", out, "--resume", ...set.flatMap((s) => ["--set", s])];
    const command = new JsonCommand(args, this.#env, (line) => {
      if (line.type === "error" && "code" in line && line.code === "OUTPUT_LOCKED") refused = true;
      else if (line.type === "notice" && !refused) {
        this.#rivalsListening++; // it got the directory
        command.interrupt();
      }
    });
    const ended = command.ended.then(() => {
      this.#rivals.delete(ended);
    });
    this.#rivals.add(ended);
    return ended;
  }

  #watched(hangMs: number, signal: AbortSignal | undefined): { failed: Promise<never>; stop: () => void } {
    let stop: () => void = () => {};
    const failed = new Promise<never>((_, reject) => {
      const interrupted = (): void => reject(new TuttiError("INTERRUPTED", "interrupted: nothing was proved"));
      signal?.addEventListener("abort", interrupted, { once: true });
      const timer = setInterval(() => {
        const silentMs = performance.now() - this.#lastStepMs;
        if (silentMs > hangMs) reject(this.#hung(silentMs));
      }, 1000);
      stop = () => {
        clearInterval(timer);
        signal?.removeEventListener("abort", interrupted);
      };
    });
    failed.catch(() => {});
    return { failed, stop };
  }

  #hung(silentMs: number): TuttiError {
    const last = this.#faults.at(-1);
    const after = last === undefined ? "before any fault" : `after "${last.kind}" (${last.detail})`;
    return new TuttiError(
      "CHAOS_FAILED",
      `no step was committed for ${Math.round(silentMs / 1000)} s ${after} at step ${this.#step}; the coordinator's last events: ${this.#lastEvents.join(" ")}`,
      { seed: this.#options.seed, faults: this.#faults },
    );
  }
}

function newestIn(checkpoints: string): string | undefined {
  try {
    const names = readdirSync(checkpoints).filter((name) => /^step-\d+\.safetensors$/.test(name));
    const newest = names.sort().at(-1);
    return newest && join(checkpoints, newest);
  } catch {
    return undefined; // there is no folder yet
  }
}
