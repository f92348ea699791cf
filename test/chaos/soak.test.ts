import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { root } from "../system/tutti-process.ts";

interface Usage {
  /** Medians of the second and of the last fifth of the run. */
  readonly rssMb: readonly [number, number];
  readonly threads: readonly [number, number];
  readonly descriptors: readonly [number, number];
}

test("keeps memory, threads and descriptors while workers die and join for 1,000 steps", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [join(root, "bench/soak.mjs"), "--steps", "1000"]);
  const summary = JSON.parse(stdout.trim().split("\n").at(-1)!) as {
    readonly kills: number;
    readonly cuts: number;
    readonly coordinator: Usage;
    readonly worker: Usage;
  };
  expect(summary.kills).toBe(20 - 1); // none at the very end
  expect(summary.cuts).toBeGreaterThanOrEqual(9);
  for (const { rssMb, threads, descriptors } of [summary.coordinator, summary.worker]) {
    // Engine and heap settle within the first thousands of steps; parameters that leak at every join would be seen.
    expect(rssMb[1] - rssMb[0]).toBeLessThan(60);
    expect(threads[1] - threads[0]).toBeLessThanOrEqual(2);
    expect(descriptors[1] - descriptors[0]).toBeLessThanOrEqual(5);
  }
});
