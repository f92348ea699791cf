import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { TuttiError } from "@tutti/core/errors";

/** Machines on which `train` starts a worker each, over SSH. */
export interface RemoteHosts {
  /** As SSH knows them: "gpu1", "me@10.0.0.3". */
  readonly names: readonly string[];
  /** What runs `tutti` there, as one would type it after `ssh HOST`; "npx tutti" by default. */
  readonly command?: string;
  /** Threads of each worker; 1 by default. */
  readonly lanes?: number;
  /** Name or address by which the machines reach this one; the one listened on by default. */
  readonly address?: string;
  /** Data sets that each worker reads for itself (`placement: "workers"`), NAME=FILE or NAME.COLUMN=FILE, the files being on the hosts. */
  readonly data?: readonly string[];
  /** Certificates (PEM texts) that the workers trust for `wss://` instead of the system's. */
  readonly tlsCa?: string;
  /** Workers come through the SSH connections: this machine listens on loopback alone. */
  readonly tunnel?: boolean;
}

export interface RemoteWorkersOptions {
  readonly hosts: RemoteHosts;
  /** Of the coordinator, as the hosts reach it. */
  readonly url: string;
  readonly token: string | undefined;
  /** For the columns of each of their data sets. */
  readonly dataMemoryBytes: number | undefined;
  /** Workers are to reach each other: they listen on all addresses, for those who know the run's key. */
  readonly reachEachOther: boolean;
  readonly log: (line: string) => void;
  /** True once the run has ended, when workers end by themselves. */
  readonly isOver: () => boolean;
  /** Called when a host never got to work: nothing more is started there. */
  readonly failed: (error: TuttiError) => void;
}

/** How often a host that never worked is tried, and how long it must have worked to be tried for ever. */
const mostTries = 3;
const healthyMs = 10_000;
const longestPauseMs = 60_000;

const sshOptions = [
  "-T", // no terminal: stdin carries the token
  ...["-o", "BatchMode=yes"], // a question nobody would answer
  ...["-o", "ConnectTimeout=8"],
  ...["-o", "ServerAliveInterval=15"],
];

/**
 * Keeps one worker running on every host: `ssh HOST npx tutti worker URL`, started again when it ends before the run does,
 * with growing pauses. The token goes through stdin, as arguments can be read by every user of both machines; certificates to trust
 * follow it.
 */
export class RemoteWorkers {
  readonly #options: RemoteWorkersOptions;
  readonly #children = new Set<ChildProcess>();
  readonly #closing = new AbortController();
  readonly #keeping: Promise<void>[] = [];

  constructor(options: RemoteWorkersOptions) {
    this.#options = options;
  }

  start(): void {
    for (const host of this.#options.hosts.names) this.#keeping.push(this.#keep(host));
  }

  /** Waits for all to end by themselves, which they do when the run is over; cuts off those that do not within `graceMs`. */
  async close(graceMs = 3000): Promise<void> {
    this.#closing.abort();
    const timer = setTimeout(() => {
      for (const child of this.#children) child.kill("SIGKILL");
    }, graceMs);
    await Promise.all(this.#keeping);
    clearTimeout(timer);
  }

  get #isEnding(): boolean {
    return this.#closing.signal.aborted || this.#options.isOver();
  }

  async #keep(host: string): Promise<void> {
    const { log, failed } = this.#options;
    let hasWorked = false;
    let pauseMs = 500;
    for (let tries = 1; !this.#isEnding; tries++) {
      const startedMs = performance.now();
      const { why, isDrained } = await this.#work(host);
      if (this.#isEnding) return;
      if (isDrained) {
        log(`${host}: the worker was drained and is not started again`);
        return;
      }
      if (performance.now() - startedMs > healthyMs) {
        hasWorked = true;
        pauseMs = 500;
      }
      if (!hasWorked && tries >= mostTries) {
        failed(new TuttiError("WORKER_FAILED", `${host}: no worker could be started there over SSH: ${why}`));
        return;
      }
      log(`${host}: the worker ended (${why}); starting another in ${pauseMs / 1000} s`);
      await delay(pauseMs, undefined, { signal: this.#closing.signal }).catch(() => {});
      pauseMs = Math.min(2 * pauseMs, longestPauseMs);
    }
  }

  /** What to tell SSH, and what to run on the host. */
  #command(): { readonly ssh: readonly string[]; readonly worker: string } {
    const { hosts, url, token, dataMemoryBytes, reachEachOther } = this.#options;
    const { command = "npx tutti", lanes = 1, data = [], tlsCa, tunnel = false } = hosts;
    const options = [
      ...["--lanes", `${lanes}`, "--json"],
      ...(reachEachOther ? ["--peer-host", "0.0.0.0"] : []),
      ...(token === undefined ? [] : ["--token-file", "-"]),
      ...(tlsCa === undefined ? [] : ["--tls-ca", "-"]),
      ...data.flatMap((place) => ["--data", quoted(place)]),
      ...(data.length === 0 || dataMemoryBytes === undefined ? [] : ["--data-memory", `${dataMemoryBytes / 2 ** 20}`]),
    ];
    const { protocol, port } = new URL(url);
    // Any port may be taken there: another one for each try.
    const remotePort = randomInt(20_000, 32_000);
    const reached = tunnel ? `${protocol}//127.0.0.1:${remotePort}` : url;
    const forward = ["-o", "ExitOnForwardFailure=yes", "-R", `127.0.0.1:${remotePort}:127.0.0.1:${port}`];
    return { ssh: tunnel ? forward : [], worker: `${command} worker ${reached} ${options.join(" ")}` };
  }

  /** Runs one worker to its end, and says why it ended. */
  #work(host: string): Promise<{ readonly why: string; readonly isDrained: boolean }> {
    const { hosts, token, log } = this.#options;
    const { ssh, worker } = this.#command();
    const child = spawn("ssh", [...sshOptions, ...ssh, "--", host, worker], { stdio: ["pipe", "pipe", "pipe"] });
    this.#children.add(child);
    child.stdin.on("error", () => {}); // it ended before it read the token: its exit tells
    child.stdin.end(`${token ?? ""}\n${hosts.tlsCa ?? ""}`);
    let told = "";
    let isDrained = false;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { type, code, message } = messageIn(line);
      if (type === "error") told = `${code}: ${message}`;
      else log(`${host}: ${message}`);
      if (type === "parting" && code === "DRAINED") isDrained = true;
    });
    createInterface({ input: child.stderr }).on("line", (line) => {
      log(`${host}: ${line}`);
      if (told === "") told = line;
    });
    return new Promise((resolve) => {
      child.on("error", (error) => resolve({ why: `ssh does not run: ${error.message}`, isDrained }));
      child.on("close", (status, signal) => {
        this.#children.delete(child);
        resolve({ why: told === "" ? (signal ?? `exit status ${status}`) : told, isDrained });
      });
    });
  }
}

/** One word for a shell, whatever it holds. */
function quoted(text: string): string {
  return /^[\w./=:@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A line of `tutti worker --json`; what is no such line, such as a login message, as it is. */
function messageIn(line: string): { readonly type: string; readonly code: string; readonly message: string } {
  try {
    const { type = "", code = "", message = line } = JSON.parse(line) as Readonly<Record<string, string | undefined>>;
    return { type, code, message };
  } catch {
    return { type: "", code: "", message: line };
  }
}
