import { type NamedTensor, readCheckpoint } from "@tutti/core/checkpoint";
import type { PlainObject } from "@tutti/core/data";
import { byteSize, count, figures, table } from "../format.ts";

interface TensorFacts {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

export interface CheckpointFacts {
  readonly type: "inspect";
  readonly kind: "checkpoint";
  readonly path: string;
  readonly step: number;
  readonly epoch: number;
  readonly position: number;
  readonly seed: number;
  readonly definitionDigest: string;
  readonly numericClass: string;
  readonly metrics: Readonly<Record<string, number>>;
  readonly parameters: readonly TensorFacts[];
  readonly optimizer: readonly TensorFacts[];
  readonly buffers: readonly TensorFacts[];
  readonly inferenceGraphBytes: number;
  /** The plain values that the run was defined with. */
  readonly definition: PlainObject;
}

/** Throws CHECKPOINT_INVALID. */
export async function checkpointFacts(path: string): Promise<CheckpointFacts> {
  const { step, epoch, position, seed, definitionDigest, numericClass, metrics, definition, ...rest } =
    await readCheckpoint(path);
  return {
    type: "inspect",
    kind: "checkpoint",
    path,
    ...{ step, epoch, position, seed, definitionDigest, numericClass, metrics },
    parameters: rest.parameters.map(factsOf),
    optimizer: rest.optimizer.map(factsOf),
    buffers: rest.buffers.map(factsOf),
    inferenceGraphBytes: rest.inferenceGraph.byteLength,
    definition,
  };
}

function factsOf({ name, dtype, shape }: NamedTensor): TensorFacts {
  return { name, dtype, shape };
}

export function checkpointLines(facts: CheckpointFacts): readonly string[] {
  const { path, step, epoch, position, seed, definitionDigest, numericClass, metrics, inferenceGraphBytes } = facts;
  const total = facts.parameters.reduce((sum, tensor) => sum + elements(tensor), 0);
  const optimizer = facts.definition.optimizer;
  return [
    ...table([
      ["checkpoint", path],
      ["step", `${count(step)} (${epoch} epochs and ${count(position)} batches)`],
      ["parameters", count(total)],
      ...(Object.keys(metrics).length === 0 ? [] : [["validation", figures(metrics)]]),
      ["seed", String(seed)],
      ["optimizer", `${JSON.stringify(optimizer ?? null)}, ${facts.optimizer.length} state tensors`],
      ["definition", definitionDigest],
      ["numeric class", numericClass],
      ["inference graph", inferenceGraphBytes === 0 ? "none" : byteSize(inferenceGraphBytes)],
    ]),
    "",
    ...table([
      ["parameter", "dtype", "shape", "elements"],
      ...facts.parameters.map((tensor) => [
        tensor.name,
        tensor.dtype,
        `[${tensor.shape.join(",")}]`,
        count(elements(tensor)),
      ]),
    ]),
  ];
}

function elements({ shape }: TensorFacts): number {
  return shape.reduce((product, size) => product * size, 1);
}
