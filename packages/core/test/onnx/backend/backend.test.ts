import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { backendCases, testDataFolder } from "./backend-case.ts";
import { checkCase, type Outcome } from "./check-case.ts";
import { supportTable } from "./support-table.ts";

const committed = backendCases(fileURLToPath(new URL("models", import.meta.url)), "node");

test.each(committed)(
  "$name of the ONNX project gives what was recorded, and the gradient of finite differences",
  async (item) => {
    expect(await checkCase(item)).toMatchObject({ kind: "agrees" });
  },
);

test("there are operator models that need no package", () => {
  expect(committed.length).toBeGreaterThanOrEqual(14);
});

/** Models that are imported but give something else on purpose. */
const different: Readonly<Record<string, string>> = Object.fromEntries(
  ["", "_default", "_default_mask", "_mask"].map((name) => [
    `node/test_training_dropout${name}`,
    "Dropout passes its input on in evaluation, whatever the file says; load(path, { dropout: true }) drops in training",
  ]),
);

const folder = testDataFolder();
const groups = ["node", "simple", "pytorch-converted", "pytorch-operator"] as const;

test.skipIf(folder === undefined)(
  "every importable model of the ONNX project's test data gives what was recorded (skipped: needs Debian's libonnx-testdata, or ONNX_TESTDATA)",
  { timeout: 300_000 },
  async () => {
    const outcomes: (readonly [name: string, types: readonly string[], outcome: Outcome])[] = [];
    for (const item of groups.flatMap((group) => backendCases(folder!, group))) {
      outcomes.push([item.name, item.operators(), await checkCase(item)]);
    }
    const wrong = outcomes.filter(([name, , outcome]) => (outcome.kind === "differs") !== name in different);
    expect(wrong.map(([name, , outcome]) => [name, outcome])).toEqual([]);
    expect(outcomes.filter(([, , outcome]) => outcome.kind === "agrees").length).toBeGreaterThan(800);
    await expect(supportTable(outcomes, different)).toMatchFileSnapshot("../../../../../docs/onnx.md");
  },
);
