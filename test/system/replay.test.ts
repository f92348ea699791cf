import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { resultOf, TuttiProcess, temporaryFolder } from "./tutti-process.ts";

const runFile = "test/fixtures/blobs.ts";

test("replays steps from a checkpoint with the losses of the run and the hash it ended with", async () => {
  const out = temporaryFolder();
  const run = new TuttiProcess(["train", runFile, "--workers", "2", "--audit", "1", "--out", out, "--json"]);
  expect(await run.end(), run.stderr).toBe(0);
  const done = await run.event("done");
  expect(done.ledger.nodesAudited).toBeGreaterThan(42);
  expect(done.ledger.workersQuarantined).toBe(0);
  const names = readdirSync(join(out, "checkpoints")).filter((name) => name.startsWith("step-"));
  const checkpoint = join(out, "checkpoints", names.sort()[0]!);
  const replay = new TuttiProcess(["replay", checkpoint, runFile, "--step", "42", "--json"]);
  expect(await replay.end(), replay.stderr).toBe(0);
  const { startStep } = await replay.event("run");
  const again = resultOf(replay.events);
  expect(again.steps).toEqual(resultOf(run.events).steps.slice(startStep));
  expect(again.weightsSha256).toBe(done.weightsSha256);
  const last = await replay.event("step", ({ step }) => step === 42);
  expect(last.weightsSha256).toBe(done.weightsSha256);
});
