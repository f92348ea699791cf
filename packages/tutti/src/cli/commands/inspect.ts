import type { Argv } from "yargs";
import type { Output } from "../output.ts";

export function inspectCommand(cli: Argv<{ json: boolean }>, output: Output): void {
  cli.command(
    "inspect <file>",
    "Show what a checkpoint or an ONNX model holds",
    (command) =>
      command
        .positional("file", { type: "string", demandOption: true, describe: "Checkpoint or .onnx file" })
        .example("$0 inspect runs/digits/model.onnx", "operators, inputs, outputs and parameters"),
    async (args) => {
      const { inspect } = await import("../inspect/inspect.ts");
      await inspect(args, output);
    },
  );
}
