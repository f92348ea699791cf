import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { root } from "../system/tutti-process.ts";
import { trainedExample } from "./trained-example.ts";

test("predicts Moby-Dick's characters after 150 of its 1,000 steps, and writes some of its own", async () => {
  const { figures, out } = await trainedExample("examples/char-gpt.ts", ["steps=150"]);
  // By the frequencies of characters it is 21.5 on the same text, by those of pairs of them (plus 1) 11.06.
  expect(figures.perplexity).toBeLessThan(11);
  const printed = execFileSync(process.execPath, ["examples/char-gpt-sample.mjs", out], {
    cwd: root,
    encoding: "utf8",
  });
  const samples = printed.split(/^— step-(\d+)\.safetensors —\n/m).slice(1);
  expect(samples.filter((_, i) => i % 2 === 0)).toEqual(["00000100", "00000150"]);
  for (const sample of samples.filter((_, i) => i % 2 === 1)) {
    expect(sample).toMatch(/^The whale [ -~\n]+$/);
    expect(sample).toHaveLength(300 + "\n\n".length);
  }
});
