import { setImmediate } from "node:timers/promises";
import type { Argv } from "yargs";
import type { InProcessLanes } from "../../in-process-lanes.ts";
import type { LocalWorkers } from "../../local-workers.ts";
import { wholeNumber } from "../option-values.ts";
import type { Output } from "../output.ts";
import { type RunArguments, withRunOptions } from "./run-options.ts";

/** @param started is given the work: a handler that yargs waits for costs it the rendering of its help. */
export function trainCommand(
  cli: Argv<{ json: boolean }>,
  output: Output,
  started: (work: Promise<void>) => void,
): void {
  cli.command(
    "train <run>",
    "Train with worker processes on this machine",
    (command) =>
      withRunOptions(command)
        .option("workers", {
          coerce: wholeNumber("workers", 0, 1024),
          requiresArg: true,
          default: "2",
          defaultDescription: "2",
          describe: "Worker processes; 0 computes in this process",
        })
        .option("lanes", {
          coerce: wholeNumber("lanes", 1, 1024),
          requiresArg: true,
          default: "1",
          defaultDescription: "1",
          describe: "Computing threads of each worker",
        })
        .example("$0 train examples/digits.ts --workers 2", "train the digits with two workers")
        .example(
          "$0 train run.ts --set optimizer.lr=0.01 --set epochs=1 --out runs/short",
          "other values, another directory",
        )
        .example("$0 train run.ts --resume", "go on after Ctrl-C"),
    (args) => started(run(args, output)),
  );
}

async function run(
  args: RunArguments & { readonly workers?: number | undefined; readonly lanes?: number | undefined },
  output: Output,
): Promise<void> {
  if (args.printConfig) {
    const { printConfig } = await import("../print-config.ts");
    return printConfig(args, output);
  }
  const { workers = 2, lanes = 1 } = args;
  const started = await start(workers, lanes); // first of all: it loads beside what follows
  const { trainLocally } = await import("../train-run.ts");
  await trainLocally(args, { workers, lanes, started }, output);
}

async function start(workers: number, lanes: number): Promise<LocalWorkers | InProcessLanes> {
  if (workers === 0) {
    const { InProcessLanes } = await import("../../in-process-lanes.ts");
    const started = new InProcessLanes(lanes);
    await setImmediate(); // what comes next loads code for 60 ms, without a pause in which threads could be started
    return started;
  }
  const { LocalWorkers } = await import("../../local-workers.ts");
  return LocalWorkers.start(workers, lanes);
}
