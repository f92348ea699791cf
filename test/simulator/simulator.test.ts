import { availableParallelism } from "node:os";
import { expect, test } from "vitest";
import { type Outcome, SimulatedMachines, simulate } from "./simulate.ts";
import { simulateElsewhere } from "./simulate-elsewhere.ts";
import { frameFaults } from "./virtual-network.ts";

const asked = process.env.TUTTI_SCHEDULES;
const schedules = Number(asked ?? 10_000);
const firstSeed = Number(process.env.TUTTI_SEED ?? 1);

async function undisturbedOutcomes(machines: SimulatedMachines): Promise<ReadonlyMap<string, Outcome>> {
  const outcomes = new Map<string, Outcome>();
  for (let seed = 1; outcomes.size < 30; seed++) {
    const { shards, clip, compress, outcome } = await simulate(seed, machines, { undisturbed: true });
    outcomes.set(`${shards}/${clip}/${compress}`, outcome);
  }
  return outcomes;
}

test(`gives the undisturbed run's bits under ${schedules} schedules of faults`, async () => {
  const processes = asked === undefined ? Math.min(4, availableParallelism()) : 1;
  const share = Math.ceil(schedules / processes);
  const elsewhere = Array.from({ length: processes - 1 }, (_, i) =>
    simulateElsewhere({ TUTTI_SEED: `${firstSeed + share * (i + 1)}`, TUTTI_SCHEDULES: `${share}` }),
  );
  const machines = new SimulatedMachines();
  const undisturbed = await undisturbedOutcomes(machines);
  let faults = 0;
  const accidents = new Set<string>();
  for (let seed = firstSeed; seed < firstSeed + share; seed++) {
    const schedule = await simulate(seed, machines);
    faults += schedule.faults.length;
    for (const { fault, message, part } of schedule.accidents) accidents.add(`${fault}: ${message} ${part}`);
    const expected = undisturbed.get(`${schedule.shards}/${schedule.clip}/${schedule.compress}`);
    expect(
      schedule.outcome,
      `schedule ${seed} (run it alone: TUTTI_SEED=${seed} TUTTI_SCHEDULES=1); faults:\n${schedule.faults.join("\n")}`,
    ).toEqual(expected);
  }
  expect(faults).toBeGreaterThanOrEqual(2 * share);
  if (asked === undefined) expect([...accidents]).toEqual(expect.arrayContaining(possibleAccidents()));
  for (const { status, output } of await Promise.all(elsewhere)) expect(status, output).toBe(0);
}, 600_000);

test("finds lying workers by audits of every node, and gives the undisturbed run's bits", async () => {
  const machines = new SimulatedMachines();
  const undisturbed = await undisturbedOutcomes(machines);
  let quarantined = 0;
  for (let seed = firstSeed; seed < firstSeed + 300; seed++) {
    const schedule = await simulate(seed, machines, { liars: true });
    quarantined += schedule.quarantined;
    const expected = undisturbed.get(`${schedule.shards}/${schedule.clip}/${schedule.compress}`);
    expect(schedule.outcome, `schedule ${seed}; faults:\n${schedule.faults.join("\n")}`).toEqual(expected);
  }
  expect(quarantined).toBeGreaterThan(100);
}, 300_000);

/** Every fault, to every frame of the run but "differs" and "leaving", which come too seldom. */
function possibleAccidents(): string[] {
  const headers = [
    ...["welcome", "program", "canary", "parameters", "batch", "lease", "update", "average", "commit", "release"],
    ...["hello", "ready", "result", "partial", "failed", "heartbeat", "goodbye"],
  ];
  const payloads = ["program", "canary", "parameters", "batch", "update", "average", "partial"];
  return frameFaults.flatMap((fault) => [
    ...headers.map((type) => `${fault}: ${type} header`),
    ...payloads.map((type) => `${fault}: ${type} payload`),
  ]);
}
