import { basename, extname, join } from "node:path";
import { applyOverrides } from "@tutti/core/run";
import { loadRunFile } from "../load-run.ts";
import { tensorboard } from "../tensorboard/tensorboard.ts";
import { type TrainOptions, train } from "../train.ts";
import type { RunArguments } from "./commands/run-options.ts";
import { onInterrupt } from "./interrupt.ts";
import type { Output } from "./output.ts";
import { JsonReporter } from "./report/json-reporter.ts";
import type { Reporter } from "./report/reporter.ts";
import { TerminalReporter } from "./report/terminal-reporter.ts";

/** `tutti train`: this process coordinates worker processes of this machine. */
export function trainLocally(
  args: RunArguments,
  { workers, lanes }: { workers: number; lanes: number },
  output: Output,
): Promise<void> {
  return trainRun(args, { workers, lanes }, output);
}

/** `tutti coordinator`: workers come from anywhere. */
export function trainWithRemoteWorkers(
  args: RunArguments,
  { listen, minWorkers, hosts }: Required<Pick<TrainOptions, "listen" | "minWorkers">> & Pick<TrainOptions, "hosts">,
  output: Output,
): Promise<void> {
  const startWorkers = Math.max(minWorkers, hosts?.names.length ?? 0);
  const remote = hosts === undefined ? {} : { hosts };
  return trainRun(args, { workers: 0, listen, startWorkers, minWorkers, ...remote }, output);
}

async function trainRun(args: RunArguments, where: TrainOptions, output: Output): Promise<void> {
  const { definition, directory } = await loadRunFile(args.run);
  const reporter: Reporter = args.json ? new JsonReporter(output) : new TerminalReporter(output, args.run);
  const handle = train(applyOverrides(definition, args.set), {
    ...where,
    baseDirectory: directory,
    out: args.out ?? join("runs", basename(args.run, extname(args.run))),
    resume: args.resume,
    allowChanges: args.allowChanges,
    ...(args.maxWorkers === undefined ? {} : { maxWorkers: args.maxWorkers }),
    ...(args.audit === undefined ? {} : { audit: args.audit }),
    ...(args.tensorboard === undefined ? {} : { observers: [tensorboard(args.tensorboard)] }),
    ...(args.trace === undefined ? {} : { trace: args.trace }),
    log: (line) => reporter.log(line),
  });
  const release = onInterrupt(output, () => handle.stop(), reporter);
  try {
    for await (const event of handle) reporter.event(event);
    const { done, out } = await handle;
    reporter.finish(done, out);
  } finally {
    reporter.close();
    release();
  }
}
