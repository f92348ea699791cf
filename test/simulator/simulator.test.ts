import { expect, test } from "vitest";
import { type Outcome, SimulatedMachines, simulate } from "./simulate.ts";

const schedules = Number(process.env.TUTTI_SCHEDULES ?? 10_000);
const firstSeed = Number(process.env.TUTTI_SEED ?? 1);

test(`gives the undisturbed run's bits under ${schedules} schedules of joins, deaths, silence, delays, pauses and drains`, async () => {
  const machines = new SimulatedMachines();
  const undisturbed = new Map<string, Outcome>();
  for (let seed = 1; undisturbed.size < 30; seed++) {
    const { shards, clip, compress, outcome } = await simulate(seed, machines, { undisturbed: true });
    undisturbed.set(`${shards}/${clip}/${compress}`, outcome);
  }
  let faults = 0;
  for (let seed = firstSeed; seed < firstSeed + schedules; seed++) {
    const schedule = await simulate(seed, machines);
    faults += schedule.faults.length;
    const expected = undisturbed.get(`${schedule.shards}/${schedule.clip}/${schedule.compress}`);
    expect(
      schedule.outcome,
      `schedule ${seed} (run it alone: TUTTI_SEED=${seed} TUTTI_SCHEDULES=1); faults:\n${schedule.faults.join("\n")}`,
    ).toEqual(expected);
  }
  expect(faults).toBeGreaterThanOrEqual(2 * schedules);
}, 600_000);

test("finds lying workers by audits of every node, and gives the undisturbed run's bits", async () => {
  const machines = new SimulatedMachines();
  const undisturbed = new Map<string, Outcome>();
  for (let seed = 1; undisturbed.size < 30; seed++) {
    const { shards, clip, compress, outcome } = await simulate(seed, machines, { undisturbed: true });
    undisturbed.set(`${shards}/${clip}/${compress}`, outcome);
  }
  let quarantined = 0;
  for (let seed = firstSeed; seed < firstSeed + 300; seed++) {
    const schedule = await simulate(seed, machines, { liars: true });
    quarantined += schedule.quarantined;
    const expected = undisturbed.get(`${schedule.shards}/${schedule.clip}/${schedule.compress}`);
    expect(schedule.outcome, `schedule ${seed}; faults:\n${schedule.faults.join("\n")}`).toEqual(expected);
  }
  expect(quarantined).toBeGreaterThan(100);
}, 300_000);
