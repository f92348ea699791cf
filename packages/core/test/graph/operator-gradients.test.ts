import {
  type DType,
  elementCount,
  Graph,
  gradients,
  isFloat,
  type Op,
  operators,
  staticShape,
  type Tensor,
} from "@tutti/core/graph";
import { describe, expect, test } from "vitest";
import { cases } from "./cases/index.ts";
import { type GradientCase, type Operand, spread } from "./gradient-case.ts";
import { floatsOf, openGraph } from "./run-graph.ts";
import "./to-be-allclose.ts";

/** Central differences with step h in float64: truncation O(h²), rounding O(1e-16/h). */
const h = 2 ** -17;
const float64Tolerance = { rtol: 1e-7, atol: 1e-8 };

test("every operator of the table has gradient cases, or is said to have a zero gradient or none", () => {
  expect([...operators.keys()].filter((key) => cases[key] === undefined)).toEqual([]);
  expect(Object.keys(cases).filter((key) => !operators.has(key))).toEqual([]);
  for (const [key, op] of operators) {
    const said = typeof cases[key] === "string" ? cases[key] : "rule";
    const found = typeof op.gradient === "string" ? `${op.gradient === "none" ? "no" : op.gradient} gradient` : "rule";
    expect([key, said]).toEqual([key, found]);
  }
});

for (const [key, op] of operators) {
  const list = cases[key];
  if (list === undefined || typeof list === "string") continue;
  describe(`the gradient of ${key}`, () => {
    for (const item of list) {
      const oracle = item.oracle ?? "float64";
      test(`${item.name} (${typeof oracle === "string" ? oracle : "reference"})`, async () => {
        if (oracle === "linear") await expectExactDifferences(op, item);
        else await expectDifferences(op, item, oracle);
      });
    }
  });
}

interface Built {
  readonly graph: Graph;
  readonly loss: Tensor;
  /** The outputs that carry a gradient. */
  readonly outputs: readonly Tensor[];
  readonly inputs: readonly (Tensor | null)[];
  readonly feeds: Record<string, Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array>;
  readonly names: readonly string[];
}

/** Σ w·y over all outputs y, with w of distinct values, so that each entry of each gradient is a sum of its own. */
function build(op: Op, item: GradientCase, dtype: DType, whole: boolean): Built {
  const graph = new Graph();
  const feeds: Built["feeds"] = {};
  const names: string[] = [];
  const attributes = item.attributes ?? {};
  const inputs = item.inputs.map((operand, i) => {
    if (operand === null) return null;
    const type = operand.dtype ?? dtype;
    const values = numbersOf(operand, i, whole);
    const typed = typedAs(type, values);
    if (operand.constant === true) return graph.constant(typed, operand.shape, type);
    const name = `x${i}`;
    feeds[name] = typed;
    if (isFloat(type) && operand.fixed !== true) names.push(name);
    return graph.input("parameter", name, { dtype: type, shape: operand.shape });
  });
  const outputs = graph.apply(op, inputs, attributes).filter((y) => isFloat(y.dtype));
  const weights = weightsOf(outputs, whole);
  let first = 0;
  const terms = outputs.map((y) => {
    const own = weights.slice(first, first + elementCount(y.shape));
    first += own.length;
    return y
      .cast(dtype)
      .mul(graph.constant(floatsOf(dtype, own), staticShape(y.shape), dtype))
      .sum();
  });
  return { graph, loss: terms.reduce((sum, term) => sum.add(term)), outputs, inputs, feeds, names };
}

/** The weights of all outputs, one after the other. */
function weightsOf(outputs: readonly Tensor[], whole: boolean): readonly number[] {
  const count = outputs.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return whole ? Array.from({ length: count }, (_, i) => (i % 7) - 3) : spread(count, 0.37);
}

function numbersOf(operand: Operand, index: number, whole: boolean): readonly number[] {
  const count = operand.shape.reduce((product, dim) => product * dim, 1);
  if (operand.values !== undefined) return operand.values;
  return whole ? Array.from({ length: count }, (_, i) => ((i * 5 + index * 3) % 9) - 4) : spread(count, index * 0.71);
}

