import type { Argv } from "yargs";
import type { Output } from "../output.ts";

export function exportCommand(cli: Argv<{ json: boolean }>, output: Output): void {
  cli.command(
    "export <checkpoint>",
    "Write a checkpoint's model as ONNX, or its weights",
    (command) =>
      command
        .positional("checkpoint", { type: "string", demandOption: true, describe: "Checkpoint file" })
        .option("onnx", {
          type: "string",
          requiresArg: true,
          describe: "Model to write: standard operators, a free batch dimension",
        })
        .option("check", {
          type: "boolean",
          default: false,
          describe: "Run the model first, and write it only if it computes what the run's own graph computes",
        })
        .option("weights", {
          type: "string",
          requiresArg: true,
          describe: "Weights to write as safetensors, under PyTorch's names",
        })
        .check(({ onnx, weights, check }) => {
          if (onnx === undefined && weights === undefined)
            throw new Error("expected --onnx FILE, --weights FILE or both");
          if (check && onnx === undefined)
            throw new Error("--check needs --onnx FILE: it is the model that is checked");
          return true;
        })
        .example(
          "$0 export runs/digits/checkpoints/best.safetensors --onnx model.onnx",
          "the best weights, for any ONNX runtime",
        )
        .example("$0 export best.safetensors --weights weights.safetensors", "the weights alone, for PyTorch"),
    async (args) => {
      const { exportModel } = await import("../export-model.ts");
      await exportModel(args, output);
    },
  );
}
