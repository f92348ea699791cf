import { moduleTree } from "@tutti/core/nn";
import { onnx } from "@tutti/core/onnx";
import { expect, test } from "vitest";
import { allcloseError, ParitySection } from "../parity-section.ts";
import { type Batch, fileBytes, fileUrl, runFile, runModule } from "./run-model.ts";

const section = new ParitySection("Models in the manner of tf2onnx and skl2onnx");

// The files are made by test/parity/onnx-models.py in the manner of tf2onnx and skl2onnx; the oracle is ONNX Runtime on the file.

function values(count: number, shift = 0): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => 4 * (((i + 1 + shift) * 0.618_033_988_749_894_9) % 1) - 2);
}

const rows: Batch = { dtype: "float32", shape: [5, 4], values: values(20) };

test("a Keras model as tf2onnx writes it gives what ONNX Runtime gives, with names one recognises", async () => {
  const images: Batch = { dtype: "float32", shape: [3, 8, 7, 1], values: values(3 * 56) };
  const model = onnx.load(fileUrl("tf-style"));
  const { values: found, gradients } = await runModule(model, images, true);
  const expected = await runFile(fileBytes("tf-style"), images, "input_1", "dense");
  section.compare("Keras CNN", "output", allcloseError(found, expected, { rtol: 1e-5, atol: 1e-6 }), 1e-5);
  const paths = moduleTree(model).parameters.map(({ path }) => path);
  expect(paths).toEqual([
    "StatefulPartitionedCall_sequential_conv2d_Conv2D_ReadVariableOp_0",
    "StatefulPartitionedCall_sequential_conv2d_BiasAdd_ReadVariableOp_0",
    "StatefulPartitionedCall_sequential_dense_MatMul_ReadVariableOp_0",
    "StatefulPartitionedCall_sequential_dense_BiasAdd_ReadVariableOp_0",
  ]);
  expect(Object.keys(gradients)).toEqual(paths);
});

test("a scikit-learn regressor with its scaler becomes standard operators, its coefficients parameters", async () => {
  const model = onnx.load(fileUrl("sklearn-regressor"));
  const { values: found, gradients } = await runModule(model, rows, true);
  const expected = await runFile(fileBytes("sklearn-regressor"), rows, "float_input", "variable");
  section.compare("LinearRegressor", "output", allcloseError(found, expected, { rtol: 1e-6, atol: 1e-6 }), 1e-6);
  expect(Object.keys(gradients)).toEqual(["LinearRegressor.coefficients", "LinearRegressor.intercepts"]);
});

test.each(["softmax", "ovr", "binary", "margin"])(
  "a scikit-learn classifier (%s) gives labels and probabilities, ZipMap dropped",
  async (name) => {
    const model = onnx.load(fileUrl(`sklearn-${name}`));
    expect(model.outputs).toEqual(["label", "output_probability"]);
    const plain = fileBytes(`sklearn-${name}-plain`);
    const labels = await runModule(model.tensor("label"), rows, false);
    const expectedLabels = await runFile(plain, rows, "float_input", "label");
    expect(labels.values).toHaveLength(expectedLabels.length);
    const wrong = expectedLabels.filter((label, i) => label !== labels.values[i]).length;
    section.compare(`LinearClassifier (${name})`, "labels", wrong, 0);
    const probabilities = await runModule(model.tensor("output_probability"), rows, true);
    const expected = await runFile(plain, rows, "float_input", name === "ovr" ? "probabilities" : "raw");
    const error = allcloseError(probabilities.values, expected, { rtol: 1e-5, atol: 1e-6 });
    section.compare(`LinearClassifier (${name})`, "probabilities", error, 1e-5);
    expect(Object.keys(probabilities.gradients)).toEqual([
      "LinearClassifier.coefficients",
      "LinearClassifier.intercepts",
    ]);
  },
);

test.each(["max", "l1", "l2"])(
  "Normalizer (%s) divides each row by its norm, a row of zeros by nothing",
  async (norm) => {
    const input: Batch = { ...rows, values: Float32Array.from([...values(16), 0, 0, 0, 0]) };
    const found = await runModule(onnx.load(fileUrl(`sklearn-normalizer-${norm}`)), input, false);
    const expected = await runFile(fileBytes(`sklearn-normalizer-${norm}`), input, "float_input", "normal");
    const error = allcloseError(found.values, expected, { rtol: 1e-6, atol: 1e-7 });
    section.compare(`Normalizer (${norm})`, "output", error, 1e-6);
  },
);

test("the scores of a classifier are there for a loss on logits", async () => {
  const model = onnx.load(fileUrl("sklearn-softmax")).tensor("LinearClassifier/scores");
  const { values: scores } = await runModule(model, rows, false);
  const probabilities = await runFile(fileBytes("sklearn-softmax-plain"), rows, "float_input", "raw");
  const softmax = Array.from({ length: 5 }, (_, row) => {
    const own = scores.slice(row * 3, row * 3 + 3).map(Math.exp);
    const total = own.reduce((a, b) => a + b);
    return own.map((value) => value / total);
  });
  const error = allcloseError(softmax.flat(), probabilities, { rtol: 1e-5, atol: 1e-6 });
  section.compare("LinearClassifier (softmax)", "scores", error, 1e-5);
});

test("docs/parity.md lists what was compared here", () => section.expectListed());
