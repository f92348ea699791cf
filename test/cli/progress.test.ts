import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { root, temporaryFolder } from "../system/tutti-process.ts";
import { tutti } from "./command.ts";

const execute = promisify(execFile);
// biome-ignore lint/suspicious/noControlCharactersInRegex: it looks for them
const colour = /\x1b\[(?:3[0-7]|9[0-7])m/;

/** What the terminal gets that `script` (util-linux) makes for the command. */
async function onTerminal(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  columns = 140,
): Promise<string> {
  const { NO_COLOR: _, FORCE_COLOR: __, ...inherited } = process.env;
  const command = [`stty cols ${columns};`, process.execPath, join(root, "packages/tutti/bin/tutti.js"), ...args].join(
    " ",
  );
  const { stdout } = await execute("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
    cwd: root,
    env: { ...inherited, ...env, TERM: "xterm-256color" },
  });
  return stdout;
}

const train = (): readonly string[] => ["train", "test/fixtures/blobs.ts", "--out", join(temporaryFolder(), "run")];

test("shows a bar with loss, its curve, workers, throughput and the time left on a terminal", async () => {
  const shown = await onTerminal([...train(), "--workers", "2"]);
  expect(shown).toMatch(colour);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it takes the colours out
  const text = shown.replaceAll(/\x1b\[[0-9;?]*[a-zA-Z]/g, "");
  expect(text).toMatch(
    /━{24} 100% {2}epoch \d+ {2}loss [\d.e-]+ {2}█[▁▂▃▄▅▆▇█]{7,15} {2}2 workers {2}[\d,]+ samples\/s {2}0:00 left/,
  );
  expect(text).toContain("done after");
});

test("leaves the curve out where the line is too short for all", async () => {
  const shown = await onTerminal([...train(), "--workers", "0"], { NO_COLOR: "1" }, 90);
  expect(shown).toMatch(/100% {2}epoch \d+ {2}loss [\d.e-]+ {2}1 worker {2}[\d,]+ samples\/s {2}0:00 left/);
});

test("has no colours with NO_COLOR, but the bar", async () => {
  const shown = await onTerminal([...train(), "--workers", "0"], { NO_COLOR: "1" });
  expect(shown).not.toMatch(colour);
  expect(shown).toContain("━━━");
});

test("is quiet where there is no terminal: no bar, no colours, a line now and then", async () => {
  const { stdout } = await tutti([...train(), "--workers", "0"]);
  expect(stdout).not.toContain("\x1b");
  expect(stdout).not.toContain("━");
  const progress = stdout.split("\n").filter((line) => line.startsWith("step "));
  expect(progress.length).toBeGreaterThanOrEqual(1);
  expect(progress.length).toBeLessThan(10);
  expect(progress.at(-1)).toMatch(/^step 42\/42 {2}epoch \d+ {2}loss [\d.e-]+ {2}1 worker {2}[\d,]+ samples\/s/);
});

test("has colours without a terminal with FORCE_COLOR, errors and hints too", async () => {
  const { stdout } = await tutti([...train(), "--workers", "0"], { env: { FORCE_COLOR: "1" } });
  expect(stdout).toMatch(colour);
  const { stderr } = await tutti(["inspect", "package.json"], { env: { FORCE_COLOR: "1" } });
  expect(stderr).toMatch(colour);
  const plain = await tutti(["inspect", "package.json"], { env: { NO_COLOR: "1" } });
  expect(plain.stderr).toMatch(
    /^error\[GRAPH_INVALID\]: .*\nhint: check where the file or the coordinator comes from\n$/,
  );
});
