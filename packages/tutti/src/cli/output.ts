import type { Writable } from "node:stream";

/** What may be a terminal, and then says so and how wide it is. */
type Terminal = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** Where a command writes: results to stdout, what merely happens to stderr. Survives readers that go away (`| head`). */
export class Output {
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  readonly #closed = new AbortController();

  constructor(stdout: Terminal, stderr: Terminal) {
    this.stdout = stdout;
    this.stderr = stderr;
    stdout.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      this.#closed.abort();
    });
    stderr.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
    });
  }

  /** Aborted when nobody reads stdout any more: a long command then ends as if interrupted. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  line(text = ""): void {
    this.stdout.write(`${text}\n`);
  }

  /** One line of `--json`. Figures that JSON lacks become "NaN", "Infinity" and "-Infinity" instead of null. */
  json<Line extends { readonly type: string }>(value: Line): void {
    const nonFinite = (_key: string, field: unknown): unknown =>
      typeof field === "number" && !Number.isFinite(field) ? String(field) : field;
    this.stdout.write(`${JSON.stringify(value, nonFinite)}\n`);
  }

  log(text: string): void {
    this.stderr.write(`${text}\n`);
  }

  /** Resolves when all that was written has been handed to the system, or can never be. */
  async flush(): Promise<void> {
    for (const stream of [this.stdout, this.stderr]) {
      if (stream.writableLength > 0 && !stream.destroyed) {
        await new Promise<void>((resolve) => {
          stream.once("close", resolve);
          stream.write("", () => resolve());
        });
      }
    }
  }
}
