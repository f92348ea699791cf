import { readFileSync } from "node:fs";
import { isFloat, type Op, operators, type TensorType } from "@tutti/core/graph";
import { cases } from "./cases/index.ts";

/** docs/operators.md: what the operator table holds and what its gradients are checked against. */
export function operatorsPage(): string {
  const rows = [...operators].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, op]) => row(key, op));
  const columns = ["Operator", "ai.onnx from", "Gradient", "Checked against"];
  return [
    "# Operators",
    "",
    "Written from the operator table and its tests by `npx vitest run --project unit operators-page -u`; a test fails when",
    "it is out of date. A graph holds no other operators; names, attributes and meaning are ONNX's.",
    "",
    "Checked against:",
    "",
    "- *exact*: small whole numbers, each stepped by one; the float32 gradient is the difference, to the last bit",
    "- *float64*: central differences of the engine's own float64 kernel, relative 1e-7",
    "- *formula*: central differences of the operator's formula in float64, where the engine has no such kernel, relative 1e-5;",
    "  the forward result too",
    "- *PyTorch*: results recorded from PyTorch 1.13: whole layers, and what it does at kinks, ties, zeros and infinities",
    "",
    line(columns),
    line(columns.map(() => "---")),
    ...rows,
    "",
    "## Not in the table",
    "",
    ...absent.map(([names, why]) => `- ${names}: ${why}`),
    "",
  ].join("\n");
}

const absent: readonly (readonly [string, string])[] = [
  [
    "NonZero, Unique, Compress, NonMaxSuppression",
    "the size of the result depends on the values, and sizes are fixed before a run starts",
  ],
  ["If, Loop, Scan and other operators with subgraphs", "a worker refuses graphs that contain graphs"],
  ["Constant, ConstantOfShape, Range", "are values once sizes are known: a constant, or one expanded"],
  [
    "Dropout, Bernoulli, RandomNormal and other random operators",
    "random numbers come from the run's seed, as inputs of the graph",
  ],
  ["BatchNormalization in training mode", "written from reductions, since the engine's overwrites its inputs"],
];

function line(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

function row(key: string, op: Op): string {
  const name = op.domain === "" ? op.type : `${op.domain}.${op.type}`;
  const since =
    op.domain !== ""
      ? "–"
      : op.since === undefined
        ? "≤ 18"
        : `${op.since}${op.lower === undefined ? "" : ` (written with older ones${op.isComposed === true ? "" : " before"})`}`;
  return line([name, since, differentiable(op), oracles(key)]);
}

function differentiable(op: Op): string {
  if (typeof op.gradient !== "string") return "yes";
  if (op.gradient === "none") return "no: forward only; a recurrent layer is trained unrolled";
  const result = resultOfFloats(op);
  if (result === undefined) return "none to pass on: takes whole numbers or booleans";
  return isFloat(result.dtype) ? "zero: piecewise constant" : `zero: the result is ${result.dtype}`;
}

/** What the operator makes of float operands, if it takes any. */
function resultOfFloats(op: Op): TensorType | undefined {
  const operands = Array.from({ length: op.arity[0] }, (): TensorType => ({ dtype: "float32", shape: [2, 2] }));
  try {
    return op.infer(operands, { axis: 0, depth: 2, dtype: "float32" }, op.type)[0];
  } catch {
    return undefined;
  }
}

function oracles(key: string): string {
  const list = cases[key];
  const found = new Set<string>();
  if (typeof list === "object") {
    for (const { oracle } of list)
      found.add(oracle === "linear" ? "exact" : typeof oracle === "function" ? "formula" : "float64");
  }
  if (list === "no gradient") found.add("formula (forward)");
  if (recorded.has(key)) found.add("PyTorch");
  return found.size === 0 ? "–" : [...found].sort().join(", ");
}

/** Operators that PyTorch's recorded results are about. */
const recorded: ReadonlySet<string> = new Set(
  ["./ties.json", "./layers.json"].flatMap((file) => {
    const list: readonly { readonly op: string }[] = JSON.parse(readFileSync(new URL(file, import.meta.url), "utf8"));
    return list.map(({ op }) => op);
  }),
);
