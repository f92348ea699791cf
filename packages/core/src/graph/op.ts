import type { Attributes } from "./node.ts";
import type { TensorType } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/**
 * How an attribute of ours is written in ONNX: as an attribute of that kind, or ("…Input") as a constant input, in the
 * order of the table. An absent attribute is left out, an absent input in between left empty.
 * - "dtype": the name of one, written as ONNX's number.
 * - "intsInput", "intInput": int64, of rank 1 and 0. "floatInput": of rank 0, in the first input's dtype. "floatsInput": float32.
 * - "dimsInput": the shape of the first output, of which the attribute may leave sizes to be found (-1); may hold k·N.
 * - "zeroOneInput": a dtype, written as the values [0, 1] of it.
 */
export type AttributeKind =
  | "int"
  | "float"
  | "ints"
  | "floats"
  | "string"
  | "strings"
  | "dtype"
  | "intsInput"
  | "intInput"
  | "dimsInput"
  | "floatInput"
  | "floatsInput"
  | "zeroOneInput";

/** What a gradient rule sees. All shapes are numbers here: autodiff runs once N is known. */
export interface GradientContext {
  readonly inputs: readonly (Tensor | null)[];
  readonly outputs: readonly Tensor[];
  readonly attributes: Attributes;
  /** Gradient of the loss by each output; null where it does not depend on it. */
  readonly dy: readonly (Tensor | null)[];
  /** Which inputs need a gradient; others may be answered with null, to save work. */
  readonly needs: readonly boolean[];
}

/**
 * One operator: ONNX name and semantics, shape rule and vector-Jacobian rule side by side.
 *
 * `infer` gives the types of all outputs, or throws SHAPE_MISMATCH/MIXES_SAMPLES with `at` as its prefix. It must work
 * with k·N axes as well as with numbers, and refuse to combine entries along the batch axis.
 *
 * `gradient` returns d loss/d input for each input. "zero": not differentiable, but passing no gradient is right
 * (comparisons, integer results). "none": no rule; an error when the operator lies between a parameter and the loss.
 */
export interface Op {
  readonly type: string;
  /** What messages call it: the method of Tensor. By default the type. */
  readonly label?: string;
  /** The first version of ai.onnx that has it, where that is above 18. */
  readonly since?: number;
  /** The same by operators of ai.onnx 18, for files of a version that lacks it (or of all, if `isComposed`); only with `since`. */
  lower?(inputs: readonly (Tensor | null)[], attributes: Attributes): readonly Tensor[];
  /** Whether it is written by `lower` in every version. */
  readonly isComposed?: boolean;
  /** How many of the outputs are written even if nothing uses them; all of them by default. */
  readonly requiredOutputs?: number;
  /** "" is ai.onnx; "com.microsoft" for the runtime's own, ".nchwc" those for images in blocks of channels. */
  readonly domain: "" | "com.microsoft" | "com.microsoft.nchwc";
  /** Number of tensor inputs (not counting "…Input" attributes): [least, most]. */
  readonly arity: readonly [number, number];
  readonly attributes: Readonly<Record<string, AttributeKind>>;
  infer(inputs: readonly (TensorType | null)[], attributes: Attributes, at: string): readonly TensorType[];
  readonly gradient: ((context: GradientContext) => readonly (Tensor | null)[]) | "zero" | "none";
}
