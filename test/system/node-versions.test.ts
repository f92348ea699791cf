import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { jsonLines, tutti } from "../cli/command.ts";
import { type Result, root, temporaryFolder, trained } from "./tutti-process.ts";

const runFile = "test/fixtures/blobs.ts";
let reference: Promise<Result> | undefined;

/** This Node, one process, one lane. */
function undisturbed(): Promise<Result> {
  reference ??= trained([runFile, "--workers", "0", "--lanes", "1", "--out", temporaryFolder()]);
  return reference;
}

/** The matrix is Linux x64 binaries from npm; elsewhere there may be nothing to compare with. */
const isMatrix = process.platform === "linux" && process.arch === "x64";

for (const name of ["node24", "node26"]) {
  const node = join(root, `test/node-matrix/node_modules/${name}/bin/node`);
  const matrixTest = test.skipIf(!isMatrix && !existsSync(node));

  for (const how of [
    ["--workers", "0", "--lanes", "2"],
    ["--workers", "2", "--exchange", "star"],
    ["--workers", "3", "--exchange", "mesh"],
  ]) {
    matrixTest(`${name} gives the weights and the loss trace of this Node with ${how.join(" ")}`, async () => {
      const result = await trained([runFile, ...how, "--out", temporaryFolder()], { node });
      expect(result).toEqual(await undisturbed());
    });
  }

  for (const exchange of ["star", "mesh"]) {
    matrixTest(
      `${name} gives the bits of an undisturbed run after faults to everything, exchange ${exchange}`,
      async () => {
        const args = ["verify", runFile, "--set", "epochs=60", "--exchange", exchange, "--chaos", "--minutes", "0.2"];
        const { status, stdout, stderr, orphans } = await tutti([...args, "--seed", "11", "--json"], { node });
        expect(status, stderr).toBe(0);
        const lines = jsonLines(stdout);
        expect(lines.at(-1)).toMatchObject({ type: "verified", chaos: true });
        const runs = lines.filter(({ type }) => type === "chaos");
        expect(runs.map(({ difference, stepsLost, samplesLost }) => [difference, stepsLost, samplesLost])).toEqual(
          runs.map(() => [null, 0, 0]),
        );
        expect(runs.flatMap(({ faults }) => faults as unknown[]).length).toBeGreaterThanOrEqual(3);
        expect(orphans).toEqual([]);
      },
    );
  }
}
