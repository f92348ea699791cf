import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

// By the package's name: where this code lies in it depends on how it was built.
const manifest = createRequire(import.meta.url).resolve("tutti/package.json");

/** The folder that tutti is installed in. */
export const ownFolder = dirname(manifest);

/** What runs the command line. */
export const commandFile = join(ownFolder, "bin/tutti.js");

/** Entries of processes of their own, as built. */
export const localWorkerFile = join(ownFolder, "bundle/local-worker.js");
export const faultyEngineUrl = pathToFileURL(join(ownFolder, "bundle/faulty-engine.js")).href;

export function ownVersion(): string {
  const found: unknown = JSON.parse(readFileSync(manifest, "utf8"));
  return typeof found === "object" && found !== null && "version" in found ? String(found.version) : "unknown";
}
