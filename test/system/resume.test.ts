import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { resultOf, root, TuttiProcess, temporaryFolder, trained } from "./tutti-process.ts";

const runFile = "test/fixtures/blobs.ts";

test("goes on bit for bit from the middle of an epoch, on another number of workers", async () => {
  const undisturbed = await trained([runFile, "--workers", "1", "--out", temporaryFolder()]);
  const out = temporaryFolder();
  const first = new TuttiProcess(["train", runFile, "--workers", "2", "--out", out, "--json"]);
  await first.event("step", ({ step }) => step === 17); // epochs have 7 steps
  first.child.kill("SIGINT");
  expect(await first.end(), first.stderr).toBe(0);
  const stopped = await first.event("done");
  expect(stopped.outcome).toBe("stopped");
  expect(stopped.steps).toBeGreaterThanOrEqual(17);
  const second = new TuttiProcess(["train", runFile, "--workers", "3", "--out", out, "--resume", "--json"]);
  expect(await second.end(), second.stderr).toBe(0);
  expect((await second.event("run")).startStep).toBe(stopped.steps);
  expect(resultOf([...first.events, ...second.events])).toEqual(undisturbed);
  const lines = readFileSync(join(out, "metrics.jsonl"), "utf8").trim().split("\n");
  const steps = lines
    .map((line) => JSON.parse(line) as { type: string; step?: number })
    .filter(({ type }) => type === "step");
  expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 42 }, (_, i) => i + 1));
});

test("goes on bit for bit from the last checkpoint after the coordinator was killed", async () => {
  const undisturbed = await trained([runFile, "--workers", "1", "--out", temporaryFolder()]);
  const out = temporaryFolder();
  const first = new TuttiProcess(["train", runFile, "--workers", "2", "--out", out, "--json"]);
  await first.event("step", ({ step }) => step === 23);
  first.child.kill("SIGKILL");
  await first.end();
  const second = new TuttiProcess(["train", runFile, "--workers", "1", "--out", out, "--resume", "--json"]);
  expect(await second.end(), second.stderr).toBe(0);
  const { startStep } = await second.event("run");
  expect(startStep % 5).toBe(0); // a checkpoint every 5 steps
  expect(resultOf([...first.events, ...second.events])).toEqual(undisturbed);
});

test("refuses to resume with a changed definition, naming the change, unless it is allowed", async () => {
  const out = temporaryFolder();
  await trained([runFile, "--workers", "0", "--set", "epochs=1", "--out", out]);
  const changed = [
    "train",
    runFile,
    "--workers",
    "0",
    "--set",
    "epochs=2",
    "--set",
    "optimizer.lr=0.01",
    "--out",
    out,
    "--resume",
    "--json",
  ];
  const refused = new TuttiProcess(changed);
  expect(await refused.end()).toBe(2);
  const error = await refused.event("error");
  expect(error.code).toBe("DEFINITION_CHANGED");
  expect(error.message).toMatch(/optimizer\.lr: 0\.002 → 0\.01/);
  const allowed = new TuttiProcess([...changed, "--allow-changes"]);
  expect(await allowed.end(), allowed.stderr).toBe(0);
  expect((await allowed.event("done")).steps).toBe(14);
});

test("refuses a directory that holds another run, without --resume", async () => {
  const out = temporaryFolder();
  await trained([runFile, "--workers", "0", "--set", "epochs=1", "--out", out]);
  const again = new TuttiProcess(["train", runFile, "--workers", "0", "--out", out, "--json"]);
  expect(await again.end()).toBe(2);
  expect((await again.event("error")).code).toBe("OUTPUT_IN_USE");
  expect(again.stderr).not.toMatch(/\n\s+at /);
  expect(root).not.toBe(out);
});

test("ends on the first Ctrl-C with the checkpoint of the last commit when no worker is left to finish the step", async () => {
  const long = [runFile, "--set", "epochs=20"];
  const undisturbed = await trained([...long, "--workers", "1", "--out", temporaryFolder()]);
  const out = temporaryFolder();
  const first = new TuttiProcess(["coordinator", ...long, "--port", "0", "--out", out, "--json"]);
  const { message } = await first.event("notice", ({ message }) => message.startsWith("listening"));
  const worker = new TuttiProcess(["worker", message.slice(message.indexOf("ws://")), "--json"]);
  await first.event("step", ({ step }) => step === 17); // step 15 has a checkpoint of its own
  worker.child.kill("SIGKILL");
  await first.event("notice", ({ message }) => message === "no worker is left: waiting for one to join");
  first.child.kill("SIGINT");
  expect(await first.end(), first.stderr).toBe(0);
  const stopped = await first.event("done");
  expect(stopped.outcome).toBe("stopped");
  const last = first.events.findLast(({ type }) => type === "step");
  expect(last).toMatchObject({ step: stopped.steps });
  expect(stopped.ledger.samples).toBe(stopped.steps * 48 - 6 * Math.floor(stopped.steps / 7));
  await first.event("checkpoint", ({ step }) => step === stopped.steps);
  const second = new TuttiProcess(["train", ...long, "--workers", "2", "--out", out, "--resume", "--json"]);
  expect(await second.end(), second.stderr).toBe(0);
  expect((await second.event("run")).startStep).toBe(stopped.steps);
  expect(resultOf([...first.events, ...second.events])).toEqual(undisturbed);
});

test("ends on the first Ctrl-C while it waits for its first worker", async () => {
  const run = new TuttiProcess(["coordinator", runFile, "--port", "0", "--out", temporaryFolder(), "--json"]);
  await run.event("notice", ({ message }) => message.startsWith("listening"));
  run.child.kill("SIGINT");
  expect(await run.end(), run.stderr).toBe(0);
  expect(await run.event("done")).toMatchObject({ outcome: "stopped", steps: 0 });
});
