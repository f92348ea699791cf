import type { Argv } from "yargs";
import { oneText, wholeNumber } from "../option-values.ts";
import type { Output } from "../output.ts";

export function uiCommand(cli: Argv<{ json: boolean }>, output: Output): void {
  cli.command(
    "ui <directories..>",
    "Open finished runs in a browser and compare them",
    (command) =>
      command
        .positional("directories", {
          type: "string",
          array: true,
          demandOption: true,
          describe: "Output directories of runs, or folders that hold such directories",
        })
        .option("port", {
          coerce: wholeNumber("port", 0, 65_535),
          requiresArg: true,
          describe: "Port of the page; 7071 by default, or a free one where that is taken; 0 takes a free one",
        })
        .option("host", {
          coerce: oneText("host"),
          requiresArg: true,
          default: "127.0.0.1",
          defaultDescription: "127.0.0.1",
          describe: "Address to listen on; others than loopback need a token",
        })
        .option("token-file", {
          coerce: oneText("token-file"),
          requiresArg: true,
          describe: "File with the secret that readers must know, readable by you alone; or set TUTTI_TOKEN",
        })
        .example("$0 ui runs", "compare all runs in runs/"),
    async (args) => {
      const { showFinishedRuns } = await import("../ui.ts");
      await showFinishedRuns(args, output);
    },
  );
}
