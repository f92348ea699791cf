import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../system/tutti-process.ts";
import { jsonLines, tutti } from "./command.ts";

const run = "test/fixtures/blobs.ts";

/** "a.b=1" for every value that is not inside another list. */
function settings(value: unknown, path: readonly string[] = []): readonly string[] {
  const isSection = typeof value === "object" && value !== null && !Array.isArray(value);
  return isSection && Object.keys(value).length > 0
    ? Object.entries(value).flatMap(([name, inner]) => settings(inner, [...path, name]))
    : [`${path.join(".")}=${JSON.stringify(value)}`];
}

test("prints every value with its default, after --set, and makes no file", async () => {
  const cwd = temporaryFolder();
  const { status, stdout, stderr } = await tutti(
    ["train", join(import.meta.dirname, "../..", run), "--print-config", "--set", "optimizer.lr=0.125"],
    { cwd },
  );
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const config = JSON.parse(stdout) as Record<string, unknown>;
  expect(config).toMatchObject({ optimizer: { lr: 0.125 }, lastBatch: "train", checkpoint: { keep: 3 } });
  expect(config.shards).toBeGreaterThan(0); // chosen, not null
});

test("--set takes every path that is printed, and all of them together are the same run", async () => {
  const printed = jsonLines((await tutti(["coordinator", run, "--print-config", "--json"])).stdout)[0]!;
  const { type, ...config } = printed;
  expect(type).toBe("config");
  const set = settings(config).flatMap((setting) => ["--set", setting]);
  expect(set.length).toBeGreaterThan(50);
  const again = await tutti(["coordinator", run, "--print-config", "--json", ...set]);
  expect(jsonLines(again.stdout)[0]).toEqual(printed);
  const digestOf = async (more: readonly string[]): Promise<unknown> => {
    const out = join(temporaryFolder(), "run");
    const { stdout } = await tutti(["train", run, "--workers", "0", "--json", "--out", out, ...more]);
    return jsonLines(stdout).find((line) => line.type === "run")?.definitionDigest;
  };
  const digest = await digestOf([]);
  expect(digest).toMatch(/^[0-9a-f]{64}$/);
  expect(await digestOf(set)).toBe(digest);
});

test("refuses what training would refuse at its start", async () => {
  const { status, stderr } = await tutti(["train", run, "--print-config", "--set", "batchSize=0"]);
  expect(status).toBe(2);
  expect(stderr).toMatch(/^error\[BAD_OPTION\]: batchSize/);
});
