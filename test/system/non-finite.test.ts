import { expect, test } from "vitest";
import { resultOf, TuttiProcess, temporaryFolder } from "./tutti-process.ts";

const runFile = "test/fixtures/breaks.ts";

test("stops before the commit when a loss is infinite, naming step, shard and the row alone responsible", async () => {
  const run = new TuttiProcess(["train", runFile, "--workers", "2", "--out", temporaryFolder(), "--json"]);
  expect(await run.end()).toBe(1);
  const { code, message } = await run.event("error");
  expect(code).toBe("NON_FINITE");
  expect(message).toMatch(/^step [1-5]: the loss of shard [0-3] is NaN or infinite; the step was not committed/);
  expect(message).toMatch(/Alone, these rows of the training data give it: 13$/);
  expect(run.stderr).not.toMatch(/\n\s+at /);
});

test("leaves such steps out when asked, the same ones with the same bits on any number of workers", async () => {
  const results = [];
  for (const workers of ["0", "1", "3"]) {
    const args = [
      "train",
      runFile,
      "--workers",
      workers,
      "--set",
      "onNonFinite=skip",
      "--out",
      temporaryFolder(),
      "--json",
    ];
    const run = new TuttiProcess(args);
    expect(await run.end(), run.stderr).toBe(0);
    const skipped = run.events.flatMap((event) => (event.type === "skipped" ? [event.step] : []));
    const { ledger, steps } = await run.event("done");
    expect(steps).toBe(10);
    expect(skipped).toHaveLength(2); // row 13 comes once an epoch
    expect(ledger.skippedSteps).toBe(2);
    results.push({ skipped, ...resultOf(run.events) });
  }
  expect(results[1]).toEqual(results[0]);
  expect(results[2]).toEqual(results[0]);
});
