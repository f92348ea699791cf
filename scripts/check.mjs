// `npm test`: all set-up, types, lint, then unit and whole-system tests. The last line of the output counts the tests.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const failures = [];

/** Runs a step; a failure is remembered, and the steps after it still run. */
function step(name, ...args) {
  console.log(`\n— ${name} —`);
  const startMs = performance.now();
  const result = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  console.log(
    `${name}: ${result.status === 0 ? "ok" : "FAILED"} (${((performance.now() - startMs) / 1000).toFixed(1)} s)`,
  );
  if (result.status !== 0) failures.push(name);
  return result.status === 0;
}

/** Counts of vitest's JSON report. A file that could not be loaded is one failed test. */
function countsOf(path) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  let report;
  try {
    report = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return { ...counts, failed: 1 };
  }
  for (const file of report.testResults) {
    if (file.assertionResults.length === 0 && file.status === "failed") counts.failed++;
    for (const { status } of file.assertionResults) {
      if (status === "passed") counts.passed++;
      else if (status === "failed") counts.failed++;
      else counts.skipped++;
    }
  }
  return counts;
}

const folder = mkdtempSync(join(tmpdir(), "tutti-test-"));
const report = join(folder, "report.json");
let counts = { passed: 0, failed: 1, skipped: 0 };
try {
  // With the other Node versions that the tests run on, as npm packages.
  if (step("set-up and build", "scripts/setup.mjs", "--all")) {
    step("types of tests and examples", "node_modules/typescript/bin/tsc", "-p", "tsconfig.test.json");
    step("lint and format", "node_modules/@biomejs/biome/bin/biome", "check", ".");
    step(
      "tests",
      "node_modules/vitest/vitest.mjs",
      "run",
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${report}`,
      ...process.argv.slice(2),
    );
    counts = countsOf(report);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

if (failures.length > 0) console.log(`\nfailed: ${failures.join(", ")}`);
console.log(
  `\n${counts.passed} passed, ${counts.failed} failed${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ""}`,
);
process.exit(failures.length === 0 && counts.failed === 0 ? 0 : 1);
