import { TuttiError } from "../../errors/index.ts";
import type { Op } from "../op.ts";
import { type Dim, isBatch, type Shape, sameDim, shapeToString, staticShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { arithmetic, expectDType, inputType, sharedDType } from "../type-rules.ts";
import { zeroLike } from "./elementwise-rules.ts";

/** An equation in full: one letter for each axis of each operand and of the result. */
interface Terms {
  readonly operands: readonly (readonly string[])[];
  readonly result: readonly string[];
}

const alphabet = [..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"];

/** Reads an equation (ONNX Einsum), giving the axes of an ellipsis letters that it does not use. Throws SHAPE_MISMATCH. */
function parseEquation(equation: unknown, shapes: readonly Shape[], at: string): Terms {
  const fail = (why: string): TuttiError =>
    new TuttiError(
      "SHAPE_MISMATCH",
      `${at}: "${String(equation)}" for ${shapes.map(shapeToString).join(", ")}: ${why}`,
    );
  if (typeof equation !== "string") throw fail("expected a text such as ij,jk->ik");
  const [left, right, ...more] = equation.replaceAll(" ", "").split("->");
  const terms = (left ?? "").split(",");
  if (more.length > 0) throw fail("more than one ->");
  if (terms.length !== shapes.length) throw fail(`${terms.length} terms for ${shapes.length} operands`);
  for (const term of [...terms, right ?? ""])
    if (!/^[a-zA-Z]*(\.\.\.)?[a-zA-Z]*$/.test(term)) throw fail(`cannot read "${term}"`);

  const extra = terms.map((term, i) => {
    const letters = term.replace("...", "").length;
    const rest = shapes[i]!.length - letters;
    if (rest < 0 || (rest > 0 && !term.includes("..."))) throw fail(`"${term}" for rank ${shapes[i]!.length}`);
    return rest;
  });
  const ranks = extra.filter((_, i) => terms[i]!.includes("..."));
  if (ranks.some((rank) => rank !== ranks[0])) throw fail("... stands for different numbers of axes; write letters");
  const spare = alphabet.filter((letter) => !equation.includes(letter)).slice(0, Math.max(...extra));
  if (spare.length < Math.max(...extra)) throw fail("more axes than letters");
  const lettersOf = (term: string, count: number): string[] => {
    const [before = "", after] = term.split("...");
    return after === undefined ? [...before] : [...before, ...spare.slice(spare.length - count), ...after];
  };
  const operands = terms.map((term, i) => lettersOf(term, extra[i]!));
  const all = operands.flat();
  const once = [...new Set(all)].filter(
    (letter) => !spare.includes(letter) && all.indexOf(letter) === all.lastIndexOf(letter),
  );
  const result = right === undefined ? [...spare, ...once.sort()] : lettersOf(right, spare.length);
  if (new Set(result).size !== result.length) throw fail("the result names an axis twice");
  const unknown = result.find((letter) => !all.includes(letter));
  if (unknown !== undefined) throw fail(`no operand has the axis ${unknown}`);
  return { operands, result };
}

/** The size of each letter; 1 broadcasts. */
function sizesOf(
  { operands }: Terms,
  shapes: readonly Shape[],
  equation: string,
  at: string,
): ReadonlyMap<string, Dim> {
  const sizes = new Map<string, Dim>();
  for (const [i, letters] of operands.entries()) {
    for (const [axis, letter] of letters.entries()) {
      const dim = shapes[i]![axis]!;
      const known = sizes.get(letter) ?? 1;
      const twice = letters.indexOf(letter) !== axis && !sameDim(dim, shapes[i]![letters.indexOf(letter)]!);
      if (twice || (known !== 1 && dim !== 1 && !sameDim(known, dim))) {
        throw new TuttiError(
          "SHAPE_MISMATCH",
          `${at}: "${equation}": sizes of ${letter} differ: ${shapes.map(shapeToString).join(", ")}`,
          { shapes: shapes.map(shapeToString) },
        );
      }
      if (known === 1) sizes.set(letter, dim);
    }
  }
  return sizes;
}

function expectSamplesApart(sizes: ReadonlyMap<string, Dim>, { result }: Terms, equation: string, at: string): void {
  const counting = [...sizes].filter(([, dim]) => isBatch(dim)).map(([letter]) => letter);
  const summed = counting.find((letter) => !result.includes(letter));
  if (summed !== undefined || counting.length > 1) {
    const why =
      summed === undefined ? "pairs every sample with every sample" : `sums over ${summed}, which counts samples`;
    throw new TuttiError(
      "MIXES_SAMPLES",
      `${at}: "${equation}" ${why} (N); samples must not affect each other, keep one letter for them in the result`,
    );
  }
}

// y = Σ Π x_i over the letters that the result lacks. The gradient by x_i is the sum of the same products with dy in
// place of x_i, its letters as the result: repeated along letters that nothing else has, on the diagonal of letters
// that x_i has twice.
export const einsum: Op = {
  type: "Einsum",
  label: "einsum",
  domain: "",
  arity: [1, Number.MAX_SAFE_INTEGER],
  attributes: { equation: "string" },
  infer(inputs, attributes, at) {
    const dtype = sharedDType(inputs, at);
    expectDType(dtype, arithmetic, at, "operand");
    const shapes = inputs.map((_, i) => inputType(inputs, i, at).shape);
    const terms = parseEquation(attributes.equation, shapes, at);
    const sizes = sizesOf(terms, shapes, String(attributes.equation), at);
    expectSamplesApart(sizes, terms, String(attributes.equation), at);
    return [{ dtype, shape: terms.result.map((letter) => sizes.get(letter)!) }];
  },
  gradient({ inputs, attributes, dy, needs }) {
    const shapes = inputs.map((input) => input!.shape);
    const terms = parseEquation(attributes.equation, shapes, "gradient");
    const factors = inputs.map((input, i) => withoutOnes(input!, terms.operands[i]!));
    const result = withoutOnes(dy[0]!, terms.result);
    return inputs.map((input, i) => {
      if (needs[i] !== true) return null;
      const own = factors[i]!;
      const others = factors.filter((_, k) => k !== i);
      return operandGradient(own, [result, ...others]).reshape(input!.shape);
    });
  },
};

interface Factor {
  readonly tensor: Tensor;
  readonly letters: readonly string[];
}

/** Axes of size 1 count for nothing in a sum of products, and may stand for a larger size. */
function withoutOnes(tensor: Tensor, letters: readonly string[]): Factor {
  const axes = letters.map((_, axis) => axis).filter((axis) => tensor.shape[axis] !== 1);
  return {
    tensor: tensor.reshape(axes.map((axis) => tensor.shape[axis]!)),
    letters: axes.map((axis) => letters[axis]!),
  };
}

function operandGradient(own: Factor, factors: readonly Factor[]): Tensor {
  const { graph } = own.tensor;
  const unique = [...new Set(own.letters)];
  const found = unique.filter((letter) => factors.some(({ letters }) => letters.includes(letter)));
  const equation = `${factors.map(({ letters }) => letters.join("")).join(",")}->${found.join("")}`;
  const [first] = factors;
  const product =
    factors.length === 1 && first!.letters.join() === found.join()
      ? first!.tensor
      : graph.apply(
          einsum,
          factors.map(({ tensor }) => tensor),
          { equation },
        )[0]!;
  const sizes = staticShape(own.tensor.shape);
  const sizeOf = (letter: string): number => sizes[own.letters.indexOf(letter)]!;
  const spread = product
    .reshape(unique.map((letter) => (found.includes(letter) ? sizeOf(letter) : 1)))
    .expand(unique.map(sizeOf));
  if (unique.length === own.letters.length) return spread;
  const isFirst = own.letters.map((letter, axis) => own.letters.indexOf(letter) === axis);
  const aligned = spread.reshape(sizes.map((size, axis) => (isFirst[axis] ? size : 1)));
  return diagonal(own).where(aligned, zeroLike(aligned));
}

/** Whether all axes of a letter stand at the same place; of size 1 along letters that occur once. */
function diagonal({ tensor, letters }: Factor): Tensor {
  const repeated = letters.map((letter) => letters.indexOf(letter) !== letters.lastIndexOf(letter));
  const shape = staticShape(tensor.shape).map((size, axis) => (repeated[axis] ? size : 1));
  const count = shape.reduce((product, size) => product * size, 1);
  const values = new Uint8Array(count);
  for (let entry = 0; entry < count; entry++) {
    const place: number[] = [];
    let rest = entry;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place[axis] = rest % shape[axis]!;
      rest = Math.floor(rest / shape[axis]!);
    }
    const apart = place.some((own, axis) => own !== place[letters.indexOf(letters[axis]!)]);
    values[entry] = apart ? 0 : 1;
  }
  return tensor.graph.constant(values, shape, "bool");
}
