import { createHash } from "node:crypto";
import { flatLayout, type ShardProgram } from "@tutti/core/step";
import { type ModelNode, onnxBytes, type TensorInfo } from "./onnx-bytes.ts";

/**
 * Classifier with ReLU layers of the given sizes, forward and backward written out by hand from the chain rule. Sums:
 * the gradients of Σ cross-entropy. Scalars: [Σ loss, N]. Evaluation collects the logits instead.
 */
export function mlpProgram(
  sizes: readonly number[],
  samples: number,
  mode: "train" | "evaluate" = "train",
): ShardProgram {
  const layers = sizes.length - 1;
  const classes = sizes[layers] ?? 0;
  const layout = flatLayout(
    Array.from({ length: layers }, (_, layer) => [
      { name: `fc${layer}.weight`, shape: [sizes[layer + 1] ?? 0, sizes[layer] ?? 0] },
      { name: `fc${layer}.bias`, shape: [sizes[layer + 1] ?? 0] },
    ]).flat(),
  );
  const columns: TensorInfo[] = [
    { name: "image", dtype: "uint8", shape: [samples, sizes[0] ?? 0] },
    { name: "label", dtype: "int64", shape: [samples] },
  ];
  const nodes: ModelNode[] = [
    node("Cast", ["image"], "pixels", { to: 1 }),
    node("Div", ["pixels", "c255"], "a0"),
    ...Array.from({ length: layers }, (_, i) => [
      node("Gemm", [`a${i}`, `fc${i}.weight`, `fc${i}.bias`], i + 1 < layers ? `h${i + 1}` : "logits", { transB: 1 }),
      ...(i + 1 < layers ? [node("Relu", [`h${i + 1}`], `a${i + 1}`)] : []),
    ]).flat(),
    node("OneHot", ["label", "depth", "offOn"], "target", { axis: 1 }),
    node("LogSoftmax", ["logits"], "logProbabilities", { axis: 1 }),
    node("Mul", ["target", "logProbabilities"], "picked"),
    node("ReduceSum", ["picked", "both"], "negativeLoss", { keepdims: 0 }),
    node("Neg", ["negativeLoss"], "loss"),
    node("Reshape", ["loss", "one"], "lossVector"),
    node("Concat", ["lossVector", "samples"], "scalars", { axis: 0 }),
  ];
  if (mode === "train") {
    nodes.push(
      node("Softmax", ["logits"], "probabilities", { axis: 1 }),
      node("Sub", ["probabilities", "target"], `d${layers}`),
    );
    for (let i = layers - 1; i >= 0; i--) {
      nodes.push(node("Gemm", [`d${i + 1}`, `a${i}`], `d:fc${i}.weight`, { transA: 1 }));
      nodes.push(node("ReduceSum", [`d${i + 1}`, "rows"], `d:fc${i}.bias`, { keepdims: 0 }));
      if (i === 0) continue;
      nodes.push(node("MatMul", [`d${i + 1}`, `fc${i}.weight`], `da${i}`));
      nodes.push(node("Greater", [`h${i}`, "zero"], `on${i}`), node("Where", [`on${i}`, `da${i}`, "zero"], `d${i}`));
    }
  }
  const sums = mode === "train" ? layout.entries.map((entry) => ({ ...entry, name: `d:${entry.name}` })) : [];
  const collects: TensorInfo[] =
    mode === "train" ? [] : [{ name: "logits", dtype: "float32", shape: [samples, classes] }];
  const onnx = onnxBytes({
    nodes,
    inputs: [...columns, ...layout.entries.map(({ name, shape }) => ({ name, shape, dtype: "float32" as const }))],
    outputs: [
      ...sums.map(({ name, shape }) => ({ name, shape, dtype: "float32" as const })),
      { name: "scalars", dtype: "float32", shape: [2] },
      ...collects,
    ],
    constants: {
      c255: { shape: [], values: new Float32Array([255]) },
      zero: { shape: [], values: new Float32Array([0]) },
      samples: { shape: [1], values: new Float32Array([samples]) },
      offOn: { shape: [2], values: new Float32Array([0, 1]) },
      depth: { shape: [], values: new BigInt64Array([BigInt(classes)]) },
      both: { shape: [2], values: new BigInt64Array([0n, 1n]) },
      rows: { shape: [1], values: new BigInt64Array([0n]) },
      one: { shape: [1], values: new BigInt64Array([1n]) },
    },
  });
  const manifest = {
    mode,
    samples,
    columns,
    parameters: layout.entries,
    sums,
    randoms: [],
    sumsFloats: mode === "train" ? layout.totalFloats : 0,
    scalars: { name: "scalars", length: 2 },
    collects,
  };
  return { ...manifest, onnx, id: createHash("sha256").update(onnx).update(JSON.stringify(manifest)).digest("hex") };
}

function node(
  type: string,
  inputs: readonly string[],
  output: string,
  ints: Readonly<Record<string, number>> = {},
): ModelNode {
  return { type, inputs, outputs: [output], ints };
}
