import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { mutants } from "./mutants.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Runs the simulator on sources with one bug planted (see vitest.config.ts); resolves with what it printed. */
function simulateWith(mutant: number | "none"): Promise<{ status: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      ["node_modules/vitest/vitest.mjs", "run", "--project", "system", "test/simulator/simulator.test.ts"],
      {
        cwd: root,
        env: { ...process.env, TUTTI_MUTANT: String(mutant), TUTTI_SCHEDULES: "1000", TUTTI_SEED: "1", NO_COLOR: "1" },
      },
    );
    let output = "";
    child.stdout.on("data", (text) => {
      output += text;
    });
    child.stderr.on("data", (text) => {
      output += text;
    });
    child.on("close", (status) => resolve({ status, output }));
  });
}

beforeAll(async () => {
  const { status, output } = await simulateWith("none");
  expect(status, `without a planted bug:\n${output}`).toBe(0);
});

for (const [index, { name }] of mutants.entries()) {
  test(`finds within 1,000 schedules that ${name}`, async () => {
    const { status, output } = await simulateWith(index);
    expect(status, output).not.toBe(0);
    expect(output).toMatch(/schedule \d+ (\(run it alone|hangs|failed)/);
  });
}
