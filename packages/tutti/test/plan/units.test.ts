import { expect, test } from "vitest";
import { bandwidth, latency } from "../../src/plan/units.ts";

test("reads bandwidths as bytes and latencies as milliseconds", () => {
  expect(["100mbit", "10gbit", "2.5Gbit", "8bit"].map(bandwidth)).toEqual([12.5e6, 1.25e9, 312.5e6, 1]);
  expect(["1ms", "50us", "0.2s", "0ms"].map(latency)).toEqual([1, 0.05, 200, 0]);
  expect(bandwidth(undefined)).toBeUndefined();
});

test("refuses what has no unit, another one, or is not above zero", () => {
  for (const wrong of ["10", "10gb", "0mbit", "-1gbit", "gbit", "1e9bit", 5])
    expect(() => bandwidth(wrong), String(wrong)).toThrow(/--bandwidth: expected a value such as 100mbit or 10gbit/);
  for (const wrong of ["1", "1m", "-1ms", "ms"]) expect(() => latency(wrong), wrong).toThrow(/--latency/);
});
