import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { TuttiProcess } from "./tutti-process.ts";

interface Event {
  readonly ph: string;
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly args?: Readonly<Record<string, number | string>>;
}

const blobs = "test/fixtures/blobs.ts";

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "tutti-trace-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function traced(...options: string[]): Promise<{ events: Event[]; steps: { step: number; wallMs: number }[] }> {
  const out = folder();
  const file = join(out, "trace.json");
  const run = new TuttiProcess([
    "train", blobs, "--json", "--out", join(out, "run"), "--trace", file, "--set", "epochs=4", ...options,
  ]); // biome-ignore format: one line reads better
  expect(await run.end(), run.stderr).toBe(0);
  const steps = run.events.flatMap((event) => (event.type === "step" ? [event] : []));
  return { events: JSON.parse(readFileSync(file, "utf8")) as Event[], steps };
}

const endOf = ({ ts, dur }: Event): number => ts + (dur ?? 0);
const named = (events: readonly Event[], name: string): Event[] => events.filter((event) => event.name === name);

/** Spans of a thread, each with what it lies in; fails when two overlap and neither contains the other. */
function nested(spans: readonly Event[]): void {
  const open: Event[] = [];
  for (const span of [...spans].sort((a, b) => a.ts - b.ts || endOf(b) - endOf(a))) {
    while (open.length > 0 && endOf(open.at(-1)!) <= span.ts + 1e-6) open.pop();
    const outer = open.at(-1);
    if (outer !== undefined) expect(endOf(span)).toBeLessThanOrEqual(endOf(outer) + 1e-6);
    open.push(span);
  }
}

test("writes a trace of the coordinator and two workers on one clock", async () => {
  const { events, steps } = await traced("--workers", "2");

  // The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
  for (const event of events) {
    expect(["X", "i", "M"]).toContain(event.ph);
    for (const value of [event.pid, event.tid, event.ts]) expect(Number.isFinite(value)).toBe(true);
    if (event.ph === "X") expect(event.dur).toBeGreaterThanOrEqual(0);
    else expect(event.dur).toBeUndefined();
  }
  const names = named(events, "process_name").map(({ args }) => String(args?.name).replace(/ on .*/, ""));
  expect(names.sort()).toEqual(["coordinator", "worker w1", "worker w2"]);

  // Spans of every thread nest, and those of a worker's thread follow each other.
  const threads = new Map<string, Event[]>();
  for (const event of events.filter(({ ph }) => ph === "X")) {
    const key = `${event.pid}/${event.tid}`;
    threads.set(key, [...(threads.get(key) ?? []), event]);
  }
  for (const spans of threads.values()) {
    nested(spans);
    if (spans[0]!.pid === 1) continue;
    for (const [i, span] of spans.entries()) if (i > 0) expect(span.ts).toBeGreaterThanOrEqual(endOf(spans[i - 1]!));
  }

  // Every step is there and as long as its event says.
  const stepSpans = named(events, "step");
  expect(stepSpans.map(({ args }) => args?.step)).toEqual(steps.map(({ step }) => step));
  for (const [i, { wallMs }] of steps.entries()) expect(stepSpans[i]!.dur! / 1000).toBeCloseTo(wallMs, 5);

  // One clock: no worker computes for a step before it has begun or after it was over, but for what the clocks may be off.
  for (const pid of [2, 3]) {
    const clocks = named(events, "clock").filter((event) => event.pid === pid);
    expect(clocks.length).toBeGreaterThan(0);
    const errorUs = 1000 * Math.max(...clocks.map(({ args }) => Number(args?.errorMs)));
    expect(errorUs).toBeLessThan(1e6);
    const own = named(events, "compute").filter((event) => event.pid === pid);
    expect(own.length).toBeGreaterThan(0);
    for (const span of own) {
      const step = stepSpans.find(({ args }) => args?.step === Number(span.args?.step) + 1);
      expect(span.ts).toBeGreaterThanOrEqual(step!.ts - errorUs);
      expect(endOf(span)).toBeLessThanOrEqual(endOf(step!) + errorUs);
    }
  }
  const computed = named(events, "compute").map(({ args }) => args?.step);
  expect(new Set(computed)).toEqual(new Set(steps.map(({ step }) => step - 1)));
  expect(named(events, "evaluate").length).toBeGreaterThan(0);
  for (const what of ["upload", "parameters", "reduce", "update", "download", "data"])
    expect(named(events, what).length, what).toBeGreaterThanOrEqual(steps.length - 1);
});

test("writes one of a run in one process, and refuses a place it cannot write to", async () => {
  const { events, steps } = await traced("--workers", "0");
  expect(named(events, "step")).toHaveLength(steps.length);
  expect(named(events, "compute").length).toBeGreaterThanOrEqual(steps.length);

  const out = folder();
  const run = new TuttiProcess([
    "train",
    blobs,
    "--json",
    "--out",
    join(out, "run"),
    "--trace",
    join(out, "no", "t.json"),
  ]);
  expect(await run.end()).toBe(2);
  expect(run.events.at(-1)).toMatchObject({ type: "error", code: "BAD_OPTION" });
});
