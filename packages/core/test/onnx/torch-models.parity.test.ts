import { readFileSync } from "node:fs";
import { moduleTree } from "@tutti/core/nn";
import { onnx } from "@tutti/core/onnx";
import { describe, expect, test } from "vitest";
import { allcloseError, normError, ParitySection } from "../parity-section.ts";
import { type Batch, fileUrl, runModule } from "./run-model.ts";

const section = new ParitySection("Models exported by PyTorch");

interface Recorded {
  readonly name: string;
  readonly x: { readonly shape: readonly number[]; readonly values: readonly number[] };
  readonly y: { readonly shape: readonly number[]; readonly values: readonly number[] };
  readonly gradients: Readonly<Record<string, readonly number[]>>;
}

// Made by test/parity/onnx-models.py: files written by torch.onnx.export, and PyTorch's own results and gradients.
const recorded: readonly Recorded[] = JSON.parse(readFileSync(new URL("files/torch.json", import.meta.url), "utf8"));

function batchOf({ name, x }: Recorded): Batch {
  return name === "attention"
    ? { dtype: "int64", shape: x.shape, values: BigInt64Array.from(x.values, BigInt) }
    : { dtype: "float32", shape: x.shape, values: Float32Array.from(x.values) };
}

describe.each(recorded)("$name as PyTorch exported it", (item) => {
  const model = onnx.load(fileUrl(item.name));

  test("gives PyTorch's outputs for a batch of three, in training and in evaluation", async () => {
    for (const training of [true, false]) {
      const { shape, values } = await runModule(model, batchOf(item), training);
      expect(shape).toEqual(item.y.shape);
      const error = allcloseError(values, item.y.values, { rtol: 1e-5, atol: 2e-6 });
      section.compare(item.name, training ? "output in training" : "output", error, 1e-5);
    }
  });

  test("has PyTorch's parameters under their names, and PyTorch's gradients", async () => {
    const { gradients } = await runModule(model, batchOf(item), true);
    const trainable = moduleTree(model).parameters.filter(({ spec }) => spec.trainable);
    expect(trainable.map(({ path }) => path).sort()).toEqual(Object.keys(item.gradients).sort());
    for (const [path, expected] of Object.entries(item.gradients)) {
      const isZero = expected.every((value) => value === 0); // one is: then ours must be, too
      const error = isZero ? Math.hypot(...gradients[path]!) : normError(gradients[path]!, expected);
      section.compare(item.name, "gradients", error, 1e-5);
    }
  });
});

test("docs/parity.md lists what was compared here", () => section.expectListed());
