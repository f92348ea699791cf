import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Result, root, temporaryFolder, trained } from "./tutti-process.ts";

const runFile = "test/fixtures/blobs.ts";
let reference: Promise<Result> | undefined;

/** This Node, one process, one lane. */
function undisturbed(): Promise<Result> {
  reference ??= trained([runFile, "--workers", "0", "--lanes", "1", "--out", temporaryFolder()]);
  return reference;
}

for (const name of ["node24", "node26"]) {
  for (const how of [
    ["--workers", "0", "--lanes", "2"],
    ["--workers", "2", "--exchange", "star"],
    ["--workers", "3", "--exchange", "mesh"],
  ]) {
    test(`${name} gives the weights and the loss trace of this Node with ${how.join(" ")}`, async () => {
      const node = join(root, `test/node-matrix/node_modules/${name}/bin/node`);
      // The matrix is Linux x64 binaries from npm; elsewhere there is nothing to compare with.
      const expected = process.platform === "linux" && process.arch === "x64";
      if (!expected && !existsSync(node)) return console.warn(`${name} is not installed: not compared`);
      const result = await trained([runFile, ...how, "--out", temporaryFolder()], { node });
      expect(result).toEqual(await undisturbed());
    });
  }
}
