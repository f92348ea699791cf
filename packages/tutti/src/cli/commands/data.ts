import type { Argv } from "yargs";
import { oneText, wholeNumber } from "../option-values.ts";
import type { Output } from "../output.ts";

export function dataCommand(cli: Argv<{ json: boolean }>, output: Output): void {
  cli.command(
    "data <run>",
    "Show what a run's data are: columns, ranges, missing values, first rows and problems",
    (command) =>
      command
        .positional("run", { type: "string", demandOption: true, describe: "Run file" })
        .option("rows", {
          coerce: wholeNumber("rows", 0, 1000),
          requiresArg: true,
          default: "3",
          defaultDescription: "3",
          describe: "Rows to show",
        })
        .option("problems", {
          coerce: wholeNumber("problems", 0, 100_000),
          requiresArg: true,
          default: "10",
          defaultDescription: "10",
          describe: "Problems to show; all are counted",
        })
        .option("write", {
          coerce: oneText("write"),
          requiresArg: true,
          describe:
            "Write train.safetensors and validation.safetensors here, for workers that read rows for themselves",
        })
        .option("set", {
          type: "string",
          array: true,
          nargs: 1,
          default: [] as string[],
          defaultDescription: "none",
          describe: "Replace a plain value, such as data.train.path=other.csv; repeatable",
        })
        .example("$0 data examples/penguins.ts", "columns, categories, missing cells and rows of a csv"),
    async (args) => {
      const { showData } = await import("../data/data.ts");
      await showData({ ...args, rows: args.rows ?? 3, problems: args.problems ?? 10 }, output);
    },
  );
}
