import type { Argv } from "yargs";
import { templateNames, templates } from "../init/templates.ts";
import type { Output } from "../output.ts";

export function initCommand(cli: Argv<{ json: boolean }>, output: Output): void {
  cli.command(
    "init [directory]",
    "Make a project that trains in a minute",
    (command) =>
      command
        .positional("directory", { type: "string", default: ".", describe: "Folder to make it in" })
        .option("template", {
          choices: templateNames,
          requiresArg: true,
          default: "tabular" as const,
          describe: templateNames.map((name) => `${name}: ${templates[name].describe}`).join("; "),
        })
        .example("$0 init my-model --template images", "then: cd my-model && npm install && npx tutti train run.ts"),
    async (args) => {
      const { init } = await import("../init/init.ts");
      await init(args, output);
    },
  );
}
