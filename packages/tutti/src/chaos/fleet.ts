import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { faultyEngineUrl } from "../own-package.ts";
import { JsonCommand } from "./json-command.ts";
import { Link, type LinkOptions } from "./link.ts";

/** A worker that ended though nobody ended it. */
export interface WorkerEnd {
  /** Its error's code, or the signal or exit status. */
  readonly reason: string;
  readonly message: string;
}

export interface FleetOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly link: LinkOptions;
  /** Seconds that workers keep trying to reach a coordinator. */
  readonly retrySeconds: number;
}

/** Worker processes, each with a link of its own. Those that die are started again while the run goes on. */
export class Fleet {
  /** Ends that no fault of ours explains by itself. */
  readonly ends: WorkerEnd[] = [];
  readonly #options: FleetOptions;
  readonly #places = new Set<Place>();
  readonly #orders = mkdtempSync(join(tmpdir(), "tutti-faults-"));
  #opened = 0;
  #isClosing = false;

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  get places(): readonly Place[] {
    return [...this.#places];
  }

  async add(): Promise<void> {
    const link = await Link.open(this.#options.link);
    if (this.#isClosing) return link.close();
    const place = new Place(link, join(this.#orders, `${++this.#opened}`), () => this.#start(place));
    this.#places.add(place);
    place.start();
  }

  /**
   * The run is over: asks those workers to leave that are cut off from hearing it, lets the others end by themselves, and
   * ends those that have not within `graceMs`.
   * @returns what is known of each that had to be ended.
   */
  async close(graceMs: number): Promise<readonly string[]> {
    this.#isClosing = true;
    const killed: string[] = [];
    const timer = setTimeout(() => {
      for (const place of this.#places) {
        if (place.command?.isAlive !== true) continue;
        killed.push(place.description);
        place.command.kill();
      }
    }, graceMs);
    const places = this.places;
    for (const place of places) if (!place.link.isConnected) place.leave();
    await Promise.all(places.map(({ command }) => command?.ended));
    clearTimeout(timer);
    await Promise.all(places.map(({ link }) => link.close()));
    rmSync(this.#orders, { recursive: true, force: true });
    return killed;
  }

  #start(place: Place): JsonCommand {
    const { retrySeconds } = this.#options;
    const env = {
      ...this.#options.env,
      ORT_DISABLE_TELEMETRY: "1", // before anything loads the engine
      TUTTI_ENGINE_FAULT: place.orders,
      NODE_OPTIONS: `${this.#options.env.NODE_OPTIONS ?? ""} --import ${faultyEngineUrl}`,
    };
    let error: { readonly code: string; readonly message: string } | undefined;
    const command = new JsonCommand(["worker", place.link.url, "--retry", `${retrySeconds}`], env, (line) => {
      if (line.type === "error" && "code" in line && "message" in line)
        error = { code: String(line.code), message: String(line.message) };
    });
    void command.ended.then(({ status, signal, stderr }) => {
      if (place.isLeaving) {
        this.#places.delete(place);
        void place.link.close();
        return;
      }
      if (status === 0) return; // told that the run is over
      const isExpected = place.isDoomed || signal === "SIGKILL";
      place.isDoomed = false;
      rmSync(place.orders, { force: true });
      if (!isExpected)
        this.ends.push({ reason: error?.code ?? signal ?? `exit status ${status}`, message: error?.message ?? stderr });
      if (!this.#isClosing) place.start();
    });
    return command;
  }
}

/** Where a worker runs: its process, as long as it lives, and its link. */
export class Place {
  readonly link: Link;
  command: JsonCommand | undefined;
  isLeaving = false;
  /** A fault may have made its process end by itself. */
  isDoomed = false;
  /** What its engine does next, once: see faulty-engine.ts. */
  readonly orders: string;
  readonly #run: () => JsonCommand;

  constructor(link: Link, orders: string, run: () => JsonCommand) {
    this.link = link;
    this.orders = orders;
    this.#run = run;
  }

  /** Makes one lane's engine fail, go on for ever, or take all memory there is, when it runs next. */
  order(fault: "error" | "loop" | "memory"): void {
    this.isDoomed ||= fault !== "error";
    writeFileSync(this.orders, fault);
  }

  start(): void {
    this.command = this.#run();
  }

  /** Its process, the way to the coordinator and what it said last. */
  get description(): string {
    const { command, link, isLeaving } = this;
    const states = [
      ...(command?.isSuspended === true ? ["stopped"] : []),
      ...(isLeaving ? ["asked to leave"] : []),
      link.isConnected ? "connected" : "not connected",
    ];
    return `worker process ${command?.pid} (${states.join(", ")}; its last lines: ${command?.lines.join(" ") || "none"})`;
  }

  /** Asks the worker to leave, for good. */
  leave(): void {
    this.isLeaving = true;
    this.command?.interrupt();
  }
}
