import { expect, test } from "vitest";
import { PhaseClock } from "../src/phase-clock.ts";

/** Time that passes only when it is told to. */
function handClock() {
  let nowMs = 1000;
  return {
    now: () => nowMs,
    setTimer: () => ({ cancel: () => {} }),
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

const total = (time: object): number => Object.values(time).reduce((a: number, b: number) => a + b, 0);

test("tells apart what two workers of different speed spend in a step, to the millisecond", () => {
  const clock = handClock();
  const phases = new PhaseClock(clock);
  phases.start();
  const waitingSinceMs = clock.now();
  clock.pass(3);
  phases.waited("data", waitingSinceMs);
  phases.dealt();
  phases.run("data", () => clock.pass(1));
  clock.pass(2 + 20); // the leases' way, and the quick worker's computing
  phases.announced("quick");
  phases.run("reduce", () => clock.pass(4));
  clock.pass(10); // only the slow one computes
  phases.announced("slow");
  clock.pass(5); // its sums are on their way
  phases.run("reduce", () => {
    clock.pass(2);
    phases.run("update", () => {
      clock.pass(6);
      phases.run("download", () => clock.pass(7));
      clock.pass(1);
    });
    phases.complete();
  });
  phases.run("download", () => clock.pass(1));
  const { wallMs, time } = phases.split(30); // of which 20 until the quick one was done
  expect(wallMs).toBe(62);
  expect(time).toEqual({
    dataMs: 4,
    computeMs: 20,
    stragglerMs: 10,
    uploadMs: 5,
    reduceMs: 6,
    updateMs: 7,
    downloadMs: 8,
    waitMs: 2,
  });
  expect(total(time)).toBe(wallMs);
});

test("what is handed out for the next step is no wait for data before the first answer", () => {
  const step = (computeMs: number) => {
    const clock = handClock();
    const phases = new PhaseClock(clock);
    phases.start();
    phases.dealt();
    clock.pass(2);
    phases.ahead(() => clock.pass(5));
    clock.pass(3);
    phases.announced("only");
    phases.ahead(() => clock.pass(4)); // its rows came late: nobody computes any more
    phases.complete();
    const { wallMs, time } = phases.split(computeMs);
    expect(total(time)).toBe(wallMs);
    return time;
  };
  expect(step(10)).toMatchObject({ dataMs: 4, computeMs: 10, waitMs: 0 });
  expect(step(7)).toMatchObject({ dataMs: 4, computeMs: 7, waitMs: 3 });
  expect(step(99)).toMatchObject({ dataMs: 4, computeMs: 10, waitMs: 0 });
});

test("begins a step where the one before ended, and after a validation when it begins", () => {
  const clock = handClock();
  const phases = new PhaseClock(clock);
  const step = (): number => {
    phases.start();
    phases.dealt();
    clock.pass(8);
    phases.announced("only");
    phases.complete();
    return phases.split(8).wallMs;
  };
  expect(step()).toBe(8);
  clock.pass(3); // events are told, a checkpoint is copied
  expect(step()).toBe(11);
  phases.interrupt();
  clock.pass(500); // validation
  expect(step()).toBe(8);
});

test("never counts more computing than there was time to, whatever a worker claims", () => {
  const clock = handClock();
  const phases = new PhaseClock(clock);
  phases.start();
  phases.dealt();
  clock.pass(5);
  phases.announced("liar");
  phases.complete();
  const { wallMs, time } = phases.split(1e9);
  expect(time).toMatchObject({ computeMs: 5, waitMs: 0 });
  expect(total(time)).toBe(wallMs);
});

test("tells of every span, inner ones first and inside the outer", () => {
  const clock = handClock();
  const spans: [string, number, number][] = [];
  const phases = new PhaseClock(clock, (phase, beginMs, endMs) => spans.push([phase, beginMs, endMs]));
  phases.start();
  phases.run("reduce", () => {
    clock.pass(1);
    phases.run("update", () => clock.pass(2));
    clock.pass(3);
  });
  expect(spans).toEqual([
    ["update", 1001, 1003],
    ["reduce", 1000, 1006],
  ]);
});
