import { data, packRows } from "@tutti/core/data";
import { readOnnx } from "@tutti/core/graph";
import { nn } from "@tutti/core/nn";
import { optim } from "@tutti/core/optim";
import { compileRun, defineRun, exportOnnx, parameterViews } from "@tutti/core/run";
import { Tensor as EngineTensor, InferenceSession } from "onnxruntime-node";
import { expect, test } from "vitest";
import { execute, floats } from "./execute.ts";

const rows = 7;
const source = data.arrays({
  image: { dtype: "uint8", shape: [2, 3], values: Array.from({ length: rows * 6 }, (_, i) => (i * 89) % 256) },
  label: Uint8Array.from({ length: rows }, (_, i) => i % 4),
});
const dataset = await source.open({ baseDirectory: "." });
const model = nn.sequential({ fc1: nn.linear(6, 8), act: nn.relu(), fc2: nn.linear(8, 4, { trainable: false }) });
const run = compileRun(
  defineRun({
    data: { train: source, validation: source },
    model,
    step({ image, label }, { training }) {
      const logits = model(image.cast("float32").div(255).flatten(1));
      const perClass = nn.mse(logits, label.cast("int64").oneHot(4)).reshape([-1, 1]);
      // Evaluation shows every logit as a metric, so that its program can be compared with the exported model.
      const seen = { kind: "sums", perSample: logits, length: 4, finish: (total: Float64Array) => total[0]! } as const;
      return { loss: perClass, outputs: { logits, hidden: logits.relu() }, ...(!training && { metrics: { seen } }) };
    },
    optimizer: optim.sgd({ lr: 0.1 }),
    batchSize: "all",
    validation: { shardSize: 1 },
  }),
  { train: dataset, validation: dataset },
);
const parameters = run.initialParameters();
const exported = exportOnnx(run.inferenceGraph!, parameterViews(run.layout, parameters));

test("the exported model holds all parameters, only standard operators, and a free batch dimension", () => {
  const file = readOnnx(exported);
  expect([...file.opsets]).toEqual([["", 18]]);
  expect(file.inputs).toEqual([{ name: "image", dtype: "uint8", shape: ["N", 2, 3] }]);
  expect(file.outputs.map(({ name, shape }) => [name, shape])).toEqual([
    ["logits", ["N", 4]],
    ["hidden", ["N", 4]],
  ]);
  const weight = file.initializers.find(({ name }) => name === "fc2.weight")!;
  const { offset, length } = run.layout.entries.find(({ name }) => name === "fc2.weight")!;
  expect(weight).toMatchObject({ shape: [4, 8], dtype: "float32" });
  expect(weight.values).toEqual(parameters.slice(offset, offset + length));
  expect(readOnnx(run.inferenceGraph!).inputs.map(({ name }) => name)).toContain("fc1.weight");
});

test("the exported model gives what the evaluation program gives, for one sample and for seven", async () => {
  const session = await InferenceSession.create(exported, { intraOpNumThreads: 1 });
  const infer = async (samples: number, first: number) => {
    const { bytes, columns } = await packRows(
      dataset,
      Array.from({ length: samples }, (_, i) => first + i),
    );
    const pixels = bytes.slice(columns[0]!.offset, columns[0]!.offset + samples * 6);
    return floats((await session.run({ image: new EngineTensor("uint8", pixels, [samples, 2, 3]) })).logits!);
  };
  const evaluate = run.evaluation!.programs.get(1)!;
  const [metric] = run.evaluation!.metrics;
  const all = await infer(7, 0);
  expect(all.length).toBe(28);
  for (let row = 0; row < rows; row++) {
    const { scalars } = await execute(evaluate, parameters, await packRows(dataset, [row]));
    const expected = [...scalars.subarray(metric!.offset, metric!.offset + 4)];
    const single = await infer(1, row);
    // Constant weights are packed ahead by the runtime, which rounds in another order: at most a few units of 6e-8.
    for (const [c, value] of expected.entries()) {
      expect(Math.abs(single[c]! - value)).toBeLessThan(3e-7);
      expect(Math.abs(all[row * 4 + c]! - value)).toBeLessThan(3e-7);
    }
  }
});

test("values that do not fit a parameter, and bytes that are no model, are refused", () => {
  const short = new Map([["fc1.weight", new Float32Array(3)]]);
  expect(() => exportOnnx(run.inferenceGraph!, short)).toThrow(
    /parameter fc1\.weight: expected float32 values for float32\[8,6\], found 3/,
  );
  expect(() => exportOnnx(Uint8Array.of(1, 2, 3), short)).toThrow(expect.objectContaining({ code: "GRAPH_INVALID" }));
});

test("a step without outputs has no inference graph", () => {
  const bare = defineRun({
    data: { train: source },
    model,
    step: ({ image }) => ({ loss: model(image.cast("float32").flatten(1)) }),
    optimizer: optim.sgd({ lr: 0.1 }),
    batchSize: 7,
  });
  expect(compileRun(bare, { train: dataset }).inferenceGraph).toBeUndefined();
});
