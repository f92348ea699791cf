import { rename, rm, stat, writeFile } from "node:fs/promises";
import { type Checkpoint, type NamedTensor, readCheckpoint } from "@tutti/core/checkpoint";
import { TuttiError } from "@tutti/core/errors";
import { exportOnnx } from "@tutti/core/run";
import { byteSize } from "./format.ts";
import type { Output } from "./output.ts";

/** `tutti export`: a checkpoint's inference graph with its weights. Throws CHECKPOINT_INVALID, OUTPUT_NOT_WRITABLE. */
export async function exportModel(
  args: { checkpoint: string; onnx: string; json: boolean },
  output: Output,
): Promise<void> {
  const checkpoint = await readCheckpoint(args.checkpoint);
  if (checkpoint.inferenceGraph.byteLength === 0) {
    throw new TuttiError(
      "CHECKPOINT_INVALID",
      `${args.checkpoint}: the run's step function names no outputs: return { loss, outputs: { … } } and train again`,
    );
  }
  const model = exportOnnx(
    checkpoint.inferenceGraph,
    new Map(
      [...checkpoint.parameters, ...checkpoint.buffers, ...averaged(checkpoint)].map(({ name, data }) => [
        name,
        new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4),
      ]),
    ),
  );
  await writeWhole(args.onnx, model);
  if (args.json) output.json({ type: "export", path: args.onnx, bytes: model.byteLength, step: checkpoint.step });
  else output.line(`${args.onnx}: ${byteSize(model.byteLength)}, the weights of step ${checkpoint.step}`);
}

/** Writes a file under another name and renames it, so that none is ever half-written. Throws OUTPUT_NOT_WRITABLE. */
async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const unfinished = `${path}.${process.pid}.tmp`;
  try {
    const existing = await stat(path).catch(() => undefined);
    if (existing?.isDirectory()) throw new Error("it is a folder; name a file");
    await writeFile(unfinished, bytes);
    await rename(unfinished, path);
  } catch (cause) {
    await rm(unfinished, { force: true });
    throw new TuttiError(
      "OUTPUT_NOT_WRITABLE",
      `${path}: cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`,
      {},
      { cause },
    );
  }
}

/** The averaged weights under the parameters' names, for inference instead of these; none without `ema`. */
function averaged({ optimizer }: Checkpoint): readonly NamedTensor[] {
  const prefix = "optimizer.average/";
  return optimizer
    .filter(({ name }) => name.startsWith(prefix))
    .map((tensor) => ({ ...tensor, name: tensor.name.slice(prefix.length) }));
}
