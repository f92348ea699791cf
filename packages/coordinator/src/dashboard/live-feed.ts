import type { ServerResponse } from "node:http";
import type { LiveUpdate, RunUpdate } from "@tutti/core/events";
import type { Curves } from "./curves.ts";
import type { RunHistory } from "./run-history.ts";

/** How often readers are told what is new. */
const usualTickMs = 500;
/** After so long without news a comment shows that the connection lives. */
const quietTicks = 20;
/** A reader with more than this unread is told nothing until it has caught up. */
const maxUnreadBytes = 1 << 20;

/** Where one reader is in the curves of a run. */
interface CurveCursor {
  version: number;
  rows: number;
}

interface RunCursor {
  version: number;
  training: CurveCursor;
  validation: CurveCursor;
  recentStep: number;
  timelineStep: number;
  logNumber: number;
}

interface Reader {
  readonly response: ServerResponse;
  readonly cursors: Map<string, RunCursor>;
  readonly isSteering: boolean;
  quiet: number;
}

/**
 * Tells readers what is new, as server-sent events (WHATWG HTML, section 9.2). Events of a run only change its history;
 * what is sent is made here, a few times a second, from where each reader is. A slow reader gets less often more, never a
 * queue.
 */
export class LiveFeed {
  readonly #server: string;
  readonly #runs: readonly RunHistory[];
  readonly #tickMs: number;
  readonly #readers = new Set<Reader>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param server names this process: readers start anew when it changes. @param tickMs between news. */
  constructor(server: string, runs: readonly RunHistory[], tickMs: number = usualTickMs) {
    this.#server = server;
    this.#runs = runs;
    this.#tickMs = tickMs;
  }

  get readers(): number {
    return this.#readers.size;
  }

  /** Sends everything, then what is new until the connection closes. */
  add(response: ServerResponse, isSteering: boolean): void {
    const reader: Reader = { response, cursors: new Map(), isSteering, quiet: 0 };
    this.#readers.add(reader);
    response.once("close", () => {
      this.#readers.delete(reader);
      if (this.#readers.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    });
    response.write("retry: 1000\n\n");
    this.#tell(reader, true);
    this.#timer ??= setInterval(() => this.#tick(), this.#tickMs).unref();
  }

  /** Tells the last news and ends all connections. */
  close(): void {
    for (const reader of this.#readers) {
      this.#tell(reader, false);
      reader.response.end();
    }
  }

  #tick(): void {
    for (const reader of this.#readers) this.#tell(reader, false);
  }

  #tell(reader: Reader, isFirst: boolean): void {
    const { response, cursors } = reader;
    if (!isFirst && response.writableLength > maxUnreadBytes) return;
    const runs = this.#runs
      .filter((run) => isFirst || run.isLive || cursors.get(run.id)?.version !== run.version)
      .map((run) => this.#update(run, cursors));
    if (runs.length > 0) {
      const update: LiveUpdate = { server: this.#server, isFirst, isSteerable: reader.isSteering, runs };
      response.write(`data: ${json(update)}\n\n`);
      reader.quiet = 0;
    } else if (++reader.quiet >= quietTicks) {
      response.write(": nothing new\n\n");
      reader.quiet = 0;
    }
  }

  #update(run: RunHistory, cursors: Map<string, RunCursor>): RunUpdate {
    const known = cursors.get(run.id);
    const cursor = known ?? {
      version: -1,
      training: { version: -1, rows: 0 },
      validation: { version: -1, rows: 0 },
      recentStep: -1,
      timelineStep: -1,
      logNumber: 0,
    };
    cursors.set(run.id, cursor);
    cursor.version = run.version;
    const recent = run.recent.after(cursor.recentStep);
    const timeline = run.timelineAfter(cursor.timelineStep);
    const log = run.logAfter(cursor.logNumber);
    cursor.recentStep = recent.steps.at(-1) ?? cursor.recentStep;
    cursor.timelineStep = timeline.at(-1)?.step ?? cursor.timelineStep;
    cursor.logNumber = log.at(-1)?.number ?? cursor.logNumber;
    return {
      status: run.status(),
      training: newRows(run.training, cursor.training),
      validation: newRows(run.validation, cursor.validation),
      recent,
      timeline,
      log,
      ...(known === undefined ? { configuration: run.configuration } : {}),
    };
  }
}

/** The last row may have grown since it was sent; all of them anew when rows were merged. */
function newRows(curves: Curves, cursor: CurveCursor): ReturnType<Curves["from"]> {
  const first = cursor.version === curves.version ? Math.max(0, cursor.rows - 1) : 0;
  cursor.version = curves.version;
  cursor.rows = curves.rows;
  return curves.from(first);
}

/** Figures that JSON lacks become "NaN", "Infinity" and "-Infinity", as in the lines of `--json`. */
export function json(value: unknown): string {
  return JSON.stringify(value, (_key, field: unknown) =>
    typeof field === "number" && !Number.isFinite(field) ? String(field) : field,
  );
}
