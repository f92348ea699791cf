import { readdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Link } from "../../packages/tutti/src/chaos/index.ts";
import { tutti } from "../cli/command.ts";
import { childrenOf, type Result, resultOf, TuttiProcess, temporaryFolder, trained } from "./tutti-process.ts";

const run = "test/fixtures/wide.ts";
const placed = ["--set", "placement=workers"];
let reference: Promise<Result> | undefined;

/** Rows pushed by the coordinator, in one process. */
function pushed(): Promise<Result> {
  reference ??= trained([run, "--workers", "0", "--out", temporaryFolder()]);
  return reference;
}

test("learns what the rows say", async () => {
  const { steps, validations } = await pushed();
  expect(steps).toHaveLength(40);
  expect(Number(/"accuracy":([\d.]+)/.exec(validations.at(-1)!)![1])).toBeGreaterThan(0.9);
});

for (const workers of [0, 1, 2]) {
  // Two of them read everything by position.
  const memory = workers === 2 ? ["--data-memory", "0"] : [];
  test(`gives the same bits when ${workers} workers read the rows for themselves, and leaves no file behind`, async () => {
    const folder = temporaryFolder();
    const process = new TuttiProcess(
      [
        "train",
        run,
        ...placed,
        "--workers",
        `${workers}`,
        ...memory,
        "--out",
        join(temporaryFolder(), "run"),
        "--json",
      ],
      { env: { TMPDIR: folder } },
    );
    expect(await process.end(), process.stderr).toBe(0);
    expect(resultOf(process.events)).toEqual(await pushed());
    expect(readdirSync(folder).filter((name) => name.startsWith("tutti"))).toEqual([]);
  });
}

test("gives the same bits when a worker that reads for itself is killed on the way", async () => {
  const process = new TuttiProcess([
    "train",
    run,
    ...placed,
    "--workers",
    "2",
    "--set",
    "epochs=30",
    "--out",
    temporaryFolder(),
    "--json",
  ]);
  await process.event("step", ({ step }) => step >= 5);
  globalThis.process.kill(childrenOf(process.pid)[0]!, "SIGKILL");
  expect(await process.end(), process.stderr).toBe(0);
  expect(process.events.some((event) => event.type === "worker" && event.event === "left")).toBe(true);
  const alone = await trained([run, "--workers", "0", "--set", "epochs=30", "--out", temporaryFolder()]);
  expect(resultOf(process.events)).toEqual(alone);
});

/** The run's two data sets as files. */
async function dataFiles(): Promise<{ train: string; validation: string }> {
  const folder = join(temporaryFolder(), "data");
  const { status, stderr } = await tutti(["data", run, "--rows", "0", "--write", folder]);
  expect(status, stderr).toBe(0);
  return { train: join(folder, "train.safetensors"), validation: join(folder, "validation.safetensors") };
}

test("lets workers read a split table with categories and missing cells", async () => {
  const args = ["examples/penguins.ts", "--set", "epochs=2", "--workers", "1"];
  const own = await trained([...args, "--out", temporaryFolder()]);
  expect(await trained([...args, ...placed, "--out", temporaryFolder()])).toEqual(own);
});

/** A coordinator for one worker, and how many bytes go to and fro by the given address. */
async function coordinator(
  args: readonly string[],
): Promise<{ process: TuttiProcess; url: string; bytes: () => number }> {
  const out = join(temporaryFolder(), "run");
  const process = new TuttiProcess(["coordinator", run, "--port", "0", "--out", out, "--json", ...args]);
  const { message } = await process.event("notice", (notice) => notice.message.includes("ws://"));
  let bytes = 0;
  const link = await Link.open({
    coordinatorPort: () => Number(/ws:\/\/[\d.]+:(\d+)/.exec(message)![1]),
    onBytes: (count) => {
      bytes += count;
    },
  });
  onTestFinished(() => link.close());
  return { process, url: link.url, bytes: () => bytes };
}

