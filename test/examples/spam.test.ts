import { expect, test } from "vitest";
import { trainedExample } from "./trained-example.ts";

test("tells spam from other e-mail in 97 of 100 cases", async () => {
  const { figures } = await trainedExample("examples/spam.ts", ["epochs=4"]);
  expect(figures.accuracy).toBeGreaterThan(0.97);
  expect(figures.auc).toBeGreaterThan(0.99);
});
