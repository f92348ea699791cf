import { expect, test } from "vitest";
import { temporaryFolder, trained } from "./tutti-process.ts";

const changes = [
  { kind: "flip", axis: 1, probability: 0.5 },
  { kind: "crop", axes: [1], padding: 20 },
  { kind: "noise", std: 6 },
];
const augmented = ["test/fixtures/wide.ts", "--set", `augment=${JSON.stringify({ sound: changes })}`];

test("changes samples to the same bits on 0, 1 and 2 workers, whoever reads the rows", async () => {
  const alone = await trained([...augmented, "--workers", "0", "--out", temporaryFolder()]);
  const plain = await trained(["test/fixtures/wide.ts", "--workers", "0", "--out", temporaryFolder()]);
  expect(alone.weightsSha256).not.toBe(plain.weightsSha256);
  for (const [workers, placement] of [
    [1, "coordinator"],
    [2, "coordinator"],
    [2, "workers"],
  ] as const) {
    const where = ["--workers", `${workers}`, "--set", `placement=${placement}`, "--out", temporaryFolder()];
    expect(await trained([...augmented, ...where])).toEqual(alone);
  }
});
