import type { Op } from "./op.ts";
import type { Dim, DType } from "./shape.ts";

export type AttributeValue = number | string | boolean | DType | readonly Dim[] | readonly number[] | readonly string[];

/** Attribute values by ONNX name; structural constants (axes, target shapes) are attributes, never tensors. */
export type Attributes = Readonly<Record<string, AttributeValue | undefined>>;

/** One application of an operator. Values are numbered in the order they come into being. */
export interface Node {
  readonly op: Op;
  readonly inputs: readonly (number | null)[];
  readonly outputs: readonly number[];
  readonly attributes: Attributes;
  /** Where it was made, for messages: "fc1" in "model.fc1". Empty outside modules. */
  readonly scope: string;
}
