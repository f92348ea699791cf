import { beforeAll, expect, test } from "vitest";
import { mutants } from "./mutants.ts";
import { type Elsewhere, simulateElsewhere } from "./simulate-elsewhere.ts";

/** Runs the simulator on sources with one bug planted (see vitest.config.ts). */
function simulateWith(mutant: number | "none", exchange = "star"): Promise<Elsewhere> {
  return simulateElsewhere({
    TUTTI_MUTANT: `${mutant}`,
    TUTTI_EXCHANGE: exchange,
    TUTTI_SCHEDULES: "1000",
    TUTTI_SEED: "1",
  });
}

beforeAll(async () => {
  const { status, output } = await simulateWith("none");
  expect(status, `without a planted bug:\n${output}`).toBe(0);
});

for (const [index, { name, exchange }] of mutants.entries()) {
  test(`finds within 1,000 schedules that ${name}`, async () => {
    const { status, output } = await simulateWith(index, exchange);
    expect(status, output).not.toBe(0);
    expect(output).toMatch(/schedule \d+ (\(run it alone|hangs|failed)/);
  });
}
