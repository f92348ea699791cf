import { relative } from "node:path";
import type { DoneEvent } from "@tutti/core/events";
import { count, duration, figure, figures, table } from "../format.ts";
import type { Colors } from "./colors.ts";
import type { RunFiles } from "./reporter.ts";

/** What a person wants to know when a run is over, line by line. */
export function summary(
  done: DoneEvent,
  files: RunFiles | undefined,
  runFile: string,
  colors: Colors,
): readonly string[] {
  const { outcome, steps, epochs, wallMs, samplesPerSecond, validation, weightsSha256, ledger } = done;
  const headline = headlines(colors)[outcome];
  const lines = [
    "",
    `${headline} after ${duration(wallMs)}: ${count(steps)} steps, ${figure(epochs)} epochs, ${count(samplesPerSecond)} samples/s`,
  ];
  if (validation !== null) lines.push(`validation: ${figures(validation)}`);
  if (ledger.leasesDealtAgain > 0)
    lines.push(`${count(ledger.leasesDealtAgain)} leases were dealt again; every sample still counted once`);
  lines.push(colors.dim(`weights ${weightsSha256}`));
  if (files !== undefined) lines.push("", ...placesOf(files), "", ...nextOf(outcome, files, runFile));
  return lines;
}

function placesOf({ checkpoint, best, metrics, onnx }: RunFiles): readonly string[] {
  const places = { checkpoint, best, metrics, model: onnx };
  const rows = Object.entries(places).flatMap(([name, path]) =>
    path === undefined ? [] : [[`  ${name}`, near(path)]],
  );
  return table(rows);
}

function nextOf(outcome: DoneEvent["outcome"], { directory, onnx }: RunFiles, runFile: string): readonly string[] {
  const again = `npx tutti train ${runFile} --out ${near(directory)} --resume`;
  const commands =
    outcome === "stopped"
      ? [[`  ${again}`, "goes on where it stopped, bit for bit"]]
      : [
          ...(onnx === undefined ? [] : [[`  npx tutti inspect ${near(onnx)}`, "what the model is made of"]]),
          [`  npx tutti verify ${runFile} --workers 1,2,3`, "the same bits on any number of workers"],
          [
            `  npx tutti train ${runFile} --set optimizer.lr=0.0005 --out ${near(directory)}-2`,
            "another learning rate",
          ],
        ];
  return ["Next:", ...table(commands)];
}

/** A path as one would type it here. */
function near(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") ? path : short;
}

function headlines({ green, yellow }: Colors): Readonly<Record<DoneEvent["outcome"], string>> {
  return {
    completed: green("done"),
    "early-stopped": green("done early, as validations got no better,"),
    stopped: yellow("stopped"),
  };
}
