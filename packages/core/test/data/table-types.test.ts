import { type ColumnsOf, data } from "@tutti/core/data";
import type { Tensor } from "@tutti/core/graph";
import { nn } from "@tutti/core/nn";
import { optim } from "@tutti/core/optim";
import { defineRun, type StepColumns } from "@tutti/core/run";
import { expect, expectTypeOf, test } from "vitest";

const columns = {
  mass: "float32",
  age: { dtype: "uint8", normalize: "minmax" },
  time: { dtype: "float64", missing: 0 },
  island: "category",
  sex: { dtype: "category", categories: ["female", "male"] },
} as const;

const model = nn.linear(1, 1);
const options = { model, optimizer: optim.sgd({ lr: 0.1 }), batchSize: 1 };

test("names and dtypes of a literal schema are the parameters of step", () => {
  for (const source of [
    data.csv("x.csv", { columns }),
    data.parquet("x.parquet", { columns }),
    data.jsonl(["a.jsonl", "b-*.jsonl"], { columns }),
    data.split(data.csv("x.csv", { columns }), { fraction: 0.5 }).train,
  ]) {
    type Step = StepColumns<ColumnsOf<typeof source>>;
    expectTypeOf<keyof Step>().toEqualTypeOf<"mass" | "age" | "time" | "island" | "sex">();
    expectTypeOf<Step["mass"]["dtype"]>().toEqualTypeOf<"float32">();
    expectTypeOf<Step["age"]["dtype"]>().toEqualTypeOf<"float32">(); // normalised
    expectTypeOf<Step["time"]["dtype"]>().toEqualTypeOf<"float64">();
    expectTypeOf<Step["island"]["dtype"]>().toEqualTypeOf<"int32">();
    expectTypeOf<Step["sex"]["dtype"]>().toEqualTypeOf<"int32">();
    expectTypeOf<Step["mass"]>().toExtend<Tensor>();
    expect(source.describe).toBeDefined();
  }
});

test("a wrong column name does not compile, in step, sampling and split", () => {
  const train = data.csv("x.csv", { columns });
  const wrongStep = () =>
    defineRun({
      ...options,
      data: { train },
      // @ts-expect-error there is no column "mas"
      step: ({ mas, time }) => ({ loss: nn.mse(model(mas), time) }),
    });
  const wrongSampling = () =>
    defineRun({
      ...options,
      data: { train },
      // @ts-expect-error there is no column "islands"
      sampling: { balance: "islands" },
      step: ({ mass }) => ({ loss: mass }),
    });
  // @ts-expect-error there is no column "islands"
  const wrongSplit = () => data.split(train, { hash: "islands", fraction: 0.5 });
  expect(wrongStep).not.toThrow();
  expect(wrongSampling).not.toThrow();
  expect(wrongSplit).not.toThrow();
});

test("what is inferred has any name, and is checked when it is opened", () => {
  const source = data.csv("x.csv");
  expectTypeOf<keyof StepColumns<ColumnsOf<typeof source>>>().toEqualTypeOf<string>();
  expect(source.describe).toEqual({ path: "x.csv" });
});
