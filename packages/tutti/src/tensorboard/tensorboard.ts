import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { TuttiError } from "@tutti/core/errors";
import type { Observer } from "../observers.ts";
import { EventFile } from "./event-file.ts";

/**
 * Writes a run's figures as event files that TensorBoard shows: `directory/train` gets loss, learning rate, gradient norm,
 * samples a second and the metrics of every step, `directory/validation` loss and metrics of every validation, under the same
 * names, so that the curves lie over each other. A resumed run hides what files of the folder hold of later steps.
 *
 * @returns for `train(definition, { observers: [tensorboard("logs")] })`.
 * @throws TuttiError OUTPUT_NOT_WRITABLE if the folders cannot be made.
 */
export function tensorboard(directory: string): Observer {
  const path = resolve(directory);
  const folders = { train: join(path, "train"), validation: join(path, "validation") };
  try {
    for (const folder of Object.values(folders)) mkdirSync(folder, { recursive: true });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TuttiError("OUTPUT_NOT_WRITABLE", `${directory}: no folder for event files: ${reason}`, {}, { cause });
  }
  let train: EventFile | undefined;
  let validation: EventFile | undefined;
  const close = (): void => {
    train?.close();
    validation?.close();
    train = undefined;
    validation = undefined;
  };
  return {
    run({ startStep }) {
      train = new EventFile(folders.train);
      validation = new EventFile(folders.validation);
      for (const file of [train, validation]) file.write({ step: startStep + 1, sessionStart: true });
    },
    step({ step, loss, lr, gradientNorm, samplesPerSecond, metrics }) {
      const scalars = { loss, lr, gradient_norm: gradientNorm, samples_per_second: samplesPerSecond, ...metrics };
      train?.write({ step, scalars });
    },
    validation({ step, loss, metrics }) {
      validation?.write({ step, scalars: { loss, ...metrics } });
    },
    done: close,
    error: close,
  };
}
