import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface Elsewhere {
  readonly status: number | null;
  readonly output: string;
}

/** Runs schedules in a process of their own, which the environment tells which ones; resolves with what it printed. */
export function simulateElsewhere(env: Readonly<Record<string, string>>): Promise<Elsewhere> {
  const args = ["run", "--project", "system", "test/simulator/simulator.test.ts", "-t", "schedules of faults"];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["node_modules/vitest/vitest.mjs", ...args], {
      cwd: root,
      env: { ...process.env, NO_COLOR: "1", ...env },
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (text) => {
        output += text;
      });
    }
    child.on("close", (status) => resolve({ status, output }));
  });
}
