import type { Argv } from "yargs";
import { oneText, share, wholeNumber } from "../option-values.ts";

/** Options of the commands that train: which run, changed how, kept where. */
export function withRunOptions<T>(command: Argv<T>) {
  return command
    .positional("run", { type: "string", demandOption: true, describe: "Run file: exports defineRun({ … })" })
    .option("set", {
      type: "string",
      array: true,
      nargs: 1,
      default: [] as string[],
      defaultDescription: "none",
      describe: "Replace a plain value: optimizer.lr=0.01; repeatable",
    })
    .option("out", {
      coerce: oneText("out"),
      requiresArg: true,
      describe: "Output directory; runs/NAME of the run file by default",
    })
    .option("resume", {
      type: "boolean",
      default: false,
      describe: "Go on from the newest checkpoint in the output directory",
    })
    .option("allow-changes", {
      type: "boolean",
      default: false,
      describe: "Resume although the definition has changed",
    })
    .option("max-workers", {
      coerce: wholeNumber("max-workers", 1),
      requiresArg: true,
      describe: "Workers that compute at the same time; further ones wait for a place",
    })
    .option("numerics", {
      choices: ["same", "mixed"] as const,
      requiresArg: true,
      default: "same" as const,
      describe:
        "Refuse workers that round differently from the run's first, or let them in and lose the promise of same bits",
    })
    .option("data-memory", {
      coerce: wholeNumber("data-memory", 0),
      requiresArg: true,
      describe: "MiB for the columns of each data set, 256 by default; the rest is read from files",
    })
    .option("print-config", {
      type: "boolean",
      default: false,
      describe: "Print the run's values as JSON, checked and with defaults, and train nothing",
    })
    .option("tensorboard", {
      coerce: oneText("tensorboard"),
      requiresArg: true,
      describe: "Also write event files for TensorBoard into this directory",
    })
    .option("trace", {
      coerce: oneText("trace"),
      requiresArg: true,
      describe: "Also write a trace of all processes into this file, for ui.perfetto.dev",
    })
    .option("exchange", {
      choices: ["star", "mesh", "auto"] as const,
      requiresArg: true,
      default: "star" as const,
      describe: "Where workers' sums meet: at the coordinator, directly between workers, or what proves quicker",
    })
    .option("audit", {
      coerce: share("audit"),
      requiresArg: true,
      describe: "Share of the sums that two workers compute and must agree on, such as 0.01",
    })
    .option("dashboard-port", {
      coerce: wholeNumber("dashboard-port", 0, 65_535),
      requiresArg: true,
      describe: "Port of the page that shows the run; 7071 by default, 0 takes a free one",
    })
    .option("dashboard-host", {
      coerce: oneText("dashboard-host"),
      requiresArg: true,
      describe: "Its address; 127.0.0.1 by default, others need TUTTI_TOKEN",
    })
    .option("no-dashboard", {
      type: "boolean",
      default: false,
      describe: "No page; without it there is one on a terminal, or when its port or address is given",
    });
}

export interface RunArguments {
  readonly run: string;
  readonly set: readonly string[];
  readonly out: string | undefined;
  readonly resume: boolean;
  readonly allowChanges: boolean;
  readonly maxWorkers: number | undefined;
  readonly numerics: "same" | "mixed";
  /** MiB. */
  readonly dataMemory: number | undefined;
  readonly audit: number | undefined;
  readonly exchange: "star" | "mesh" | "auto";
  readonly printConfig: boolean;
  readonly tensorboard: string | undefined;
  readonly trace: string | undefined;
  readonly dashboardPort: number | undefined;
  readonly dashboardHost: string | undefined;
  readonly noDashboard: boolean;
  readonly json: boolean;
}