test("sends row numbers instead of rows to a worker that has the files", async () => {
  const { train, validation } = await dataFiles();
  const mapping = ["--data", `train=${train}`, "--data", `validation=${validation}`];
  const counted: number[] = [];
  for (const [run, worker] of [
    [[], []],
    [placed, mapping],
  ] as const) {
    const { process, url, bytes } = await coordinator(run);
    const { status, stderr } = await tutti(["worker", url, ...worker]);
    expect(status, stderr).toBe(0);
    expect(await process.end(), process.stderr).toBe(0);
    expect(resultOf(process.events)).toEqual(await pushed());
    counted.push(bytes());
  }
  const [rows, numbers] = counted as [number, number];
  const rowBytes = (4 * 300 + 2 * 50) * (16 * 256 + 1);
  expect(rows - numbers).toBeGreaterThan(0.95 * rowBytes);
  expect(numbers).toBeLessThan(0.05 * rows);
});

test("refuses a worker whose file has one other value, naming both fingerprints", async () => {
  const { train, validation } = await dataFiles();
  const fingerprint = /"tutti.fingerprint":"([0-9a-f]{64})"/.exec((await readFile(train)).toString("latin1"))![1]!;
  const bytes = await readFile(train);
  bytes[bytes.length - 1]! ^= 1;
  const other = join(temporaryFolder(), "other.safetensors");
  await writeFile(other, bytes);
  const { process, url } = await coordinator(placed);
  const refused = await tutti(["worker", url, "--data", `train=${other}`, "--data", `validation=${validation}`]);
  expect(refused.status).toBe(2);
  const [line] = /error\[DATA_DIFFERS\]: .*/.exec(refused.stderr) ?? [refused.stderr];
  expect(line).toMatch(
    new RegExp(`its data set "train" has the fingerprint [0-9a-f]{64}, the coordinator's ${fingerprint}: give it`),
  );
  const { reason } = await process.event("worker", ({ event }) => event === "refused");
  expect(line).toContain(reason);
  const without = await tutti(["worker", url]);
  expect(without.status).toBe(2);
  expect(without.stderr).toContain("start it with --data train=FILE; the coordinator's has the fingerprint");
  const right = await tutti(["worker", url, "--data", `train=${train}`, "--data", `validation=${validation}`]);
  expect(right.status, right.stderr).toBe(0);
  expect(await process.end(), process.stderr).toBe(0);
  expect(resultOf(process.events)).toEqual(await pushed());
});

test("says what is wrong with a worker's --data before it connects", async () => {
  const worker = (data: string): ReturnType<typeof tutti> => tutti(["worker", "ws://127.0.0.1:9", "--data", data]);
  expect((await worker("train")).stderr).toMatch(
    /^error\[BAD_OPTION\]: --data: expected NAME=FILE or NAME\.COLUMN=FILE/,
  );
  expect((await worker("train=rows.csv")).stderr).toMatch(
    /^error\[BAD_OPTION\]: .*expected a \.safetensors or \.npz file/,
  );
  expect((await worker("train=none.safetensors")).stderr).toMatch(
    /^error\[DATA_MISSING\]: none\.safetensors: no such file/,
  );
});

test("is proved by verify as any other run", async () => {
  const { status, stdout, stderr } = await tutti(["verify", run, ...placed, "--workers", "0,1", "--steps", "6"]);
  expect(status, stderr).toBe(0);
  expect(stdout + stderr).toContain("Same bits: weights and loss are equal after each of 6 steps on 0, 1 workers.");
});

test("checks labels of rows that the coordinator never reads", async () => {
  const bad = await tutti(
    ["train", run, "--workers", "0", ...placed, "--set", "batchSize=16", "--out", join(temporaryFolder(), "run")],
    { env: { BAD_LABEL: "1" } },
  );
  expect(bad.status).toBe(2);
  expect(bad.stderr).toMatch(/^error\[DATA_INVALID\]: column "label", row 300: found 4, .* from 0 to 3/);
});
