import type { WriteStream } from "node:fs";
import { open } from "node:fs/promises";
import { finished } from "node:stream/promises";
import type { TraceEvent } from "@tutti/coordinator";
import { TuttiError } from "@tutti/core/errors";

/** A trace on disk: a JSON array, one event a line. Readers take one without its end, so it serves when a run is killed, too. */
export class TraceFile {
  readonly #stream: WriteStream;
  #error: Error | undefined;
  #isFirst = true;

  private constructor(stream: WriteStream) {
    this.#stream = stream;
    stream.on("error", (error) => {
      this.#error = error;
    });
  }

  /** Begins a file, in place of one that is there. Throws BAD_OPTION if it cannot be written. */
  static async open(path: string): Promise<TraceFile> {
    try {
      return new TraceFile((await open(path, "w")).createWriteStream());
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new TuttiError("BAD_OPTION", `--trace ${path}: it cannot be written (${why})`, {}, { cause: error });
    }
  }

  write(event: TraceEvent): void {
    if (this.#error !== undefined) return;
    this.#stream.write(`${this.#isFirst ? "[" : ","}\n${JSON.stringify(event)}`);
    this.#isFirst = false;
  }

  /** @returns why the file is not whole, if it is not. */
  async close(): Promise<string | undefined> {
    this.#stream.end(this.#isFirst ? "[]\n" : "\n]\n");
    await finished(this.#stream).catch((error: Error) => {
      this.#error ??= error;
    });
    return this.#error?.message;
  }
}
