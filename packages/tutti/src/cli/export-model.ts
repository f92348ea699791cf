import { rename, rm, stat, writeFile } from "node:fs/promises";
import { type Checkpoint, readCheckpoint } from "@tutti/core/checkpoint";
import { TuttiError } from "@tutti/core/errors";
import { checkExport, type ExportCheck } from "@tutti/core/onnx";
import { encodeWeights } from "@tutti/core/weights";
import { checkpointModel, usedTensors, valuesOf } from "../predict/checkpoint-model.ts";
import { byteSize } from "./format.ts";
import type { Output } from "./output.ts";

export interface ExportArguments {
  /** Path of the file, as are `onnx` and `weights`. */
  readonly checkpoint: string;
  readonly onnx: string | undefined;
  readonly weights: string | undefined;
  /** Holds the ONNX model against the checkpoint's graph before it is written. */
  readonly check: boolean;
  readonly json: boolean;
}

/**
 * `tutti export`: a checkpoint's inference graph with its weights, the weights alone, or both; averaged weights instead of
 * those they are averages of. Throws CHECKPOINT_INVALID, EXPORT_DIFFERS, OUTPUT_NOT_WRITABLE.
 */
export async function exportModel(args: ExportArguments, output: Output): Promise<void> {
  const checkpoint = await readCheckpoint(args.checkpoint);
  const tensors = usedTensors(checkpoint);
  const { step } = checkpoint;
  if (args.onnx !== undefined) {
    const { model, check } = await modelOf(checkpoint, args.check);
    await writeWhole(args.onnx, model);
    const bytes = model.byteLength;
    if (args.json)
      output.json({ type: "export", path: args.onnx, bytes, step, ...(check && { check: check.outputs }) });
    else {
      output.line(`${args.onnx}: ${byteSize(bytes)}, the weights of step ${step}`);
      if (check !== undefined) output.line(`checked at N = ${samples.join(", ")}: ${worstOf(check)}`);
    }
  }
  if (args.weights !== undefined) {
    const file = encodeWeights(
      tensors.map(({ name, shape, ...tensor }) => ({ name, shape, values: valuesOf(tensor) })),
    );
    await writeWhole(args.weights, file);
    const bytes = file.byteLength;
    if (args.json) output.json({ type: "export", path: args.weights, bytes, step });
    else output.line(`${args.weights}: ${byteSize(bytes)}, ${tensors.length} tensors of step ${step}`);
  }
}

/** Numbers of samples that a check runs. */
const samples = [1, 2, 7];

async function modelOf(
  checkpoint: Checkpoint,
  isChecked: boolean,
): Promise<{ readonly model: Uint8Array; readonly check?: ExportCheck }> {
  const { model, parameters } = checkpointModel(checkpoint);
  if (!isChecked) return { model };
  const check = await checkExport({ exported: model, reference: checkpoint.inferenceGraph, parameters, samples });
  if (check.agrees) return { model, check };
  throw new TuttiError(
    "EXPORT_DIFFERS",
    `nothing was written: with its weights inside, ONNX Runtime computes otherwise than the run did: ${worstOf(check)}, at most 1e-5 expected. Values that nearly cancel do this; without --check the model is written as it is`,
    { outputs: check.outputs },
  );
}

function worstOf({ outputs }: ExportCheck): string {
  const { name, worst } = outputs.reduce((a, b) => (b.worst > a.worst ? b : a));
  return worst === 0 ? "all outputs are equal" : `the worst difference is ${worst.toExponential(1)}, in ${name}`;
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
