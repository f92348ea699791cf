import type { Exchange } from "@tutti/coordinator";
import { TuttiError } from "@tutti/core/errors";
import type { DoneEvent, RunEvent } from "@tutti/core/events";
import { JsonCommand, type JsonLine } from "./json-command.ts";

export interface SupervisedCoordinatorOptions {
  readonly runFile: string;
  readonly set: readonly string[];
  readonly exchange?: Exchange | undefined;
  readonly out: string;
  readonly env: NodeJS.ProcessEnv;
  readonly onEvent: (event: RunEvent) => void;
}

/**
 * `tutti coordinator RUN --resume` as a supervisor keeps it: started again whenever it was killed, until one of its
 * generations says that the run is over.
 */
export class SupervisedCoordinator {
  /** Everything each generation said, in order. */
  readonly generations: RunEvent[][] = [];
  /** Resolves when the run is over. Rejects with CHAOS_FAILED when a generation ended otherwise, though nobody killed it. */
  readonly done: Promise<DoneEvent>;
  readonly #options: SupervisedCoordinatorOptions;
  #command: JsonCommand;
  #port: number | undefined;
  #wasKilled = false;
  #isOutOfRoom = false;
  /** There was no room at some time of this generation. */
  #wasOutOfRoom = false;
  /** Done to its files before the next generation starts. */
  #meanwhile: () => void = () => {};
  #isAbandoned = false;
  #settle: { resolve(done: DoneEvent): void; reject(error: unknown): void } = { resolve() {}, reject() {} };

  constructor(options: SupervisedCoordinatorOptions) {
    this.#options = options;
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.done.catch(() => {}); // it may fail before anybody waits for it
    this.#command = this.#start();
  }

  /** Where the living generation listens; undefined while there is none. */
  get port(): number | undefined {
    return this.#port;
  }

  get isSuspended(): boolean {
    return this.#command.isSuspended;
  }

  /** @param meanwhile done to its files before the next generation starts. */
  kill(meanwhile: () => void = () => {}): void {
    this.#wasKilled = true;
    this.#meanwhile = meanwhile;
    this.#command.kill();
  }

  /** The living generation may yet end because there was no room. */
  get wasOutOfRoom(): boolean {
    return this.#wasOutOfRoom;
  }

  /** While its disk is full it may end for want of room, and is started again and again. */
  set isOutOfRoom(is: boolean) {
    this.#isOutOfRoom = is;
    this.#wasOutOfRoom ||= is;
  }

  /** Stops the process; the function returned lets it go on, if it still lives. */
  suspend(): () => void {
    const command = this.#command;
    command.suspend();
    return () => command.wake();
  }

  /** As Ctrl-C: it ends after the step under way, with a checkpoint. */
  interrupt(): void {
    this.#command.interrupt();
  }

  /** Kills it for good. Resolves when it is gone. */
  async abandon(): Promise<void> {
    this.#isAbandoned = true;
    this.#command.kill();
    await this.#command.ended;
  }

  #start(): JsonCommand {
    const { runFile, set, exchange, out, env, onEvent } = this.#options;
    const events: RunEvent[] = [];
    this.generations.push(events);
    this.#wasKilled = false;
    this.#wasOutOfRoom = this.#isOutOfRoom;
    const args = ["coordinator", runFile, "--port", "0", "--out", out, "--resume", ...set.flatMap((s) => ["--set", s])];
    if (exchange !== undefined) args.push("--exchange", exchange);
    const command = new JsonCommand(args, env, (line) => {
      const event = runEvent(line);
      events.push(event);
      if (event.type === "notice") {
        const port = /^listening for workers at .*:(\d+)$/.exec(event.message)?.[1];
        if (port !== undefined) this.#port = Number(port);
      }
      onEvent(event);
    });
    void command.ended.then(({ status, signal, stderr }) => {
      this.#port = undefined;
      const done = events.at(-1);
      if (done?.type === "done" && status === 0) {
        this.#settle.resolve(done);
      } else if (this.#isAbandoned) {
        this.#settle.reject(new TuttiError("INTERRUPTED", "the coordinator was abandoned"));
      } else if (this.#wasKilled && signal === "SIGKILL") {
        this.#meanwhile();
        this.#command = this.#start();
      } else if (this.#wasOutOfRoom) {
        setTimeout(() => {
          if (!this.#isAbandoned) this.#command = this.#start();
        }, 300);
      } else {
        this.#settle.reject(
          new TuttiError(
            "CHAOS_FAILED",
            `the coordinator ended by itself (${signal ?? `exit status ${status}`}), though the run was not over: ${stderr}`,
          ),
        );
      }
    });
    return command;
  }
}

/** The command's lines are events as core/events declares them. */
function runEvent(line: JsonLine): RunEvent {
  return line as RunEvent;
}
