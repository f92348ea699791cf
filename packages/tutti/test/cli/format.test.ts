import { expect, test } from "vitest";
import { byteSize, clockTime, duration, figure, table } from "../../src/cli/format.ts";

test("writes times as clocks do", () => {
  expect([0, 6_600, 754_000, 3_723_000].map(clockTime)).toEqual(["0:00", "0:07", "12:34", "1:02:03"]);
});

test("writes durations in the unit that fits", () => {
  expect([850, 12_340, 125_000].map(duration)).toEqual(["850 ms", "12.3 s", "2 min 5 s"]);
});

test("writes sizes in powers of ten", () => {
  expect([512, 1500, 814_707, 25_276_502_016].map(byteSize)).toEqual(["512 B", "1.5 KB", "814.7 KB", "25.3 GB"]);
});

test("rounds figures to five digits and keeps what is no number", () => {
  expect([0.123456789, 1e-7, Number.NaN].map(figure)).toEqual(["0.12346", "1e-7", "NaN"]);
});

test("aligns columns without trailing spaces", () => {
  expect(
    table([
      ["a", "bb"],
      ["ccc", "d"],
    ]),
  ).toEqual(["a    bb", "ccc  d"]);
});
