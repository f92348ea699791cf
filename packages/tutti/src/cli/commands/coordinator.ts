import type { Argv } from "yargs";
import { oneText, wholeNumber } from "../option-values.ts";
import type { Output } from "../output.ts";
import { withRunOptions } from "./run-options.ts";

export function coordinatorCommand(cli: Argv<{ json: boolean }>, output: Output): void {
  cli.command(
    "coordinator <run>",
    "Train with workers that connect from any machine",
    (command) =>
      withRunOptions(command)
        .option("host", {
          coerce: oneText("host"),
          requiresArg: true,
          default: "127.0.0.1",
          defaultDescription: "127.0.0.1",
          describe: "Address to listen on; others than loopback need TUTTI_TOKEN",
        })
        .option("port", {
          coerce: wholeNumber("port", 0, 65_535),
          requiresArg: true,
          default: "7070",
          defaultDescription: "7070",
          describe: "Port to listen on; 0 takes a free one",
        })
        .option("min-workers", {
          coerce: wholeNumber("min-workers", 1, 1024),
          requiresArg: true,
          default: "1",
          defaultDescription: "1",
          describe: "With fewer workers the run waits and says so",
        })
        .example(
          "TUTTI_TOKEN=… $0 coordinator run.ts --host 0.0.0.0 --port 7070 --min-workers 4",
          "wait for four workers, then train",
        ),
    async (args) => {
      const { trainWithRemoteWorkers } = await import("../train-run.ts");
      const { host = "127.0.0.1", port = 7070, minWorkers = 1 } = args;
      await trainWithRemoteWorkers(args, { host, port, startWorkers: minWorkers }, output);
    },
  );
}
