import { type FileHandle, open } from "node:fs/promises";
import type { TuttiError } from "../errors/index.ts";
import { outputNotWritable } from "./output-error.ts";

/** One line of the log. Lines of steps carry the step they belong to. */
export interface MetricsRecord {
  readonly type: string;
  readonly step?: number;
}

/**
 * An append-only file of one JSON object a line, in the order of the steps. Appending never waits: lines are written
 * together, in order, as fast as the disk takes them.
 */
export class MetricsLog {
  readonly #path: string;
  readonly #file: FileHandle;
  #waiting: string[] = [];
  #writing: Promise<void> | undefined;
  #failure: TuttiError | undefined;

  /** Opens a log for appending; makes it when it is not there. Throws OUTPUT_NOT_WRITABLE. */
  static async open(path: string): Promise<MetricsLog> {
    try {
      return new MetricsLog(path, await open(path, "a+"));
    } catch (error) {
      throw outputNotWritable(path, error);
    }
  }

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  /** Adds a line. After a failed write nothing more is taken, so that the file never has a hole; `flush` tells. */
  append(record: MetricsRecord): void {
    if (this.#failure !== undefined) return;
    this.#waiting.push(`${JSON.stringify(record)}\n`);
    this.#writing ??= this.#writeAll();
  }

  /** Resolves when all that was appended is with the operating system. Rejects with OUTPUT_NOT_WRITABLE if a write failed. */
  async flush(): Promise<void> {
    await this.#writing;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /**
   * For a run that goes on from `step`: drops everything from the first line of a later step on, and a last line that
   * was torn. Throws OUTPUT_NOT_WRITABLE.
   */
  async cutBackTo(step: number): Promise<void> {
    await this.flush();
    try {
      await this.#file.truncate(await this.#endOfStep(step));
    } catch (error) {
      throw outputNotWritable(this.#path, error);
    }
  }

  /** Flushes and closes. */
  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.#file.close();
    }
  }

  async #writeAll(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        const text = this.#waiting.join("");
        this.#waiting = [];
        await this.#file.appendFile(text);
      }
    } catch (error) {
      this.#failure ??= outputNotWritable(this.#path, error);
      this.#waiting = [];
    } finally {
      this.#writing = undefined;
    }
  }

  /** Byte after the last whole line that is not of a later step and has none before it. */
  async #endOfStep(step: number): Promise<number> {
    const chunk = new Uint8Array(64 * 1024);
    let line: Uint8Array = new Uint8Array(0);
    let end = 0;
    for (let position = 0; ; ) {
      const { bytesRead } = await this.#file.read(chunk, 0, chunk.byteLength, position);
      if (bytesRead === 0) return end;
      position += bytesRead;
      line = Buffer.concat([line, chunk.subarray(0, bytesRead)]);
      for (let newline = line.indexOf(0x0a); newline >= 0; newline = line.indexOf(0x0a)) {
        const found = stepOf(line.subarray(0, newline));
        if (found !== undefined && found > step) return end;
        end += newline + 1;
        line = line.subarray(newline + 1);
      }
    }
  }
}

/** undefined for a line without a step, or one that is no JSON (it is not ours to judge). */
function stepOf(line: Uint8Array): number | undefined {
  try {
    const record: unknown = JSON.parse(new TextDecoder().decode(line));
    if (typeof record === "object" && record !== null && "step" in record && typeof record.step === "number") {
      return record.step;
    }
  } catch {
    return undefined;
  }
  return undefined;
}
