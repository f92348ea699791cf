import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { root } from "../system/tutti-process.ts";

const bin = join(root, "packages/tutti/bin/tutti.js");

export interface CommandResult {
  /** null after a signal. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Processes that the command started and left behind, by id. */
  readonly orphans: readonly number[];
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Another Node's binary. */
  readonly node?: string;
}

/** Runs `tutti` to its end. */
export function tutti(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  // Inherited by every process that the command starts.
  const mark = `TUTTI_TEST_MARK=${randomUUID()}`;
  const child = spawn(options.node ?? process.execPath, [bin, ...args], {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env, TUTTI_TEST_MARK: mark.split("=")[1] },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  // A command that hangs fails its test by its status instead of holding up all others.
  const deadline = setTimeout(() => child.kill("SIGKILL"), 90_000);
  onTestFinished(() => {
    clearTimeout(deadline);
    child.kill("SIGKILL");
  });
  return new Promise((resolve) => {
    child.once("close", (status) => resolve({ status, stdout, stderr, orphans: processesWith(mark) }));
  });
}

/** Processes whose environment holds a text (Linux). */
export function processesWith(environment: string): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, "latin1").includes(environment);
      } catch {
        return false; // it has ended meanwhile, or is another user's
      }
    });
}

/** The lines of `--json`. */
export function jsonLines(text: string): readonly Readonly<Record<string, unknown>>[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Writes a run file and returns its path. */
export function runFile(folder: string, text: string, name = "run.ts"): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** Parts of a run file that works: linear regression on four rows. Tests replace one of them by something bad. */
const workingParts = {
  imports: 'import { data, defineRun, metrics, nn, optim } from "tutti";',
  source: `const train = data.arrays({
  x: { dtype: "float32", shape: [2], values: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
  y: { dtype: "float32", shape: [1], values: Float32Array.of(1, 2, 3, 4) },
});`,
  model: "const model = nn.linear(2, 1);",
  step: "step: ({ x, y }) => ({ loss: nn.mse(model(x), y), outputs: { prediction: model(x) } }),",
  options: "optimizer: optim.sgd({ lr: 0.001 }), batchSize: 4, epochs: 3, shards: 2,",
};

export function runText(parts: Partial<typeof workingParts> = {}): string {
  const { imports, source, model, step, options } = { ...workingParts, ...parts };
  return [
    imports,
    source,
    model,
    "export default defineRun({",
    "  data: { train }, model,",
    `  ${step}`,
    `  ${options}`,
    "});",
    "",
  ].join("\n");
}
