import type { Checkpoint, NamedTensor } from "@tutti/core/checkpoint";
import { TuttiError } from "@tutti/core/errors";
import { exportOnnx } from "@tutti/core/run";

export interface CheckpointModel {
  /** The inference graph with its weights inside, as ONNX. */
  readonly model: Uint8Array;
  /** What is inside, by name, row-major. */
  readonly parameters: ReadonlyMap<string, Float32Array>;
}

/** Throws CHECKPOINT_INVALID if the run's step function names no outputs. */
export function checkpointModel(checkpoint: Checkpoint): CheckpointModel {
  const { path, inferenceGraph } = checkpoint;
  if (inferenceGraph.byteLength === 0) {
    throw new TuttiError(
      "CHECKPOINT_INVALID",
      `${path}: holds no model: the run's step function names no outputs. Return { loss, outputs: { … } } and train again, or write the weights alone: --weights FILE`,
    );
  }
  const parameters = new Map(
    usedTensors(checkpoint).flatMap(({ name, ...tensor }) => {
      const values = valuesOf(tensor);
      return values instanceof Float32Array ? [[name, values] as const] : [];
    }),
  );
  return { model: exportOnnx(inferenceGraph, parameters), parameters };
}

/** What inference uses, under the parameters' names: parameters or their averages, and buffers. */
export function usedTensors({ parameters, buffers, optimizer, state, step }: Checkpoint): readonly NamedTensor[] {
  const prefix = "optimizer.average/";
  const averages = new Map(
    // Before the first update there is nothing to average.
    (state.skippedSteps === step ? [] : optimizer)
      .filter(({ name }) => name.startsWith(prefix))
      .map((tensor) => [tensor.name.slice(prefix.length), tensor]),
  );
  return [...parameters.map((own) => ({ ...(averages.get(own.name) ?? own), name: own.name })), ...buffers];
}

export function valuesOf({ dtype, data }: Omit<NamedTensor, "name" | "shape">): Float32Array | BigInt64Array {
  const { buffer } = Uint8Array.from(data); // on its own, so that it starts on a multiple of any size
  return dtype === "int64" ? new BigInt64Array(buffer) : new Float32Array(buffer);
}
