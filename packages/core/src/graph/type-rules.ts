import { TuttiError } from "../errors/index.ts";
import type { Attributes } from "./node.ts";
import type { Op } from "./op.ts";
import { broadcastShapes, type DType, isBatch, type Shape, shapeToString, type TensorType } from "./shape.ts";

/** dtypes the engine computes with; the narrower ones are for storage and are cast first. */
export const arithmetic: readonly DType[] = ["float32", "float64", "int32", "int64"];
export const floats: readonly DType[] = ["float32", "float64"];
export const indexTypes: readonly DType[] = ["int32", "int64"];

type Types = readonly (TensorType | null)[];

/** The type of a required input. */
export function inputType(inputs: Types, index: number, at: string): TensorType {
  const type = inputs[index];
  if (type === null || type === undefined) throw new TuttiError("INTERNAL", `${at}: input ${index} is missing`);
  return type;
}

/** Throws SHAPE_MISMATCH unless `dtype` is one of `allowed`. */
export function expectDType(dtype: DType, allowed: readonly DType[], at: string, what = "input"): void {
  if (allowed.includes(dtype)) return;
  throw new TuttiError(
    "SHAPE_MISMATCH",
    `${at}: ${what} is ${dtype}, expected ${allowed.join(" or ")}; add .cast("${allowed[0]}")`,
    { dtype, allowed },
  );
}

/** The dtype shared by all present inputs. Throws SHAPE_MISMATCH when they differ. */
export function sharedDType(inputs: Types, at: string): DType {
  const present = inputs.filter((type) => type !== null);
  const dtype = inputType(present, 0, at).dtype;
  const other = present.find((type) => type.dtype !== dtype);
  if (other !== undefined) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${at}: dtypes differ: ${present.map((type) => `${type.dtype}${shapeToString(type.shape)}`).join(" and ")}; cast one, e.g. .cast("float32")`,
      { dtypes: present.map((type) => type.dtype) },
    );
  }
  return dtype;
}

/** The rule of a broadcasting operator: operands of one dtype out of `allowed`; the result has it too, or `result`. */
export function broadcasting(allowed: readonly DType[], result?: DType): Op["infer"] {
  return (inputs, _attributes, at) => {
    const dtype = sharedDType(inputs, at);
    expectDType(dtype, allowed, at, "operand");
    const shapes = inputs.flatMap((type) => (type === null ? [] : [type.shape]));
    return [{ dtype: result ?? dtype, shape: broadcastShapes(shapes, at) }];
  };
}

/** The rule of a unary elementwise operator. */
export function sameAsInput(allowed: readonly DType[]): Op["infer"] {
  return (inputs, _attributes, at) => {
    const type = inputType(inputs, 0, at);
    expectDType(type.dtype, allowed, at);
    return [type];
  };
}

/** Throws MIXES_SAMPLES when `axis` is the batch axis. `does` completes "sum at model.x: …". */
export function refuseBatchAxis(shape: Shape, axis: number, at: string, does: string, remedy: string): void {
  if (!isBatch(shape[axis])) return;
  throw new TuttiError(
    "MIXES_SAMPLES",
    `${at}: ${does} axis ${axis} of ${shapeToString(shape)}, which counts samples, and samples must not affect each other; ${remedy}`,
    { shapes: [shapeToString(shape)], axis },
  );
}

/** An integer attribute. Throws SHAPE_MISMATCH when it is absent without a default, or is none. */
export function integerAttribute(attributes: Attributes, name: string, at: string, fallback?: number): number {
  const value = attributes[name] ?? fallback;
  if (typeof value !== "number" || !Number.isInteger(value)) {
    throw new TuttiError("SHAPE_MISMATCH", `${at}: ${name} is ${String(value)}, expected an integer`);
  }
  return value;
}

/** A number attribute, or its default. */
export function numberAttribute(attributes: Attributes, name: string, fallback: number): number {
  const value = attributes[name] ?? fallback;
  if (typeof value !== "number")
    throw new TuttiError("INTERNAL", `attribute ${name} is ${String(value)}, expected a number`);
  return value;
}

/** A list of integers, or undefined when absent. Throws SHAPE_MISMATCH when it holds anything else. */
export function integersAttribute(attributes: Attributes, name: string, at: string): readonly number[] | undefined {
  const value = attributes[name];
  if (value === undefined) return undefined;
  const list = typeof value === "object" ? value : [value];
  return list.map((item) => {
    if (typeof item !== "number" || !Number.isInteger(item)) {
      throw new TuttiError("SHAPE_MISMATCH", `${at}: ${name} is [${list.join(",")}], expected integers`);
    }
    return item;
  });
}

/** Throws SHAPE_MISMATCH unless the attribute is absent or one of the words. */
export function oneOf(value: Attributes[string], allowed: readonly string[], name: string, at: string): void {
  if (value === undefined || allowed.some((word) => word === value)) return;
  throw new TuttiError("SHAPE_MISMATCH", `${at}: ${name} is ${String(value)}, expected ${allowed.join(" or ")}`);
}
