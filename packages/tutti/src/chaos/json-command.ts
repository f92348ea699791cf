import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { commandFile } from "../own-package.ts";

/** A line of a command's `--json`. */
export interface JsonLine {
  readonly type: string;
}

/** How a process ended. */
export interface CommandEnd {
  /** null after a signal. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last lines it wrote to stderr. */
  readonly stderr: string;
}

const stderrLines = 40;
const lastLines = 8;

/** A `tutti … --json` process: its lines as they come, signals for it, and how it ended. Dies with this process. */
export class JsonCommand {
  readonly ended: Promise<CommandEnd>;
  /** The last lines it wrote, to stdout and stderr. */
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  #isSuspended = false;

  constructor(args: readonly string[], env: NodeJS.ProcessEnv, onLine: (line: JsonLine) => void) {
    const child = spawn(process.execPath, [commandFile, ...args, "--json"], { env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    const stderr: string[] = [];
    const wrote = (line: string): void => {
      this.lines.push(line);
      if (this.lines.length > lastLines) this.lines.shift();
    };
    createInterface({ input: child.stderr }).on("line", (line) => {
      wrote(line);
      stderr.push(line);
      if (stderr.length > stderrLines) stderr.shift();
    });
    createInterface({ input: child.stdout }).on("line", (line) => {
      wrote(line);
      const parsed = parsedLine(line);
      if (parsed === undefined) stderr.push(`no JSON on stdout: ${line}`);
      else onLine(parsed);
    });
    const killAtExit = (): void => void child.kill("SIGKILL");
    process.once("exit", killAtExit);
    this.ended = new Promise((resolve) => {
      child.once("error", (error) => stderr.push(error.message));
      child.once("close", (status, signal) => {
        process.off("exit", killAtExit);
        resolve({ status, signal, stderr: stderr.join("\n") });
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get isSuspended(): boolean {
    return this.#isSuspended;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  interrupt(): void {
    this.#child.kill("SIGINT");
  }

  /** Lets it run in one of `factor` slices of time only. The function returned ends that. */
  slowDown(factor: number): () => void {
    const sliceMs = 8;
    let slice = 0;
    const timer = setInterval(() => {
      if (!this.#isSuspended) this.#child.kill(slice++ % factor === 0 ? "SIGCONT" : "SIGSTOP");
    }, sliceMs);
    const end = (): void => {
      clearInterval(timer);
      if (!this.#isSuspended) this.#child.kill("SIGCONT");
    };
    void this.ended.then(() => clearInterval(timer));
    return end;
  }

  /** Stops it in the middle of whatever it does, as a debugger or a sleeping machine would. */
  suspend(): void {
    this.#isSuspended = true;
    this.#child.kill("SIGSTOP");
  }

  wake(): void {
    this.#isSuspended = false;
    this.#child.kill("SIGCONT");
  }
}

/** undefined for the last line of a process that was killed while it wrote. */
function parsedLine(line: string): JsonLine | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null && "type" in value && typeof value.type === "string")
      return { ...value, type: value.type };
  } catch {
    return undefined;
  }
  return undefined;
}
