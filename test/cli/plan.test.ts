import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../system/tutti-process.ts";
import { jsonLines, tutti } from "./command.ts";

const blobs = join(root, "test/fixtures/blobs.ts");

test("predicts from runs that it measures, one line for each cluster", async () => {
  const options = ["--workers", "1,2", "--bandwidth", "100mbit", "--latency", "5ms", "--seconds", "0.3"];
  const { status, stdout, stderr } = await tutti(["plan", blobs, ...options, "--compress", "none,int8", "--json"]);
  expect({ status, stderr }).toMatchObject({ status: 0 });
  const [calibration, ...plans] = jsonLines(stdout);
  expect(calibration).toMatchObject({ type: "calibration", waitsForNorm: true });
  for (const what of ["computeMs", "aloneMs", "sumsFloats", "rowBytes"])
    expect(Number(calibration?.[what]), what).toBeGreaterThan(0);
  expect(plans.map(({ workers, exchange, compress }) => `${workers} ${exchange} ${compress}`)).toEqual([
    "1 star none",
    "1 star int8",
    "2 star none",
    "2 star int8",
    "2 mesh none",
    "2 mesh int8",
  ]);
  for (const { type, stepMs, exchange, computeMs } of plans) {
    expect(type).toBe("plan");
    expect(Number(stepMs)).toBeGreaterThanOrEqual(Number(computeMs) + (exchange === "star" ? 10 : 20));
  }
});

test("refuses what it cannot predict", async () => {
  for (const [wrong, message] of [
    [["--workers", "0"], /--workers: expected numbers from 1 to 100000, found 0/],
    [["--bandwidth", "10"], /--bandwidth: expected a value such as 100mbit or 10gbit, found "10"/],
    [["--exchange", "ring"], /--exchange: expected some of star, mesh/],
  ] as const) {
    const { status, stderr } = await tutti(["plan", blobs, ...wrong]);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  }
});
