import { TuttiError } from "@tutti/core/errors";
import { type OnnxModel, type OnnxValueInfo, readOnnx } from "@tutti/core/graph";
import { byteSize, count, table } from "../format.ts";

interface ValueFacts {
  readonly name: string;
  readonly dtype: string;
  /** A name is a free dimension, null an unknown one; null for an unknown rank. */
  readonly shape: readonly (number | string | null)[] | null;
}

export interface ModelFacts {
  readonly type: "inspect";
  readonly kind: "model";
  readonly path: string;
  readonly bytes: number;
  readonly name: string;
  readonly producer: string;
  readonly irVersion: number;
  /** Version by domain. */
  readonly opsets: Readonly<Record<string, number>>;
  readonly inputs: readonly ValueFacts[];
  readonly outputs: readonly ValueFacts[];
  /** Stored tensors: float32 of at least one axis are weights, the rest constants. */
  readonly initializers: readonly ValueFacts[];
  /** Uses by operator. */
  readonly operators: Readonly<Record<string, number>>;
}

/** Throws GRAPH_INVALID naming the file. */
export function modelFacts(path: string, bytes: Uint8Array): ModelFacts {
  const model = decoded(path, bytes);
  const operators: Record<string, number> = {};
  for (const { domain, type } of model.nodes) {
    const name = domain === "" ? type : `${domain}.${type}`;
    operators[name] = (operators[name] ?? 0) + 1;
  }
  const stored = new Set(model.initializers.map(({ name }) => name));
  return {
    type: "inspect",
    kind: "model",
    path,
    bytes: bytes.byteLength,
    name: model.name,
    producer: model.producer,
    irVersion: model.irVersion,
    opsets: Object.fromEntries(
      [...model.opsets].map(([domain, version]) => [domain === "" ? "ai.onnx" : domain, version]),
    ),
    inputs: model.inputs.filter(({ name }) => !stored.has(name)).map(valueFacts),
    outputs: model.outputs.map(valueFacts),
    initializers: model.initializers.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
    operators,
  };
}

function decoded(path: string, bytes: Uint8Array): OnnxModel {
  try {
    return readOnnx(bytes);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TuttiError("GRAPH_INVALID", `${path}: neither a checkpoint nor an ONNX model: ${reason}`, {}, { cause });
  }
}

function valueFacts({ name, dtype, shape }: OnnxValueInfo): ValueFacts {
  return { name, dtype, shape };
}

export function modelLines(facts: ModelFacts): readonly string[] {
  const { path, bytes, producer, opsets, inputs, outputs, initializers, operators } = facts;
  const weights = initializers.filter(({ dtype, shape }) => dtype === "float32" && shape?.length !== 0);
  const total = weights.reduce(
    (sum, { shape }) => sum + (shape ?? []).reduce<number>((product, dim) => product * Number(dim), 1),
    0,
  );
  const row = (kind: string, { name, dtype, shape }: ValueFacts): readonly string[] => [
    kind,
    name,
    `${dtype}${shape === null ? "[?]" : `[${shape.map((dim) => dim ?? "?").join(",")}]`}`,
  ];
  return [
    ...table([
      ["model", `${path} (${byteSize(bytes)})`],
      ["producer", producer],
      [
        "opset",
        Object.entries(opsets)
          .map(([domain, version]) => `${domain} ${version}`)
          .join(", "),
      ],
      [
        "operators",
        Object.entries(operators)
          .map(([name, uses]) => (uses === 1 ? name : `${name} ×${uses}`))
          .join(", "),
      ],
      ["weights", count(total)],
    ]),
    "",
    ...table([
      ...inputs.map((value) => row("input", value)),
      ...outputs.map((value) => row("output", value)),
      ...initializers.map((value) => row(weights.includes(value) ? "weight" : "constant", value)),
    ]),
  ];
}
