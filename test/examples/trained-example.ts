import { join } from "node:path";
import { TuttiProcess, temporaryFolder } from "../system/tutti-process.ts";

export interface TrainedExample {
  /** The last validation's loss and metrics, by name. */
  readonly figures: Readonly<Record<string, number>>;
  /** The run's output directory, gone when the test is over. */
  readonly out: string;
}

/** Trains a run file with two workers to its end. Throws with what it printed when it fails. */
export async function trainedExample(
  path: string,
  settings: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<TrainedExample> {
  const out = join(temporaryFolder(), "run");
  const set = settings.flatMap((setting) => ["--set", setting]);
  const run = new TuttiProcess(["train", path, "--workers", "2", "--out", out, "--json", ...set], { env });
  const code = await run.end();
  if (code !== 0) throw new Error(`tutti train ${path} ended with ${code}\n${run.stderr}`);
  const done = await run.event("done");
  if (done.validation === null) throw new Error(`tutti train ${path}: no validation`);
  return { figures: done.validation, out };
}
