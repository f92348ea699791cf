import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Link } from "../../packages/tutti/src/chaos/index.ts";
import { type Result, root, TuttiProcess, temporaryFolder, trained } from "./tutti-process.ts";

const blobs = "test/fixtures/blobs.ts";
const digits = join(root, "test/fixtures/few-digits.ts");

function compressed(to: string, workers: number): Promise<Result> {
  const set = `compress=${JSON.stringify(to === "none" ? null : to)}`;
  return trained([blobs, "--set", set, "--workers", `${workers}`, "--out", temporaryFolder()]);
}

test.each(["bf16", "int8"])("gives the same bits on 0, 1, 2, 3 and 5 workers with sums rounded to %s", async (to) => {
  const alone = await compressed(to, 0);
  expect(alone.steps).toHaveLength(42);
  for (const workers of [1, 2, 3, 5]) expect(await compressed(to, workers)).toEqual(alone);
  expect(alone.weightsSha256).not.toBe((await compressed("none", 0)).weightsSha256);
});

const steps = 20;

/** Bytes between a coordinator and its one worker in so many steps of the digits, both ways. */
async function bytesOnTheWire(compress: string): Promise<number> {
  const args = ["--set", `steps=${steps}`, "--set", `compress=${compress}`, "--set", "validation.everySteps=1000"];
  const token = randomBytes(32).toString("hex");
  const coordinator = new TuttiProcess(
    ["coordinator", digits, "--port", "0", ...args, "--out", temporaryFolder(), "--json"],
    { env: { TUTTI_TOKEN: token } },
  );
  const { message } = await coordinator.event("notice", (notice) => notice.message.startsWith("listening"));
  let bytes = 0;
  const link = await Link.open({
    coordinatorPort: () => Number(/:(\d+)$/.exec(message)![1]),
    onBytes: (count) => {
      bytes += count;
    },
  });
  onTestFinished(() => link.close());
  const worker = new TuttiProcess(["worker", link.url, "--json"], { env: { TUTTI_TOKEN: token } });
  expect(await coordinator.end(), coordinator.stderr).toBe(0);
  expect(await worker.end(), worker.stderr).toBe(0);
  return bytes;
}

test("sends a step's sums in 16 or 8¼ bits a number", async () => {
  const parameters = 784 * 128 + 128 + 128 * 10 + 16;
  const plain = await bytesOnTheWire("null");
  const savedBits = async (compress: string): Promise<number> =>
    ((plain - (await bytesOnTheWire(compress))) * 8) / (steps * parameters);
  expect(Math.abs((await savedBits("bf16")) - 16)).toBeLessThan(0.2);
  expect(Math.abs((await savedBits("int8")) - 23.75)).toBeLessThan(0.2);
});

test.each(["bf16", "int8"])("learns the digits as well with sums rounded to %s", async (to) => {
  const accuracyOf = async (compress: string): Promise<number> => {
    const { validations } = await trained([
      digits,
      "--workers",
      "0",
      "--set",
      `compress=${compress}`,
      "--out",
      temporaryFolder(),
    ]);
    return (JSON.parse(validations.at(-1)!.replace(/^.*? .*? /, "")) as { accuracy: number }).accuracy;
  };
  // 500 images: one standard deviation of a share of 0.9 is 0.013.
  expect(await accuracyOf(to)).toBeGreaterThan((await accuracyOf("null")) - 0.027);
});
