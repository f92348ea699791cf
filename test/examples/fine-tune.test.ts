import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readOnnx } from "@tutti/core/graph";
import { expect, test } from "vitest";
import { root } from "../system/tutti-process.ts";
import { trainedExample } from "./trained-example.ts";

function weightsOf(path: string): ReadonlyMap<string, readonly number[]> {
  const { initializers } = readOnnx(readFileSync(path), { otherOutputs: true });
  return new Map([...initializers.values()].map(({ name, values }) => [name, Array.from(values, Number)]));
}

test("learns new digits from an .onnx file better than from nothing, and leaves frozen weights alone", async () => {
  const { figures, out } = await trainedExample("examples/fine-tune.ts");
  expect(figures.accuracy).toBeGreaterThan(0.95);
  const before = weightsOf(join(root, "examples/models/digits-0-to-4.onnx"));
  const after = weightsOf(join(out, "model.onnx"));
  for (const name of ["body.conv1.weight", "body.conv1.bias", "body.conv2.weight", "body.conv2.bias"]) {
    expect(after.get(name), name).toEqual(before.get(name));
    expect(after.get(name)?.length, name).toBeGreaterThan(0);
  }
  expect(after.get("body.fc.weight")).not.toEqual(before.get("body.fc.weight"));
  expect(after.has("classifier.weight")).toBe(false);
  expect(after.get("head.weight")).toHaveLength(64 * 5);
});

test("makes the file that fine-tuning begins with", async () => {
  const { figures } = await trainedExample("examples/fine-tune-base.ts", ["epochs=1"]);
  expect(figures.accuracy).toBeGreaterThan(0.98);
});
