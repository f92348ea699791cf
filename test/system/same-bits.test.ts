import { expect, test } from "vitest";
import { type Result, temporaryFolder, trained } from "./tutti-process.ts";

const runFile = "test/fixtures/blobs.ts";
let reference: Promise<Result> | undefined;

/** One process, one lane. */
function undisturbed(): Promise<Result> {
  reference ??= trained([runFile, "--workers", "0", "--lanes", "1", "--out", temporaryFolder()]);
  return reference;
}

test("trains 42 steps in one process, and learns", async () => {
  const { steps, validations } = await undisturbed();
  expect(steps).toHaveLength(42);
  const last = JSON.parse(validations.at(-1)!.replace(/^.*? .*? /, "")) as { accuracy: number };
  expect(last.accuracy).toBeGreaterThan(0.5);
});

for (const [workers, lanes] of [
  [0, 2],
  [1, 1],
  [1, 2],
  [2, 1],
  [3, 1],
  [5, 1],
  [2, 2],
] as const) {
  test(`gives the same weights and loss trace with ${workers} workers of ${lanes} lanes`, async () => {
    const result = await trained([
      runFile,
      "--workers",
      `${workers}`,
      "--lanes",
      `${lanes}`,
      "--out",
      temporaryFolder(),
    ]);
    expect(result).toEqual(await undisturbed());
  });
}
