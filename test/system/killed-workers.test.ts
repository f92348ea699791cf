import { expect, test } from "vitest";
import { childrenOf, isRunning, resultOf, TuttiProcess, temporaryFolder, trained } from "./tutti-process.ts";

const runFile = "test/fixtures/blobs.ts";

test("commits every step once, with the same bits, when workers are killed during the run", async () => {
  const undisturbed = await trained([runFile, "--workers", "1", "--out", temporaryFolder()]);
  const run = new TuttiProcess(["train", runFile, "--workers", "3", "--out", temporaryFolder(), "--json"]);
  let kills = 0;
  run.onEvent((event) => {
    if (event.type !== "step" || event.step % 6 !== 0) return;
    const [victim] = childrenOf(run.pid);
    if (victim === undefined) return;
    process.kill(victim, "SIGKILL");
    kills++;
  });
  expect(await run.end(), run.stderr).toBe(0);
  expect(kills).toBeGreaterThanOrEqual(5);
  expect(resultOf(run.events)).toEqual(undisturbed);
  const { ledger } = await run.event("done");
  expect(ledger.samples).toBe(6 * 330);
});

test("leaves no process behind when the coordinator is killed", async () => {
  const run = new TuttiProcess([
    "train",
    runFile,
    "--workers",
    "2",
    "--set",
    "epochs=1000",
    "--out",
    temporaryFolder(),
    "--json",
  ]);
  await run.event("step", ({ step }) => step === 3);
  const workers = childrenOf(run.pid);
  expect(workers).toHaveLength(2);
  run.child.kill("SIGKILL");
  await run.end();
  const deadline = performance.now() + 10_000;
  while (workers.some(isRunning) && performance.now() < deadline) await new Promise((resolve) => setImmediate(resolve));
  expect(workers.filter(isRunning)).toEqual([]);
});
