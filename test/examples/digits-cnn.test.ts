import { expect, test } from "vitest";
import { trainedExample } from "./trained-example.ts";

test("reads 95 % of MNIST's test images after 100 of its 940 steps", async () => {
  const { figures } = await trainedExample("examples/digits-cnn.ts", ["steps=100", "optimizer.lr=0.002"]);
  expect(figures.accuracy).toBeGreaterThan(0.95);
});
