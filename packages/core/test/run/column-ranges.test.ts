import { data, packRows } from "@tutti/core/data";
import { nn } from "@tutti/core/nn";
import { optim } from "@tutti/core/optim";
import { checkColumns, compileRun, defineRun } from "@tutti/core/run";
import { expect, test } from "vitest";

const labels = { uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, int8: Int8Array, int32: Int32Array };
const x = { dtype: "float32", shape: [2], values: new Float32Array(10) } as const;

async function program(label: Parameters<typeof data.arrays>[0][string]) {
  const source = data.arrays({ x, label });
  const model = nn.linear(2, 3);
  const dataset = await source.open({ baseDirectory: "." });
  const run = compileRun(
    defineRun({
      data: { train: source },
      model,
      step: (columns) => ({ loss: nn.crossEntropy(model(columns.x!), columns.label!) }),
      optimizer: optim.sgd({ lr: 1 }),
      batchSize: 5,
    }),
    { train: dataset },
  );
  const rows = await packRows(dataset, [4, 3, 2, 1, 0]);
  return { program: run.training.programs.get(5)!, rows };
}

for (const [dtype, Labels] of Object.entries(labels)) {
  test(`a ${dtype} label without a class is refused with column, row, value and range`, async () => {
    const good = await program(Labels.of(0, 1, 2, 1, 0));
    expect(good.program.columns.find(({ name }) => name === "label")!.range).toEqual([0, 2]);
    checkColumns(good.program, good.rows, (index) => index);
    const bad = await program(Labels.of(0, 1, 3, 1, 0));
    expect(() => checkColumns(bad.program, bad.rows, (index) => 4 - index)).toThrow(
      expect.objectContaining({
        code: "DATA_INVALID",
        message: 'column "label", row 3: found 3, the step function uses it as an index from 0 to 2',
        details: { column: "label", row: 2, value: 3 },
      }),
    );
  });
}

test("a negative int64 label is refused: it does not count from the end", async () => {
  const bad = await program(BigInt64Array.of(0n, 1n, 2n, -1n, 0n));
  expect(() => checkColumns(bad.program, bad.rows, (index) => 4 - index)).toThrow(/row 4: found -1,/);
});

test("an int64 label beyond 32 bits is refused, whatever its lower half", async () => {
  const bad = await program(BigInt64Array.of(0n, 2n ** 33n + 1n, 2n, 1n, 0n));
  expect(() => checkColumns(bad.program, bad.rows, (index) => 4 - index)).toThrow(/row 2: found 8589934593,/);
  const good = await program(BigInt64Array.of(0n, 1n, 2n, 1n, 0n));
  checkColumns(good.program, good.rows, (index) => index);
});

test("embedding, one-hot and token columns are checked, computed indices and unused columns are not", async () => {
  const source = data.arrays({
    token: { dtype: "int32", shape: [3], values: [0, 1, 2, 3, 4, 5] },
    kind: Uint8Array.of(0, 1),
    computed: Int32Array.of(0, 1),
    unused: Int32Array.of(0, 1),
  });
  const model = nn.module({
    parameters: { table: { shape: [6, 4], init: { kind: "normal", mean: 0, std: 1 }, trainable: true } },
    forward: (self, token: Parameters<typeof nn.mse>[0]) => self.parameter("table").gather(token),
  });
  const run = compileRun(
    defineRun({
      data: { train: source },
      model,
      step: ({ token, kind, computed }) => {
        const vectors = model(token).sum([1]);
        const mixed = vectors.mul(kind.cast("int64").oneHot(4)).add(computed.add(1).oneHot(4));
        return { loss: mixed.mean(1) };
      },
      optimizer: optim.sgd({ lr: 1 }),
      batchSize: 2,
    }),
    { train: await source.open({ baseDirectory: "." }) },
  );
  expect(run.training.programs.get(2)!.columns).toEqual([
    { name: "token", dtype: "int32", shape: [2, 3], range: [-6, 5] },
    { name: "kind", dtype: "uint8", shape: [2], range: [0, 3] },
    { name: "computed", dtype: "int32", shape: [2] },
  ]);
});