function typedAs(dtype: DType, values: readonly number[]): Built["feeds"][string] {
  switch (dtype) {
    case "int64":
      return BigInt64Array.from(values, BigInt);
    case "int32":
      return Int32Array.from(values);
    case "bool":
      return Uint8Array.from(values);
    default:
      return floatsOf(dtype, values);
  }
}

async function differences(
  op: Op,
  item: GradientCase,
  dtype: DType,
  step: number,
): Promise<readonly { name: string; analytic: number[]; numeric: number[] }[]> {
  const { graph, loss, feeds, names } = build(op, item, dtype, step === 1);
  const wrt = names.map((name) => graph.input("parameter", name, graph.value(graph.inputs.get(name)!).type));
  const made = gradients(loss, wrt);
  const outputs: Record<string, Tensor> = { loss };
  for (const [i, name] of names.entries()) {
    expect(made[i], `gradient of ${name}`).not.toBeNull();
    outputs[`d${name}`] = made[i]!;
  }
  const run = await openGraph(graph, outputs);
  const results = await run(feeds);
  const list = [];
  for (const name of names) {
    const numeric: number[] = [];
    const values = feeds[name]!;
    for (const [i, value] of Array.from(values, Number).entries()) {
      const at = async (moved: number): Promise<number> => {
        const changed = floatsOf(dtype, Array.from(values, Number));
        changed[i] = moved;
        return Number((await run({ ...feeds, [name]: changed })).loss!.values[0]);
      };
      numeric.push(((await at(value + step)) - (await at(value - step))) / (2 * step));
    }
    list.push({ name, analytic: Array.from(results[`d${name}`]!.values, Number), numeric });
  }
  return list;
}

/** Whole numbers, step 1: sums of products of small integers are exact in float32, so the difference is the derivative. */
async function expectExactDifferences(op: Op, item: GradientCase): Promise<void> {
  for (const { analytic, numeric } of await differences(op, item, "float32", 1)) {
    expect(analytic).toBeAllclose(numeric, { rtol: 0, atol: 0 });
    expect(numeric.some((value) => value !== 0)).toBe(true);
  }
}

async function expectDifferences(
  op: Op,
  item: GradientCase,
  oracle: "float64" | ((inputs: readonly Float64Array[]) => Float64Array),
): Promise<void> {
  if (oracle === "float64") {
    for (const { analytic, numeric } of await differences(op, item, "float64", h)) {
      expect(analytic).toBeAllclose(numeric, float64Tolerance);
    }
  } else await expectReference(op, item, oracle);
}

/** The float32 gradient against differences of a float64 formula of the operator, which is checked against the kernel too. */
async function expectReference(
  op: Op,
  item: GradientCase,
  reference: (inputs: readonly Float64Array[]) => Float64Array,
): Promise<void> {
  const { graph, loss, outputs: results, feeds, names, inputs } = build(op, item, "float32", false);
  const made = gradients(
    loss,
    names.map((name) => inputs.find((input) => input !== null && graph.inputs.get(name) === input.id)!),
  );
  const outputs: Record<string, Tensor> = Object.fromEntries(results.map((y, i) => [`y${i}`, y]));
  for (const [i, name] of names.entries()) outputs[`d${name}`] = made[i]!;
  const found = await (await openGraph(graph, outputs))(feeds);
  const doubles = Object.values(feeds).map((values) => Float64Array.from(values, Number));
  const expected = reference(doubles);
  const y = results.flatMap((_, i) => Array.from(found[`y${i}`]!.values, Number));
  expect(y).toBeAllclose(expected, { rtol: 2e-6, atol: 1e-6 });
  const weights = Float64Array.from(floatsOf("float32", weightsOf(results, false)));
  for (const name of names) {
    const place = Object.keys(feeds).indexOf(name);
    const numeric = Array.from(doubles[place]!, (value, i) => {
      const total = (moved: number): number => {
        const changed = doubles.map((values, k) => (k === place ? values.with(i, moved) : values));
        return reference(changed).reduce((sum, entry, k) => sum + entry * weights[k]!, 0);
      };
      return (total(value + h) - total(value - h)) / (2 * h);
    });
    expect(found[`d${name}`]!.values as Float32Array).toBeAllclose(numeric, { rtol: 1e-5, atol: 1e-5 });
  }
}
