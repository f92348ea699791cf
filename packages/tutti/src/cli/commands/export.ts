import type { Argv } from "yargs";
import type { Output } from "../output.ts";

export function exportCommand(cli: Argv<{ json: boolean }>, output: Output): void {
  cli.command(
    "export <checkpoint>",
    "Write a checkpoint's model as ONNX",
    (command) =>
      command
        .positional("checkpoint", { type: "string", demandOption: true, describe: "Checkpoint file" })
        .option("onnx", {
          type: "string",
          requiresArg: true,
          demandOption: true,
          describe: "File to write: standard operators, a free batch dimension",
        })
        .example(
          "$0 export runs/digits/checkpoints/best.safetensors --onnx model.onnx",
          "the best weights, for any ONNX runtime",
        ),
    async (args) => {
      const { exportModel } = await import("../export-model.ts");
      await exportModel(args, output);
    },
  );
}
