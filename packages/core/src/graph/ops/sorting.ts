import { TuttiError } from "../../errors/index.ts";
import type { Op } from "../op.ts";
import { normalizeAxis, shapeToString } from "../shape.ts";
import {
  arithmetic,
  expectDType,
  inputType,
  integerAttribute,
  integersAttribute,
  refuseBatchAxis,
} from "../type-rules.ts";
import { zeroLike } from "./elementwise-rules.ts";
import { scatterElements } from "./scatter.ts";

// The k largest (or smallest) along an axis, and where they were: dx = zeros, with dy where they were
export const topK: Op = {
  type: "TopK",
  label: "topK",
  domain: "",
  arity: [1, 1],
  attributes: { axis: "int", largest: "int", sorted: "int", k: "intsInput" },
  infer(inputs, attributes, at) {
    const { dtype, shape } = inputType(inputs, 0, at);
    expectDType(dtype, arithmetic, at);
    const axis = normalizeAxis(integerAttribute(attributes, "axis", at, -1), shape.length, at);
    refuseBatchAxis(shape, axis, at, "ranks", "rank along another axis");
    const k = integersAttribute(attributes, "k", at) ?? [];
    if (k.length !== 1 || k[0]! < 0 || k[0]! > Number(shape[axis])) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: k is [${k.join(",")}], expected one number in 0…${Number(shape[axis])}, the size of axis ${axis} of ${shapeToString(shape)}`,
      );
    }
    const result = shape.map((dim, i) => (i === axis ? k[0]! : dim));
    return [
      { dtype, shape: result },
      { dtype: "int64", shape: result },
    ];
  },
  gradient({ inputs, outputs, attributes, dy }) {
    const axis = integerAttribute(attributes, "axis", "gradient", -1);
    const zeros = zeroLike(dy[0]!).expand(inputs[0]!.shape);
    return [dy[0]!.graph.apply(scatterElements, [zeros, outputs[1]!, dy[0]!], { axis, reduction: "add" })[0]!];
  },
};
