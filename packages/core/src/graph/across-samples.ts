import { isTuttiError, TuttiError } from "../errors/index.ts";
import type { Attributes, AttributeValue } from "./node.ts";
import type { Op } from "./op.ts";
import { type Dim, isBatch, resolveDim, type Shape, shapeToString, type TensorType } from "./shape.ts";

/** Two values of N, primes, so that a size that is k·N for both is k·N. */
const [few, many] = [1009, 2003] as const;

/**
 * What an operator makes of inputs whose samples it may mix: its rule for known sizes, asked for two values of N, which
 * tells the sizes that are numbers from those that are k·N. Several axes of the result may be k·N (samples against samples).
 * Throws `refusal`, which the rule gave for an unknown N, with a reason when there is no such result for every N.
 */
export function inferAcrossSamples(
  op: Op,
  inputs: readonly (TensorType | null)[],
  attributes: Attributes,
  at: string,
  refusal: TuttiError,
): readonly TensorType[] {
  const ask = (samples: number): readonly TensorType[] => {
    const known = inputs.map((type) => type && { dtype: type.dtype, shape: knownShape(type.shape, samples) });
    try {
      return op.infer(known, resolveAttributes(attributes, samples), at);
    } catch (error) {
      if (!isTuttiError(error)) throw error;
      throw new TuttiError(refusal.code, `${refusal.message}; inside perShard, with N = ${samples}: ${error.message}`);
    }
  };
  const [first, second] = [ask(few), ask(many)];
  return first.map((type, i) => {
    const other = second[i]?.shape ?? [];
    const shape = type.shape.map((dim, axis) => between(Number(dim), Number(other[axis])));
    if (shape.includes(undefined) || other.length !== shape.length) {
      const sizes = `${shapeToString(type.shape)} for N = ${few}, ${shapeToString(other)} for N = ${many}`;
      throw new TuttiError(refusal.code, `${refusal.message}; inside perShard too, since the result is ${sizes}`);
    }
    return { dtype: type.dtype, shape: shape.map((dim) => dim!) };
  });
}

function between(first: number, second: number): Dim | undefined {
  if (first === second) return first;
  const timesN = first / few;
  return Number.isInteger(timesN) && second === timesN * many ? { timesN } : undefined;
}

function knownShape(shape: Shape, samples: number): Shape {
  return shape.map((dim) => resolveDim(dim, samples));
}

/** The attributes with N known. */
export function resolveAttributes(attributes: Attributes, samples: number): Attributes {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [name, resolveAttribute(value, samples)]),
  );
}

function resolveAttribute(attribute: AttributeValue | undefined, samples: number): AttributeValue | undefined {
  if (typeof attribute !== "object") return attribute;
  return attribute.map((item) => (isBatchItem(item) ? resolveDim(item, samples) : item)) as AttributeValue;
}

function isBatchItem(item: Shape[number] | string): item is { readonly timesN: number } {
  return typeof item !== "string" && isBatch(item);
}
