import { TuttiError } from "@tutti/core/errors";
import type { Argv } from "yargs";
import { bandwidth, latency } from "../../plan/units.ts";
import { numberList, positiveNumber, wholeNumber } from "../option-values.ts";
import type { Output } from "../output.ts";

const exchanges = ["star", "mesh"] as const;
const compressions = ["none", "bf16", "int8"] as const;

export function planCommand(cli: Argv<{ json: boolean }>, output: Output): void {
  cli.command(
    "plan <run>",
    "Predict step times on clusters from a short measured run",
    (command) =>
      command
        .positional("run", { type: "string", demandOption: true, describe: "Run file" })
        .option("workers", {
          coerce: workerCounts,
          requiresArg: true,
          default: "2,4,8,16",
          defaultDescription: "2,4,8,16",
          describe: "Worker counts, each on a machine of its own",
        })
        .option("lanes", {
          coerce: wholeNumber("lanes", 1, 1024),
          requiresArg: true,
          default: "1",
          defaultDescription: "1",
          describe: "Computing threads of each worker",
        })
        .option("bandwidth", {
          coerce: bandwidth,
          requiresArg: true,
          default: "1gbit",
          defaultDescription: "1gbit",
          describe: "Of every machine's link, each way: 100mbit, 10gbit",
        })
        .option("latency", {
          coerce: latency,
          requiresArg: true,
          default: "100us",
          defaultDescription: "100us",
          describe: "One way between two machines: 50us, 1ms",
        })
        .option("exchange", {
          coerce: listOf("exchange", exchanges),
          requiresArg: true,
          default: "star,mesh",
          defaultDescription: "star,mesh",
          describe: "Where sums meet: at the coordinator, or between workers",
        })
        .option("compress", {
          coerce: listOf("compress", compressions),
          requiresArg: true,
          default: "none",
          defaultDescription: "none",
          describe: "What sums are rounded to on their way: none, bf16, int8",
        })
        .option("seconds", {
          coerce: positiveNumber("seconds"),
          requiresArg: true,
          default: "3",
          defaultDescription: "3",
          describe: "How long to measure each of the three runs",
        })
        .option("set", {
          type: "string",
          array: true,
          nargs: 1,
          default: [] as string[],
          defaultDescription: "none",
          describe: "Replace a plain value; repeatable",
        })
        .example(
          "$0 plan run.ts --workers 8,64,1000 --bandwidth 10gbit --latency 1ms --set shards=1000",
          "what more machines would bring",
        ),
    async ({ run, set, json, workers, lanes, bandwidth: bytesPerSecond, latency: latencyMs, ...how }) => {
      const { plan } = await import("../../plan/plan.ts");
      await plan(
        {
          run,
          set,
          json,
          workers,
          lanes: lanes ?? 1,
          bytesPerSecond: bytesPerSecond ?? 125e6,
          latencyMs: latencyMs ?? 0.1,
          exchange: how.exchange,
          compress: how.compress,
          measureMs: 1000 * (how.seconds ?? 3),
        },
        output,
      );
    },
  );
}

function workerCounts(found: unknown): readonly number[] {
  const counts = numberList("workers")(found);
  const wrong = counts.find((each) => each < 1 || each > 100_000);
  if (wrong !== undefined)
    throw new TuttiError("BAD_OPTION", `--workers: expected numbers from 1 to 100000, found ${wrong}`);
  return counts;
}

/** Reads "star,mesh": some of the values, each once. Throws BAD_OPTION. */
function listOf<Value extends string>(option: string, values: readonly Value[]): (found: unknown) => readonly Value[] {
  return (found) => {
    const parts = typeof found === "string" ? found.split(",") : [];
    const known = parts.flatMap((part) => values.filter((value) => value === part));
    if (known.length > 0 && known.length === parts.length) return [...new Set(known)];
    throw new TuttiError(
      "BAD_OPTION",
      `--${option}: expected some of ${values.join(", ")} with commas between, found ${JSON.stringify(found)}`,
    );
  };
}
