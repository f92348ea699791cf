import { applyOverrides } from "@tutti/core/run";
import { loadRunFile } from "../load-run.ts";
import { prepareRun } from "../prepare-run.ts";
import type { Output } from "./output.ts";

/**
 * `--print-config`: every plain value of a run after `--set`, defaults filled in, as JSON whose paths `--set` takes. Opens the
 * data and compiles the run, so that what it could refuse at its start is refused here, but trains nothing.
 */
export async function printConfig(
  args: { readonly run: string; readonly set: readonly string[]; readonly json: boolean },
  output: Output,
): Promise<void> {
  const { definition, directory } = await loadRunFile(args.run);
  const prepared = await prepareRun(applyOverrides(definition, args.set), directory);
  const { compiled } = prepared;
  await prepared.close();
  const config = { ...compiled.definition.plain, shards: compiled.shards };
  if (args.json) output.json({ type: "config", ...config });
  else output.line(JSON.stringify(config, null, 2));
}
