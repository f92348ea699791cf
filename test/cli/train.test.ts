import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root, TuttiProcess, temporaryFolder } from "../system/tutti-process.ts";
import { jsonLines, processesWith, runFile, runText, tutti } from "./command.ts";

/** The fields that docs/cli.md promises of every line, by type. */
const documented: Readonly<Record<string, readonly string[]>> = {
  run: [
    "definitionDigest",
    "parameters",
    "shards",
    "seed",
    "numericClass",
    "batchSize",
    "stepsPerEpoch",
    "totalSteps",
    "startStep",
  ],
  worker: ["event", "id", "host", "lanes"],
  step: ["step", "epoch", "loss", "lr", "gradientNorm", "metrics", "samples", "samplesPerSecond", "wallMs", "time"],
  validation: ["step", "epoch", "loss", "metrics", "samples", "wallMs"],
  checkpoint: ["step", "path", "best"],
  notice: ["message"],
  done: [
    "outcome",
    "steps",
    "epochs",
    "weightsSha256",
    "validation",
    "wallMs",
    "samplesPerSecond",
    "ledger",
    "workers",
    "files",
  ],
};

test("writes only documented lines with --json, each with its documented fields", async () => {
  const out = temporaryFolder();
  const { status, stdout, stderr } = await tutti([
    "train",
    "test/fixtures/blobs.ts",
    "--workers",
    "2",
    "--json",
    "--out",
    join(out, "run"),
  ]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const lines = jsonLines(stdout);
  const reference = readFileSync(join(root, "docs/cli.md"), "utf8");
  for (const line of lines) {
    const fields = documented[String(line.type)];
    expect(fields, String(line.type)).toBeDefined();
    for (const field of fields!) expect(line, String(line.type)).toHaveProperty(field);
    for (const field of Object.keys(line)) expect(reference, `${String(line.type)}.${field}`).toContain(`\`${field}\``);
  }
  expect(new Set(lines.map(({ type }) => type))).toEqual(
    new Set(["run", "worker", "step", "validation", "checkpoint", "done"]),
  );
  expect(lines.at(-1)?.type).toBe("done");
});

test("splits the wall time of every step into parts that add up to it", async () => {
  const { stdout } = await tutti([
    "train",
    "test/fixtures/blobs.ts",
    "--workers",
    "2",
    "--json",
    "--out",
    join(temporaryFolder(), "run"),
  ]);
  const steps = jsonLines(stdout).filter(({ type }) => type === "step");
  expect(steps).toHaveLength(42);
  for (const { wallMs, time } of steps) {
    const parts = time as Record<string, number>;
    expect(Object.keys(parts).sort()).toEqual([
      "computeMs",
      "dataMs",
      "downloadMs",
      "reduceMs",
      "stragglerMs",
      "updateMs",
      "uploadMs",
      "waitMs",
    ]);
    const sum = Object.values(parts).reduce((a, b) => a + b, 0);
    expect(Math.abs(sum - Number(wallMs))).toBeLessThanOrEqual(0.01 * Number(wallMs));
  }
});

test("replaces plain values with --set, and the run says so", async () => {
  const folder = temporaryFolder();
  const run = runFile(folder, runText());
  const settings = ["--set", "optimizer.lr=0.25", "--set", "epochs=1", "--set", "shards=4"];
  const { stdout } = await tutti(["train", run, "--workers", "0", "--json", "--out", join(folder, "out"), ...settings]);
  const lines = jsonLines(stdout);
  expect(lines.find(({ type }) => type === "run")).toMatchObject({ shards: 4, totalSteps: 1 });
  expect(lines.find(({ type }) => type === "step")).toMatchObject({ lr: 0.25 });
});

test("keeps a run under runs/ by the name of its run file, and tells a person where", async () => {
  const folder = temporaryFolder();
  runFile(folder, runText(), "small.ts");
  const { status, stdout, stderr } = await tutti(["train", "small.ts"], { cwd: folder });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  for (const place of [
    "runs/small/checkpoints/step-00000003.safetensors",
    "runs/small/metrics.jsonl",
    "runs/small/model.onnx",
  ]) {
    expect(stdout).toContain(place);
    expect(existsSync(join(folder, place))).toBe(true);
  }
  expect(stdout).toMatch(/done after .*: 3 steps, 3 epochs/);
  const again = await tutti(["train", "small.ts"], { cwd: folder });
  expect(again.status).toBe(2);
  expect(again.stderr).toMatch(/^error\[OUTPUT_IN_USE\]: .*--resume.*--out/);
});

test("finishes the step and writes a checkpoint on Ctrl-C", async () => {
  const out = join(temporaryFolder(), "run");
  const run = new TuttiProcess([
    "train",
    "test/fixtures/blobs.ts",
    "--workers",
    "2",
    "--set",
    "epochs=10000",
    "--out",
    out,
    "--json",
  ]);
  await run.event("step", ({ step }) => step === 8);
  run.child.kill("SIGINT");
  expect(await run.end(), run.stderr).toBe(0);
  const done = await run.event("done");
  expect(done.outcome).toBe("stopped");
  const { path } = await run.event("checkpoint", ({ step }) => step === done.steps);
  const inspected = await tutti(["inspect", path, "--json"]);
  expect(jsonLines(inspected.stdout)[0]).toMatchObject({ kind: "checkpoint", step: done.steps });
});

test("ends at once on the second Ctrl-C, and leaves no worker behind", async () => {
  const mark = `second-${process.pid}-${Math.round(performance.now())}`;
  const run = new TuttiProcess(
    ["train", "examples/digits.ts", "--workers", "2", "--out", join(temporaryFolder(), "run"), "--json"],
    {
      env: { TUTTI_TEST_MARK: mark },
    },
  );
  await run.event("step", ({ step }) => step === 3);
  run.child.kill("SIGINT");
  run.child.kill("SIGTERM");
  expect(await run.end()).toBe(130);
  const deadline = performance.now() + 10_000;
  while (processesWith(mark).length > 0 && performance.now() < deadline)
    await new Promise((resolve) => setImmediate(resolve));
  expect(processesWith(mark)).toEqual([]);
});

test("leaves no worker behind when it is killed while it still reads the run file", async () => {
  const endless = 'import "tutti";\nawait new Promise(() => setInterval(() => {}, 1000));\n';
  const mark = `TUTTI_TEST_MARK=${randomUUID()}`;
  const command = spawn(
    process.execPath,
    [join(root, "packages/tutti/bin/tutti.js"), "train", runFile(temporaryFolder(), endless), "--workers", "2"],
    { cwd: root, env: { ...process.env, TUTTI_TEST_MARK: mark.split("=")[1] }, stdio: "ignore" },
  );
  const running = () => processesWith(mark).length;
  await expect.poll(running, { timeout: 30_000 }).toBe(3); // the workers start first of all
  command.kill("SIGKILL");
  await expect.poll(running, { timeout: 30_000 }).toBe(0);
});

test("stops with a checkpoint when whoever reads its output goes away", async () => {
  const out = join(temporaryFolder(), "run");
  const args = [
    join(root, "packages/tutti/bin/tutti.js"),
    "train",
    "test/fixtures/blobs.ts",
    "--workers",
    "2",
    "--set",
    "epochs=10000",
    "--out",
    out,
    "--json",
  ];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  await once(child.stdout, "data");
  child.stdout.destroy();
  const [status] = (await once(child, "close")) as [number | null];
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(existsSync(join(out, "checkpoints"))).toBe(true);
});
