import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** How long a contestant may take to answer; a slow machine's slowest question takes a tenth of it. */
const answerMs = 120_000;

/**
 * A process that is measured a slice at a time: it prints one JSON line when it is ready and one for each line that it
 * is given, and does nothing in between, so that the next contestant has the machine for itself.
 */
export class Contestant {
  /** What it said of itself when it was ready. */
  ready;
  #child;
  #answers;
  #errors = "";

  constructor(command, args, { env = {}, cwd } = {}) {
    this.#child = spawn(command, args, { env: { ...process.env, ...env }, cwd, stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stderr.on("data", (text) => {
      this.#errors = `${this.#errors}${text}`.slice(-4000);
    });
    this.#child.stdin.on("error", () => {}); // its end is told by its output's
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** Starts it and waits until it has done its first work. */
  static async start(command, args, options) {
    const contestant = new Contestant(command, args, options);
    contestant.ready = await contestant.#answer();
    return contestant;
  }

  get pid() {
    return this.#child.pid;
  }

  async ask(question) {
    this.#child.stdin.write(`${JSON.stringify(question)}\n`);
    return await this.#answer();
  }

  /** Ends it, by force if it does not end when its input does. */
  async end(graceMs = 5000) {
    const closed = new Promise((resolve) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) resolve();
      else this.#child.once("close", resolve);
    });
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), graceMs);
    await closed;
    clearTimeout(timer);
  }

  async #answer() {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), answerMs);
    for (;;) {
      const { value, done } = await this.#answers.next();
      if (done) throw new Error(`${this.#child.spawnargs.join(" ")} ended early:\n${this.#errors}`);
      if (!value.startsWith("{")) continue; // a library that prints
      clearTimeout(timer);
      return JSON.parse(value);
    }
  }
}
