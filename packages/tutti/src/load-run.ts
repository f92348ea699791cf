import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { isTuttiError, TuttiError } from "@tutti/core/errors";
import { isRunDefinition, type RunDefinition } from "@tutti/core/run";

/**
 * Evaluates a run file (TypeScript or JavaScript) and returns its default export and folder.
 * Throws BAD_RUN_FILE with the place in the file, or what the definition itself throws.
 */
export async function loadRunFile(path: string): Promise<{ definition: RunDefinition; directory: string }> {
  const file = resolve(path);
  if (!existsSync(file)) throw new TuttiError("BAD_RUN_FILE", `${path}: no such file (looked for ${file})`);
  const { createJiti } = await import("jiti");
  const own = fileURLToPath(import.meta.url);
  const jiti = createJiti(file, {
    // A run file anywhere gets this very installation of tutti.
    alias: { tutti: resolve(dirname(own), `index${own.endsWith(".ts") ? ".ts" : ".js"}`) },
    interopDefault: true,
  });
  let exported: unknown;
  try {
    exported = await jiti.import(file, { default: true });
  } catch (error) {
    if (isTuttiError(error)) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new TuttiError("BAD_RUN_FILE", `${path}${placeIn(file, error)}: ${message}`, {}, { cause: error });
  }
  if (!isRunDefinition(exported)) {
    throw new TuttiError(
      "BAD_RUN_FILE",
      `${path}: expected \`export default defineRun({ … })\`, found ${exported === undefined ? "no default export" : typeof exported}`,
    );
  }
  return { definition: exported, directory: dirname(file) };
}

/** ":12:5", where the error's stack enters the file; "" if it does not. */
function placeIn(file: string, error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  const line = stack.split("\n").find((frame) => frame.includes(file));
  return /:\d+:\d+/.exec(line?.slice(line.indexOf(file) + file.length) ?? "")?.[0] ?? "";
}
