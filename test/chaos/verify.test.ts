import { randomUUID } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { jsonLines, processesWith, runFile, tutti } from "../cli/command.ts";
import { root, TuttiProcess, temporaryFolder } from "../system/tutti-process.ts";

const blobs = join(root, "test/fixtures/blobs.ts");

test("proves a run file under faults, and prints what happened to it", async () => {
  const args = ["verify", blobs, "--set", "epochs=60", "--chaos", "--minutes", "0.2", "--seed", "6"];
  const { status, stdout, stderr, orphans } = await tutti(args, { env: { TMPDIR: temporaryFolder() } });
  expect(status, stderr).toBe(0);
  expect(stdout).toMatch(/^seed 6: \d+ steps in \S+ \S+, \d+ faults, \d+ coordinators/);
  expect(stdout).toMatch(/^fault +tried +steps lost +samples lost +bits +recovery p50 +p99$/m);
  expect(stdout).toMatch(/^all +\d+ +0 +0 +equal /m);
  expect(stdout).toMatch(/Same bits: weights, losses and metrics are those of an undisturbed run in one process\.\n$/);
  expect(stderr).toMatch(/^after step \d+: /m);
  expect(orphans).toEqual([]);
});

test("exits with 1 and names the first step that differs when a run is not the same in every process", async () => {
  const folder = temporaryFolder();
  // Its data are other ones in every process.
  const text = `import { data, defineRun, nn, optim } from "tutti";
const values = Float32Array.from({ length: 400 }, (_, i) => (i % 7) + process.pid / 1e6);
const train = data.arrays({
  x: { dtype: "float32", shape: [2], values },
  y: { dtype: "float32", shape: [1], values: Float32Array.from({ length: 200 }, (_, i) => i % 3) },
});
const model = nn.linear(2, 1);
export default defineRun({
  data: { train }, model, step: ({ x, y }) => ({ loss: nn.mse(model(x), y) }),
  optimizer: optim.sgd({ lr: 0.001 }), batchSize: 4, epochs: 300, shards: 2,
});`;
  const args = ["verify", runFile(folder, text), "--chaos", "--minutes", "0.03", "--seed", "3", "--json"];
  const { status, stdout, orphans } = await tutti(args);
  expect(status).toBe(1);
  const lines = jsonLines(stdout);
  expect(lines.find(({ type }) => type === "chaos")?.difference).toMatch(/^step of step 1: .* expected /);
  expect(lines.at(-1)).toMatchObject({ type: "error", code: "BITS_DIFFER" });
  expect(lines.at(-1)?.message).toMatch(/step 1: .*Try again with --seed 3$/);
  expect(orphans).toEqual([]);
});

test("leaves nothing running when it is interrupted", async () => {
  const [temporary, mark] = [temporaryFolder(), randomUUID()];
  const args = ["verify", blobs, "--set", "epochs=1000", "--chaos", "--minutes", "5", "--json"];
  const verify = new TuttiProcess(args, { env: { TMPDIR: temporary, TUTTI_TEST_MARK: mark } });
  verify.child.stderr!.on("data", (text: string) => {
    if (text.startsWith("after step")) verify.child.kill("SIGINT");
  });
  expect(await verify.end()).toBe(1);
  expect((await verify.event("error")).code).toBe("INTERRUPTED");
  expect(processesWith(`TUTTI_TEST_MARK=${mark}`)).toEqual([]);
  expect(readdirSync(temporary).filter((name) => name !== "jiti")).toEqual([]); // compiled run files are kept
});

test("takes --minutes and --seed only with --chaos, and only what can be one", async () => {
  for (const [extra, expected] of [
    [["--minutes", "2"], /--minutes and --seed are options of --chaos/],
    [["--chaos", "--minutes", "0"], /--minutes: expected one number above zero, found "0"/],
    [["--chaos", "--seed", "x"], /--seed: expected one whole number/],
  ] as const) {
    const { status, stderr } = await tutti(["verify", blobs, ...extra]);
    expect(status).toBe(2);
    expect(stderr).toMatch(expected);
  }
});
