import type { Argv } from "yargs";
import { wholeNumber } from "../option-values.ts";
import type { Output } from "../output.ts";

export function replayCommand(cli: Argv<{ json: boolean }>, output: Output): void {
  cli.command(
    "replay <checkpoint> <run>",
    "Recompute steps from a checkpoint and print their hashes: which step went wrong",
    (command) =>
      command
        .positional("checkpoint", { type: "string", demandOption: true, describe: "Checkpoint file to start from" })
        .positional("run", { type: "string", demandOption: true, describe: "Run file that it was trained with" })
        .option("step", {
          coerce: wholeNumber("step", 1),
          requiresArg: true,
          demandOption: true,
          describe: "Last step to recompute",
        })
        .option("set", {
          type: "string",
          array: true,
          nargs: 1,
          default: [] as string[],
          defaultDescription: "none",
          describe: "Replace a plain value, as when it was trained; repeatable",
        })
        .example(
          "$0 replay runs/digits/checkpoints/step-00000940.safetensors examples/digits.ts --step 945",
          "hashes of the parameters after steps 941 to 945, computed in this process",
        ),
    async (args) => {
      const { replay } = await import("../replay.ts");
      await replay({ ...args, step: args.step ?? 1 }, output);
    },
  );
}
