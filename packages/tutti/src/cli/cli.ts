import { TuttiError } from "@tutti/core/errors";
import yargs from "yargs";
import { ownVersion } from "../own-package.ts";
import { coordinatorCommand } from "./commands/coordinator.ts";
import { dataCommand } from "./commands/data.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { exportCommand } from "./commands/export.ts";
import { initCommand } from "./commands/init.ts";
import { inspectCommand } from "./commands/inspect.ts";
import { planCommand } from "./commands/plan.ts";
import { replayCommand } from "./commands/replay.ts";
import { trainCommand } from "./commands/train.ts";
import { uiCommand } from "./commands/ui.ts";
import { verifyCommand } from "./commands/verify.ts";
import { workerCommand } from "./commands/worker.ts";
import type { ExitStatus } from "./exit-status.ts";
import { reportFailure } from "./failure.ts";
import type { Output } from "./output.ts";

/**
 * Runs one command. The files of the commands hold their options and import the rest when they run, so that `--help`
 * answers at once and a worker loads no coordinator.
 * @param args what follows `tutti`.
 */
export async function runCli(args: readonly string[], output: Output): Promise<ExitStatus> {
  const cli = yargs([...args])
    .scriptName("tutti")
    .usage("Usage: $0 COMMAND\n\nDistributed data-parallel training: the same bits on any number of workers.")
    .parserConfiguration({
      "dot-notation": false,
      "parse-numbers": false,
      "parse-positional-numbers": false,
      "boolean-negation": false,
      "greedy-arrays": false,
    })
    .option("json", { type: "boolean", default: false, describe: "One JSON object a line on stdout; logs on stderr" })
    .demandCommand(
      1,
      "expected a command: init, train, coordinator, worker, verify, plan, export, inspect, data, replay, ui or doctor",
    )
    .strict()
    .recommendCommands()
    .version(ownVersion())
    .help()
    .alias({ h: "help" })
    .wrap(Math.min(120, process.stdout.columns ?? 100))
    .epilogue(
      "Every command has --help with an example. Exit status: 0 it worked, 1 the run failed, 2 bad usage or configuration.",
    )
    .exitProcess(false)
    .fail((message, error) => {
      throw error?.name === "TuttiError" ? error : badUsage(args, message ?? error?.message ?? "");
    });
  let work = Promise.resolve();
  const train: typeof initCommand = (parser, to) =>
    trainCommand(parser, to, (started) => {
      work = started;
      work.catch(() => {}); // awaited below
    });
  for (const command of [
    initCommand,
    train,
    coordinatorCommand,
    workerCommand,
    uiCommand,
    verifyCommand,
    planCommand,
    exportCommand,
    inspectCommand,
    dataCommand,
    replayCommand,
    doctorCommand,
  ]) {
    command(cli, output);
  }
  try {
    await cli.parseAsync();
    await work;
    return 0;
  } catch (error) {
    return reportFailure(error, output, args.includes("--json"));
  }
}

/** yargs names what is close to an unknown command, but not the command. */
function badUsage(args: readonly string[], message: string): TuttiError {
  const closest = /^Did you mean (.*)\?$/.exec(message)?.[1];
  const problem = closest === undefined ? message : `unknown command "${args[0]}"; did you mean "${closest}"`;
  return new TuttiError("BAD_OPTION", `${problem}; see tutti --help`);
}
