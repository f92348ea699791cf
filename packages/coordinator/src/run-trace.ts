import type { Clock } from "@tutti/core/clock";
import type { MessageOf, ToCoordinator } from "@tutti/core/wire";
import { ClockOffset } from "./clock-offset.ts";
import type { Member } from "./member.ts";

/**
 * One entry of a trace, as Chrome and Perfetto read it (Trace Event Format). `ts` and `dur` are microseconds since the trace
 * began; X is a span, i a moment, M names a process or thread.
 */
export interface TraceEvent {
  readonly ph: "X" | "i" | "M";
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  /** Scope of a moment: its process. */
  readonly s?: "p";
  readonly args?: Readonly<Record<string, number | string>>;
}

type Spans = MessageOf<ToCoordinator, "spans">["spans"];

interface Traced {
  readonly pid: number;
  readonly offset: ClockOffset;
  errorMs: number;
  /** What came before its clock was known. */
  early: Spans[number][];
}

const coordinatorPid = 1;
const coordinatorTid = 1;

/** Threads of a worker's process in the trace: one for each span of a kind that may be under way at the same time. */
const firstTid = { compute: 100, evaluate: 200, upload: 300, parameters: 400 } as const;

const mostEarly = 4096;

/** Tells a trace of the coordinator and all its workers, all times on the coordinator's clock. */
export class RunTrace {
  readonly #clock: Clock;
  readonly #write: (event: TraceEvent) => void;
  readonly #beganMs: number;
  readonly #workers = new Map<Member, Traced>();
  /** By process and thread, where its last span ended. */
  readonly #ends = new Map<string, number>();
  #nextPid = coordinatorPid + 1;

  constructor(clock: Clock, write: (event: TraceEvent) => void) {
    this.#clock = clock;
    this.#write = write;
    this.#beganMs = clock.now();
    this.#name("process_name", coordinatorPid, 0, "coordinator");
    this.#name("thread_name", coordinatorPid, coordinatorTid, "steps");
  }

  /** Something the coordinator did, by its clock; spans nest. @param step that it was done for, where that is known. */
  span(name: string, beginMs: number, endMs: number, step?: number): void {
    const ts = this.#microseconds(beginMs);
    const dur = this.#microseconds(endMs) - ts;
    const args = step === undefined ? {} : { args: { step } };
    this.#write({ ph: "X", name, pid: coordinatorPid, tid: coordinatorTid, ts, dur, ...args });
  }

  greeted(member: Member): void {
    const pid = this.#nextPid++;
    this.#workers.set(member, { pid, offset: new ClockOffset(), errorMs: Number.POSITIVE_INFINITY, early: [] });
    this.#name("process_name", pid, 0, `worker ${member.id} on ${member.host} (process ${member.pid})`);
    this.#moment("joined", pid);
  }

  left(member: Member, reason: string): void {
    const worker = this.#workers.get(member);
    if (worker === undefined) return;
    this.#moment("left", worker.pid, { reason });
    this.#workers.delete(member);
  }

  /** A heartbeat answered one of ours. */
  answered(member: Member, sentMs: number, echo: { readonly sentMs: number; readonly heldMs: number }): void {
    const worker = this.#workers.get(member);
    if (worker === undefined) return;
    const receivedMs = this.#clock.now();
    worker.offset.add({ sentMs: echo.sentMs, answeredMs: sentMs, heldMs: echo.heldMs, receivedMs });
    const { best } = worker.offset;
    if (best === undefined) return;
    if (best.errorMs !== worker.errorMs) {
      worker.errorMs = best.errorMs;
      this.#moment("clock", worker.pid, { offsetMs: best.offsetMs, errorMs: best.errorMs });
    }
    this.#tell(worker, worker.early);
    worker.early = [];
  }

  /** What a worker did, by its clock. */
  spans(member: Member, spans: Spans): void {
    const worker = this.#workers.get(member);
    if (worker === undefined) return;
    if (worker.offset.best === undefined) worker.early = [...worker.early, ...spans].slice(-mostEarly);
    else this.#tell(worker, spans);
  }

  #tell({ pid, offset }: Traced, spans: Spans): void {
    const offsetMs = offset.best?.offsetMs ?? 0;
    for (const { name, row, beginMs, endMs, step, node } of spans) {
      const tid = firstTid[name] + row;
      const key = `${pid}/${tid}`;
      const last = this.#ends.get(key);
      if (last === undefined) this.#name("thread_name", pid, tid, row === 0 ? name : `${name} ${row + 1}`);
      // A better estimate of the offset may move spans a little: those of a thread still follow each other.
      const ts = Math.max(this.#microseconds(beginMs - offsetMs), last ?? Number.NEGATIVE_INFINITY);
      const end = Math.max(this.#microseconds(endMs - offsetMs), ts);
      this.#ends.set(key, end);
      const args = { step, ...(node === undefined ? {} : { shards: `${node.lo}–${node.hi - 1}` }) };
      this.#write({ ph: "X", name, pid, tid, ts, dur: end - ts, args });
    }
  }

  #moment(name: string, pid: number, args: Readonly<Record<string, number | string>> = {}): void {
    this.#write({ ph: "i", s: "p", name, pid, tid: 0, ts: this.#microseconds(this.#clock.now()), args });
  }

  #name(what: "process_name" | "thread_name", pid: number, tid: number, name: string): void {
    this.#write({ ph: "M", name: what, pid, tid, ts: 0, args: { name } });
  }

  /** Whole nanoseconds, so that sums and differences of times stay exact and inner spans inside the outer. */
  #microseconds(ms: number): number {
    return Math.round((ms - this.#beganMs) * 1e6) / 1e3;
  }
}
