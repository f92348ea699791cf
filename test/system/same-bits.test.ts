import { expect, test } from "vitest";
import { type Result, resultOf, TuttiProcess, temporaryFolder, trained } from "./tutti-process.ts";

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

for (const [exchange, workers] of [
  ["mesh", 2],
  ["mesh", 3],
  ["mesh", 5],
] as const) {
  test(`gives the same weights and loss trace with ${workers} workers, exchange ${exchange}`, async () => {
    const args = ["--workers", `${workers}`, "--exchange", exchange, "--out", temporaryFolder()];
    expect(await trained([runFile, ...args])).toEqual(await undisturbed());
  });
}

test("exchanges directly where it is asked to, with compressed sums of several chunks, clipping and momentum", async () => {
  const digits = "test/fixtures/few-digits.ts";
  const set = ["--set", "epochs=3", "--set", "compress=bf16"];
  const alone = await trained([digits, ...set, "--workers", "0", "--out", temporaryFolder()]);
  for (const exchange of ["mesh", "auto"]) {
    const args = [digits, ...set, "--workers", "3", "--exchange", exchange, "--out", temporaryFolder(), "--json"];
    const run = new TuttiProcess(["train", ...args]);
    expect(await run.end(), run.stderr).toBe(0);
    expect(resultOf(run.events)).toEqual(alone);
    // "auto" may find the star to be quicker afterwards, and has tried both by then.
    const notices = run.events.flatMap((event) => (event.type === "notice" ? [event.message] : []));
    expect(notices).toContain("workers exchange sums directly");
  }
});
