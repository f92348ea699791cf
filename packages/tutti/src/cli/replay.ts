import { readCheckpoint } from "@tutti/core/checkpoint";
import { TuttiError } from "@tutti/core/errors";
import { applyOverrides } from "@tutti/core/run";
import { loadRunFile } from "../load-run.ts";
import { train } from "../train.ts";
import { onInterrupt } from "./interrupt.ts";
import type { Output } from "./output.ts";

/**
 * `tutti replay`: computes steps again from a checkpoint, in this process, and prints the SHA-256 of the parameters after
 * each: equal to those of another machine up to the step that went wrong. Throws what reading and training throw.
 */
export async function replay(
  args: { checkpoint: string; run: string; step: number; set: readonly string[]; json: boolean },
  output: Output,
): Promise<void> {
  const { definition, directory } = await loadRunFile(args.run);
  const { step: from } = await readCheckpoint(args.checkpoint);
  if (args.step <= from) {
    throw new TuttiError(
      "BAD_OPTION",
      `--step ${args.step}: the checkpoint is of step ${from}; name a later step, or an earlier checkpoint`,
    );
  }
  const handle = train(applyOverrides(definition, args.set), {
    baseDirectory: directory,
    from: args.checkpoint,
    maxSteps: args.step,
    hashEveryStep: true,
  });
  const release = onInterrupt(output, () => handle.stop());
  try {
    for await (const event of handle) {
      if (args.json && event.type !== "error") output.json(event);
      else if (event.type === "step") {
        output.line(`${String(event.step).padStart(8)}  ${event.weightsSha256}  loss ${event.loss}`);
      } else if (event.type === "skipped") output.line(`${String(event.step).padStart(8)}  left out: ${event.reason}`);
    }
    await handle;
  } finally {
    release();
  }
}
