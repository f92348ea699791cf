import { expect, test } from "vitest";
import { trainedExample } from "./trained-example.ts";

test("predicts wages better than least squares", async () => {
  const { figures } = await trainedExample("examples/wages.ts");
  // numpy.linalg.lstsq on the same rows with all columns, experience squared and an indicator for each category but one.
  expect(figures.rmse).toBeLessThan(0.4946);
});
