import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { root, temporaryFolder } from "../system/tutti-process.ts";
import { jsonLines, runFile, runText, tutti } from "./command.ts";

test("proves equal weights after every step on 0, 1, 2 and 3 workers", async () => {
  const { status, stdout } = await tutti([
    "verify",
    "test/fixtures/blobs.ts",
    "--workers",
    "0,1,2,3",
    "--steps",
    "9",
    "--json",
  ]);
  expect(status).toBe(0);
  const lines = jsonLines(stdout);
  const runs = lines.filter(({ type }) => type === "verify");
  expect(runs.map(({ workers }) => workers)).toEqual([0, 1, 2, 3]);
  for (const run of runs) {
    expect(run.weightsSha256).toHaveLength(9);
    expect(run.weightsSha256).toEqual(runs[0]!.weightsSha256);
    expect(run.firstDifference).toBeNull();
  }
  expect(new Set(runs[0]!.weightsSha256 as readonly string[]).size).toBe(9);
  expect(runs[3]!.leases).toHaveLength(3);
  expect((runs[3]!.leases as readonly number[]).every((leases) => leases > 0)).toBe(true);
  expect(lines.at(-1)).toMatchObject({ type: "verified", workers: [0, 1, 2, 3], steps: 9, shards: 6 });
});

test("prints a table for people", async () => {
  const { status, stdout } = await tutti(["verify", "test/fixtures/blobs.ts", "--workers", "1,2", "--steps", "3"]);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^workers\s+leases of each\s+weights after step 1\s+after step 3/m);
  expect(stdout).toMatch(/^1 .*equal after every step$/m);
  expect(stdout).toMatch(/^2 .*equal after every step$/m);
  expect(stdout).toMatch(/Same bits/);
});

test("reports a step function that joins the samples of a shard as mixing samples", async () => {
  const step = "step: ({ x, y }) => ({ loss: nn.mse(model(nn.perShard(x, () => x.sub(x.mean(0)))), y) }),";
  const options = "optimizer: optim.sgd({ lr: 0.001 }), batchSize: 4, epochs: 3, shards: 4,"; // one sample each: none stays
  const run = runFile(temporaryFolder(), runText({ step, options }));
  const json = await tutti(["verify", run, "--workers", "0,2", "--steps", "2", "--json"]);
  expect(json.status).toBe(0); // declared, and still the same on any number of workers
  const { sharding } = jsonLines(json.stdout).at(-1) as { sharding: { relative: number; perShard: readonly string[] } };
  expect(sharding.relative).toBeGreaterThan(1e-4);
  expect(sharding.perShard).toHaveLength(1);
  const { stderr } = await tutti(["verify", run, "--workers", "0", "--steps", "1"]);
  expect(stderr).toMatch(/it mixes samples, as nn\.perShard declares/);
});

test("finds no mixing in a step function that is a sum over samples", async () => {
  const run = runFile(temporaryFolder(), runText());
  const { stdout } = await tutti(["verify", run, "--workers", "0", "--steps", "1", "--json"]);
  const { sharding } = jsonLines(stdout).at(-1) as { sharding: { shards: readonly number[]; relative: number } };
  expect(sharding.shards).toEqual([2, 1]);
  expect(sharding.relative).toBeLessThan(1e-5);
});

const twoLayers = {
  model: "const model = nn.sequential({ fc1: nn.linear(2, 3), act: nn.tanh(), fc2: nn.linear(3, 1) });",
  options: "optimizer: optim.sgd({ lr: 0.05 }), batchSize: 4, epochs: 6, shards: 2,",
};

/** Runs the built command, every process of it with an edit of what workers are about to send. */
async function verifyWithPlanted(statement: string): ReturnType<typeof tutti> {
  const reached = join(temporaryFolder(), "reached");
  const mark = 'process.getBuiltinModule("node:fs").appendFileSync(process.env.TUTTI_REACHED, "x");';
  const preload = join(root, "test/fixtures/planted-bug.mjs");
  const find = "const sumsFloats = result.sums === 0 ? 0 : welcome.sumsFloats;";
  const result = await tutti(
    ["verify", runFile(temporaryFolder(), runText(twoLayers)), "--workers", "0,1,2", "--steps", "5", "--json"],
    {
      env: {
        NODE_OPTIONS: `--import=${pathToFileURL(preload)}`,
        TUTTI_PLANT: JSON.stringify([
          { folder: "packages/tutti/bundle/", find, replace: `${find} ${mark} ${statement}` },
        ]),
        TUTTI_REACHED: reached,
      },
    },
  );
  expect(existsSync(reached), "what is planted was never reached").toBe(true);
  return result;
}

test("exits with 1 and names the first step and the first parameter when one bit of a gradient differs in worker processes", async () => {
  // In the gradients that are sent for step 3: element 1 of fc2.weight, at float 32 of the layout, and fc2.bias, at 48.
  const flip = `if (process.env.TUTTI_LANES !== undefined && position.step === 2 && sumsFloats > 0)
    for (const float of [33, 48]) this.#parts.memory.arena.bytes(result.sums + 4 * float, 4)[1] ^= 16;`;
  const { status, stdout, stderr, orphans } = await verifyWithPlanted(flip);
  expect(status, stderr).toBe(1);
  const lines = jsonLines(stdout);
  expect(lines.filter(({ type }) => type === "verify").map(({ firstDifference }) => firstDifference)).toEqual([
    null,
    3,
    3,
  ]);
  const error = lines.at(-1)!;
  expect(error).toMatchObject({ type: "error", code: "BITS_DIFFER" });
  const [, left, right] =
    /^step 3: 0 and 1 workers give different weights or losses; first in fc2\.weight\[1\]: (\S+) and (\S+)$/.exec(
      String(error.message),
    ) ?? [];
  expect(Number.isFinite(Number(left)) && Number.isFinite(Number(right)), String(error.message)).toBe(true);
  expect(left).not.toBe(right);
  expect(Math.abs(Number(left) - Number(right))).toBeLessThan(1e-3);
  expect(orphans).toEqual([]);
});

test("finds nothing when what is planted changes no bit", async () => {
  const { status, stdout, stderr } = await verifyWithPlanted("void position;");
  expect(status, stderr).toBe(0);
  expect(jsonLines(stdout).at(-1)).toMatchObject({ type: "verified", workers: [0, 1, 2], steps: 5 });
});
