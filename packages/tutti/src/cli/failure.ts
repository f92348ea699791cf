import { isTuttiError } from "@tutti/core/errors";
import { type ExitStatus, exitStatusOf } from "./exit-status.ts";
import { hintFor } from "./hints.ts";
import type { Output } from "./output.ts";
import { colorsFor } from "./report/colors.ts";

/**
 * Says one clear line on stderr, a hint below where there is one, and with `--json` one line on stdout; no stack trace
 * unless TUTTI_DEBUG=1.
 * @returns what the process exits with.
 */
export function reportFailure(error: unknown, output: Output, json: boolean): ExitStatus {
  const code = isTuttiError(error) ? error.code : "INTERNAL";
  const message = (error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, " ");
  const hint = hintFor(code);
  if (json) output.json({ type: "error", code, message, ...(hint === undefined ? {} : { hint }) });
  const { red, bold, dim } = colorsFor(output.stderr);
  output.log(`${red(bold(`error[${code}]:`))} ${message}`);
  if (hint !== undefined) output.log(dim(`hint: ${hint}`));
  if (process.env.TUTTI_DEBUG === "1" && error instanceof Error) {
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) output.log(cause.stack ?? "");
  } else if (code === "INTERNAL") {
    output.log("This is a bug in Tutti: please report it with the output of `tutti doctor` and of TUTTI_DEBUG=1.");
  }
  return exitStatusOf(code);
}
