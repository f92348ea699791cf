import { Silence } from "@tutti/core/wire";
import { expect, test } from "vitest";

const checkMs = 100;

/** Measures every 100 ms; `bytesAt` gives what has arrived by then. */
function measured(untilMs: number, bytesAt: (ms: number) => number): number {
  const connection = { arrivedBytes: 0 };
  const silence = new Silence(connection, checkMs, 0);
  let silentMs = 0;
  for (let nowMs = checkMs; nowMs <= untilMs; nowMs += checkMs) {
    connection.arrivedBytes = bytesAt(nowMs);
    silentMs = silence.measure(nowMs);
  }
  return silentMs;
}

test("counts from when the last byte came", () => {
  expect(measured(3000, () => 0)).toBe(3000);
  expect(measured(3000, (ms) => Math.min(ms, 1000))).toBe(2000);
});

test("takes bytes of a message that is not whole yet for life, however few", () => {
  expect(measured(60_000, (ms) => Math.floor(ms / 700))).toBeLessThan(700);
});

test("does not hold against the other side that this process did not run", () => {
  const connection = { arrivedBytes: 0 };
  const silence = new Silence(connection, checkMs, 0);
  expect(silence.measure(100)).toBe(100);
  expect(silence.measure(120_000)).toBe(200);
  expect(silence.measure(120_100)).toBe(300);
  connection.arrivedBytes = 1;
  expect(silence.measure(300_000)).toBe(0);
});
