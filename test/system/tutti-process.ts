import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { RunEvent } from "@tutti/core/events";
import { onTestFinished } from "vitest";

export const root = fileURLToPath(new URL("../..", import.meta.url));
const bin = join(root, "packages/tutti/bin/tutti.js");

/** A `tutti` process with `--json`: its events as they come, and how it ended. */
export class TuttiProcess {
  readonly child: ChildProcess;
  readonly events: RunEvent[] = [];
  stderr = "";
  readonly #ended: Promise<number | null>;
  readonly #listeners = new Set<(event: RunEvent) => void>();

  /** @param options.node another Node's binary. */
  constructor(
    args: readonly string[],
    options: { readonly node?: string; readonly env?: Readonly<Record<string, string>> } = {},
  ) {
    this.child = spawn(options.node ?? process.execPath, [bin, ...args], {
      cwd: root,
      env: { ...process.env, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    createInterface({ input: this.child.stdout! }).on("line", (line) => {
      const event = JSON.parse(line) as RunEvent;
      this.events.push(event);
      for (const listener of [...this.#listeners]) listener(event);
    });
    this.#ended = new Promise((resolve) => this.child.once("close", (code) => resolve(code)));
    onTestFinished(() => {
      this.child.kill("SIGKILL");
    });
  }

  get pid(): number {
    return this.child.pid!;
  }

  onEvent(listener: (event: RunEvent) => void): void {
    this.#listeners.add(listener);
  }

  /** Resolves with the exit status, null after a signal. */
  end(): Promise<number | null> {
    return this.#ended;
  }

  /** The first event that fits, past or to come. Rejects if the process ends without it. */
  event<T extends RunEvent["type"]>(
    type: T,
    fits: (event: Extract<RunEvent, { type: T }>) => boolean = () => true,
  ): Promise<Extract<RunEvent, { type: T }>> {
    const isIt = (event: RunEvent): event is Extract<RunEvent, { type: T }> =>
      event.type === type && fits(event as Extract<RunEvent, { type: T }>);
    const past = this.events.find(isIt);
    if (past !== undefined) return Promise.resolve(past as Extract<RunEvent, { type: T }>);
    return new Promise((resolve, reject) => {
      const listener = (event: RunEvent): void => {
        if (!isIt(event)) return;
        this.#listeners.delete(listener);
        resolve(event);
      };
      this.#listeners.add(listener);
      void this.#ended.then((code) =>
        reject(new Error(`tutti ended with ${code} before a ${type} event came\n${this.stderr}`)),
      );
    });
  }
}

/** What must be the same however a run was computed: weights, and every step's loss, norm and metrics. */
export interface Result {
  readonly weightsSha256: string;
  readonly steps: readonly string[];
  readonly validations: readonly string[];
}

/** Of all events of a run, also over several coordinators: what came last for a step counts. */
export function resultOf(events: readonly RunEvent[]): Result {
  const steps = new Map<number, string>();
  const validations = new Map<number, string>();
  let weightsSha256 = "";
  for (const event of events) {
    if (event.type === "step")
      steps.set(event.step, `${event.step}: ${event.loss} ${event.gradientNorm} ${JSON.stringify(event.metrics)}`);
    if (event.type === "validation")
      validations.set(event.step, `${event.step}: ${event.loss} ${JSON.stringify(event.metrics)}`);
    if (event.type === "done") weightsSha256 = event.weightsSha256;
  }
  return { weightsSha256, steps: [...steps.values()], validations: [...validations.values()] };
}

/** Trains to the end; throws with what it printed when it fails. */
export async function trained(args: readonly string[], options: { readonly node?: string } = {}): Promise<Result> {
  const run = new TuttiProcess(["train", ...args, "--json"], options);
  const code = await run.end();
  if (code !== 0) throw new Error(`tutti train ${args.join(" ")} ended with ${code}\n${run.stderr}`);
  return resultOf(run.events);
}

/** A folder that is gone when the test is over. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tutti-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** Processes whose parent is `pid` (Linux). */
export function childrenOf(pid: number): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((child) => {
      try {
        return readFileSync(`/proc/${child}/stat`, "utf8")
          .replace(/^.*\) \S /, "")
          .startsWith(`${pid} `);
      } catch {
        return false; // it has ended meanwhile
      }
    });
}
