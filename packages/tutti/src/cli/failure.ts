import { isTuttiError } from "@tutti/core/errors";
import { type ExitStatus, exitStatusOf } from "./exit-status.ts";
import type { Output } from "./output.ts";

/**
 * Says one clear line on stderr, and with `--json` one on stdout; no stack trace unless TUTTI_DEBUG=1.
 * @returns what the process exits with.
 */
export function reportFailure(error: unknown, output: Output, json: boolean): ExitStatus {
  const code = isTuttiError(error) ? error.code : "INTERNAL";
  const message = (error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, " ");
  if (json) output.json({ type: "error", code, message });
  output.log(`error[${code}]: ${message}`);
  if (process.env.TUTTI_DEBUG === "1" && error instanceof Error) {
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) output.log(cause.stack ?? "");
  } else if (code === "INTERNAL") {
    output.log("This is a bug in Tutti: please report it with the output of `tutti doctor` and of TUTTI_DEBUG=1.");
  }
  return exitStatusOf(code);
}
