import fc from "fast-check";
import { expect, test } from "vitest";
import { type Calibration, type Cluster, predict } from "../../src/plan/predict.ts";

/** A million numbers, 8 shards of 10 ms; a coordinator that takes 1 ms a step, 2 for each worker and 0.5 of it for messages. */
const calibration: Calibration = {
  shards: 8,
  samples: 256,
  sumsFloats: 1_000_000,
  gradientFloats: 1_000_000,
  updatedFloats: 1_000_000,
  rowBytes: 0,
  waitsForNorm: false,
  computeMs: 80,
  aloneMs: 84,
  coordinatorBaseMs: 1,
  coordinatorPerWorkerMs: 2,
  messagesMs: 0.5,
  updateMs: 0.4,
  restMs: 0.3,
};
const cluster: Cluster = {
  workers: 4,
  lanes: 1,
  bytesPerSecond: 125e6,
  latencyMs: 0.2,
  exchange: "star",
  compress: "none",
};
/** Of 4 MB over 1 Gbit/s in full frames. */
const megabytes4 = (4e6 / 125e6) * (1514 / 1448) * 1000;
/** A chunk of 65,536 numbers to each of four others, of the 4 MB. */
const lastChunk = 4 * 0.065536 * megabytes4;

test("adds up a star by hand: 4 workers send and get 4 MB each over one link, both ways at once but for the last chunk", () => {
  const found = predict(calibration, cluster);
  expect(found.stepMs).toBeCloseTo(20 + 4 * megabytes4 + lastChunk + 0.4 + 0.3, 6);
  expect(found).toMatchObject({
    computeMs: 20,
    bottleneck: "coordinator's link",
    standby: 0,
    coordinatorBytes: { in: 16e6, out: 16e6 },
    workerBytes: { in: 4e6, out: 4e6 },
  });
  expect(found.samplesPerSecond).toBeCloseTo(256_000 / found.stepMs, 6);
  expect(found.efficiency).toBeCloseTo(84 / found.stepMs / 4, 9);
});

test("waits for all sums before it sends anything where gradients are clipped by norm", () => {
  const found = predict({ ...calibration, waitsForNorm: true }, cluster);
  expect(found.stepMs).toBeCloseTo(20 + 8 * megabytes4 + 0.4 + 0.3, 6);
});

test("finds the coordinator's CPU to be the limit behind a link that is quick enough", () => {
  const found = predict(calibration, { ...cluster, bytesPerSecond: 1e12 });
  expect(found.bottleneck).toBe("computing");
  expect(found.exchangeMs).toBeCloseTo(1 + 4 * 2 + lastChunk / 8000, 6);
  const many = predict({ ...calibration, shards: 64 }, { ...cluster, workers: 64, bytesPerSecond: 1e12 });
  expect(many).toMatchObject({ bottleneck: "coordinator's CPU" });
});

test("adds up a mesh by hand: of 3/4 of 4 MB sent to owners, and 4 MB of sums passed on", () => {
  const found = predict(calibration, { ...cluster, exchange: "mesh" });
  expect(found.workerBytes).toEqual({ in: 3e6 + 3e6, out: 3e6 + 4e6 });
  expect(found.coordinatorBytes).toEqual({ in: 4e6, out: 0 });
  expect(found.stepMs).toBeCloseTo(20 + (7 / 4) * megabytes4 + lastChunk + 4 * 0.2 + 0.3, 6);
  expect(found.bottleneck).toBe("workers' links");
});

test("counts what compression packs: sums in both exchanges, parameters in none", () => {
  const star = predict(calibration, { ...cluster, compress: "bf16" });
  expect(star.coordinatorBytes).toEqual({ in: 8e6, out: 16e6 });
  const mesh = predict(calibration, { ...cluster, compress: "bf16", exchange: "mesh" });
  expect(mesh.coordinatorBytes.in).toBe(2e6);
  expect(mesh.workerBytes).toEqual({ in: 3e6, out: 3.5e6 });
});

test("counts every node a worker sends when shards do not divide evenly", () => {
  const found = predict(calibration, { ...cluster, workers: 3 }); // 3, 3 and 2 shards: 2 + 2 + 1 nodes
  expect(found.coordinatorBytes.in).toBe(5 * 4e6);
  expect(found.computeMs).toBe(30);
});

test("has workers beyond the shards stand by, and lanes share a worker's shards", () => {
  expect(predict(calibration, { ...cluster, workers: 11 })).toMatchObject({ standby: 3, computeMs: 10 });
  expect(predict(calibration, { ...cluster, workers: 2, lanes: 3 }).computeMs).toBe(20);
});

test("never gets slower with a better network, nor quicker with a worse one", () => {
  const any = fc.record({
    workers: fc.integer({ min: 1, max: 200 }),
    lanes: fc.integer({ min: 1, max: 8 }),
    bytesPerSecond: fc.double({ min: 1e5, max: 1e11, noNaN: true }),
    latencyMs: fc.double({ min: 0, max: 100, noNaN: true }),
    exchange: fc.constantFrom("star" as const, "mesh" as const),
    compress: fc.constantFrom("none" as const, "bf16" as const, "int8" as const),
  });
  fc.assert(
    fc.property(any, (one) => {
      const { stepMs } = predict(calibration, one);
      expect(stepMs).toBeGreaterThan(0);
      expect(predict(calibration, { ...one, bytesPerSecond: 2 * one.bytesPerSecond }).stepMs).toBeLessThanOrEqual(
        stepMs,
      );
      expect(predict(calibration, { ...one, latencyMs: one.latencyMs + 1 }).stepMs).toBeGreaterThan(stepMs);
      expect(predict(calibration, { ...one, compress: "none" }).stepMs).toBeGreaterThanOrEqual(stepMs);
    }),
    { seed: 9 },
  );
});
