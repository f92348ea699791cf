/** A random change of one sample of a column. Axes count from 0, the samples' own not counted. */
export type Augmentation =
  /** Turns the order along an axis around. */
  | { readonly kind: "flip"; readonly axis: number; readonly probability: number }
  /** Moves the sample along each of the axes by a whole number from -padding to padding; what comes in is zero. */
  | { readonly kind: "crop"; readonly axes: readonly number[]; readonly padding: number }
  /** Adds normal noise to each value; integers are rounded and kept within their dtype. */
  | { readonly kind: "noise"; readonly std: number };

/** The changes of a column, in order. */
export interface ColumnAugmentation {
  readonly column: string;
  readonly changes: readonly Augmentation[];
}

/** How a lane changes the rows of a training shard before it computes. */
export interface ProgramAugmentation {
  /** By these a step and a position in its batch are an epoch and a position in it. */
  readonly stepsPerEpoch: number;
  readonly batchSize: number;
  readonly columns: readonly ColumnAugmentation[];
}

/** Why a sample of this dtype and shape cannot be changed so; undefined if it can. */
export function augmentationProblem(
  change: Augmentation,
  { dtype, shape }: { readonly dtype: string; readonly shape: readonly number[] },
): string | undefined {
  const noAxis = (axis: number): string | undefined =>
    Number.isInteger(axis) && axis >= 0 && axis < shape.length
      ? undefined
      : `there is no axis ${axis} in a sample of shape [${shape.join(", ")}]`;
  switch (change.kind) {
    case "flip":
      return noAxis(change.axis);
    case "crop": {
      const short = change.axes.find((axis) => (shape[axis] ?? 0) <= change.padding);
      return (
        change.axes.map(noAxis).find((problem) => problem !== undefined) ??
        (short === undefined
          ? undefined
          : `axis ${short} has ${shape[short]} values, which are not more than the padding of ${change.padding}`)
      );
    }
    case "noise":
      return ["float32", "float64", "int8", "uint8", "int16", "uint16", "int32"].includes(dtype)
        ? undefined
        : `noise is not for ${dtype}`;
  }
}
