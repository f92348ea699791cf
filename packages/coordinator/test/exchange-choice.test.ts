import { expect, test } from "vitest";
import { ExchangeChoice } from "../src/exchange-choice.ts";

/** Steps of a run whose star and mesh take so long; what each used. */
function play(choice: ExchangeChoice, steps: number, starMs: number, meshMs: number): string {
  let used = "";
  for (let step = 0; step < steps; step++) {
    const kind = choice.prefersMesh ? "mesh" : "star";
    // The first of each are slow: they count for nothing.
    const isFirst = !used.includes(kind[0]!);
    choice.measured(kind, isFirst ? 1000 : kind === "star" ? starMs : meshMs);
    used += kind[0];
  }
  return used;
}

const large = 1 << 20;

test("uses what it is told to", () => {
  expect(play(new ExchangeChoice("star", large), 30, 9, 1)).toBe("s".repeat(30));
  expect(play(new ExchangeChoice("mesh", large), 30, 1, 9)).toBe("m".repeat(30));
  expect([new ExchangeChoice("star", large).isOffered, new ExchangeChoice("auto", large).isOffered]).toEqual([
    false,
    true,
  ]);
});

test("measures some steps of each and keeps the quicker, anew for other workers", () => {
  expect(play(new ExchangeChoice("auto", large), 40, 5, 3)).toBe("s".repeat(11) + "m".repeat(29));
  const choice = new ExchangeChoice("auto", large);
  expect(play(choice, 40, 3, 5)).toBe("s".repeat(11) + "m".repeat(11) + "s".repeat(18));
  choice.reset();
  expect(play(choice, 40, 5, 3)).toBe("s".repeat(11) + "m".repeat(29));
});

test("keeps the star where little is exchanged", () => {
  const choice = new ExchangeChoice("auto", 65_535);
  expect(choice.isOffered).toBe(false);
  expect(play(choice, 40, 5, 3)).toBe("s".repeat(40));
});
