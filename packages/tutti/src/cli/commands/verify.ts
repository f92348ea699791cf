import { TuttiError } from "@tutti/core/errors";
import type { Argv } from "yargs";
import { numberList, positiveNumber, wholeNumber } from "../option-values.ts";
import type { Output } from "../output.ts";

export function verifyCommand(cli: Argv<{ json: boolean }>, output: Output): void {
  cli.command(
    "verify <run>",
    "Prove that the weights are the same bits on any number of workers",
    (command) =>
      command
        .positional("run", { type: "string", demandOption: true, describe: "Run file" })
        .option("workers", {
          coerce: numberList("workers"),
          requiresArg: true,
          default: "1,2,3",
          defaultDescription: "1,2,3",
          describe: "Worker counts to compare; 0 computes in this process",
        })
        .option("lanes", {
          coerce: wholeNumber("lanes", 1, 1024),
          requiresArg: true,
          default: "1",
          defaultDescription: "1",
          describe: "Computing threads of each worker",
        })
        .option("steps", {
          coerce: wholeNumber("steps", 1),
          requiresArg: true,
          default: "20",
          defaultDescription: "20",
          describe: "Steps to train with each count",
        })
        .option("set", {
          type: "string",
          array: true,
          nargs: 1,
          default: [] as string[],
          defaultDescription: "none",
          describe: "Replace a plain value; repeatable",
        })
        .option("exchange", {
          choices: ["star", "mesh", "auto"] as const,
          requiresArg: true,
          default: "star" as const,
          describe: "Where workers' sums meet, as for train",
        })
        .option("chaos", {
          type: "boolean",
          default: false,
          describe: "Instead: kill, stop and cut off workers and coordinators, and compare with an undisturbed run",
        })
        .option("minutes", {
          coerce: positiveNumber("minutes"),
          requiresArg: true,
          describe: "How long --chaos goes on; 1 by default",
        })
        .option("seed", {
          coerce: wholeNumber("seed", 0),
          requiresArg: true,
          describe: "Of the faults of --chaos; another one each time by default",
        })
        .check(({ chaos, minutes, seed }) => {
          if (chaos || (minutes === undefined && seed === undefined)) return true;
          throw new TuttiError("BAD_OPTION", "--minutes and --seed are options of --chaos: expected it too");
        })
        .example("$0 verify examples/digits.ts --chaos --minutes 5", "the same bits, whatever happens for five minutes")
        .example("$0 verify examples/digits.ts --workers 1,2,3,5", "compare four worker counts over 20 steps"),
    async (args) => {
      if (args.chaos) {
        const { verifyUnderFaults } = await import("../../chaos/verify-under-faults.ts");
        const { run, set, minutes = 1, seed = Date.now() % 1_000_000, exchange, json } = args;
        await verifyUnderFaults({ run, set, minutes, seed, exchange, json }, output);
        return;
      }
      const { verify } = await import("../verify/verify.ts");
      await verify(
        {
          run: args.run,
          set: args.set,
          workers: args.workers,
          lanes: args.lanes ?? 1,
          exchange: args.exchange,
          steps: args.steps ?? 20,
          json: args.json,
        },
        output,
      );
    },
  );
}
