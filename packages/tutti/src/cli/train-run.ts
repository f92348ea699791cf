import { basename, extname, join } from "node:path";
import { TuttiError } from "@tutti/core/errors";
import { applyOverrides } from "@tutti/core/run";
import { loadRunFile } from "../load-run.ts";
import type { Observer } from "../observers.ts";
import { type Started, type TrainOptions, trainOn } from "../train.ts";
import type { TrainingHandle } from "../training-handle.ts";
import type { RunArguments } from "./commands/run-options.ts";
import { tokenFromEnvironment } from "./environment.ts";
import { onInterrupt } from "./interrupt.ts";
import type { Output } from "./output.ts";
import { JsonReporter } from "./report/json-reporter.ts";
import type { Reporter } from "./report/reporter.ts";
import { TerminalReporter } from "./report/terminal-reporter.ts";

/** `tutti train`: this process coordinates worker processes of this machine, or lanes of its own. */
export function trainLocally(
  args: RunArguments,
  { workers, lanes, started }: { workers: number; lanes: number; started: Started },
  output: Output,
): Promise<void> {
  return trainRun(args, started, { workers, lanes }, output);
}

/** `tutti coordinator`: workers come from anywhere. */
export function trainWithRemoteWorkers(
  args: RunArguments,
  { listen, minWorkers, hosts }: Required<Pick<TrainOptions, "listen" | "minWorkers">> & Pick<TrainOptions, "hosts">,
  output: Output,
): Promise<void> {
  const startWorkers = Math.max(minWorkers, hosts?.names.length ?? 0);
  const remote = hosts === undefined ? {} : { hosts };
  return trainRun(args, undefined, { workers: 0, listen, startWorkers, minWorkers, ...remote }, output);
}

/** A page for whoever sits at a terminal, or asks for one. */
function dashboardOf(args: RunArguments, { listen }: TrainOptions, { stdout }: Output): TrainOptions["dashboard"] {
  const { dashboardPort: port, dashboardHost: host, noDashboard } = args;
  if (noDashboard && (port !== undefined || host !== undefined))
    throw new TuttiError("BAD_OPTION", "--no-dashboard goes with neither --dashboard-port nor --dashboard-host");
  if (noDashboard || (stdout.isTTY !== true && port === undefined && host === undefined)) return undefined;
  const name = basename(args.run, extname(args.run));
  const token = host === undefined ? undefined : listen === undefined ? tokenFromEnvironment() : listen.token;
  return { host, port, token, tls: listen?.tls, name };
}

async function trainRun(args: RunArguments, started: Started, where: TrainOptions, output: Output): Promise<void> {
  const reporter: Reporter = args.json ? new JsonReporter(output) : new TerminalReporter(output, args.run);
  const { handle } = await begun(args, started, where, reporter, output).catch(async (error: unknown) => {
    await started?.close(0);
    throw error;
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

async function begun(
  args: RunArguments,
  started: Started,
  where: TrainOptions,
  reporter: Reporter,
  output: Output,
): Promise<{ readonly handle: TrainingHandle }> {
  const { definition, directory } = await loadRunFile(args.run);
  const observers: Observer[] = [];
  if (args.tensorboard !== undefined) {
    const { tensorboard } = await import("../tensorboard/tensorboard.ts");
    observers.push(tensorboard(args.tensorboard));
  }
  const handle = trainOn(started, applyOverrides(definition, args.set), {
    ...where,
    baseDirectory: directory,
    out: args.out ?? join("runs", basename(args.run, extname(args.run))),
    resume: args.resume,
    allowChanges: args.allowChanges,
    numerics: args.numerics,
    ...(args.maxWorkers === undefined ? {} : { maxWorkers: args.maxWorkers }),
    ...(args.dataMemory === undefined ? {} : { dataMemoryBytes: args.dataMemory * 2 ** 20 }),
    exchange: args.exchange,
    ...(args.audit === undefined ? {} : { audit: args.audit }),
    observers,
    ...(args.trace === undefined ? {} : { trace: args.trace }),
    dashboard: dashboardOf(args, where, output),
    log: (line) => reporter.log(line),
  });
  return { handle }; // in an object: a handle that is returned would be awaited
}
