import { availableParallelism } from "node:os";
import { expect, test } from "vitest";
import { type Outcome, type Schedule, SimulatedMachines, simulate } from "./simulate.ts";
import { simulateElsewhere } from "./simulate-elsewhere.ts";
import { frameFaults } from "./virtual-network.ts";

const asked = process.env.TUTTI_SCHEDULES;
const schedules = Number(asked ?? 10_000);
const firstSeed = Number(process.env.TUTTI_SEED ?? 1);
const exchange = process.env.TUTTI_EXCHANGE === "mesh" ? "mesh" : "star";

async function undisturbedOutcomes(machines: SimulatedMachines): Promise<ReadonlyMap<string, Outcome>> {
  const outcomes = new Map<string, Outcome>();
  for (let seed = 1; outcomes.size < 30; seed++) {
    const schedule = await simulate(seed, machines, { undisturbed: true });
    outcomes.set(kindOf(schedule), schedule.outcome);
  }
  return outcomes;
}

/** By what a schedule may not change. */
const kindOf = ({ shards, clip, compress }: Schedule): string => `${shards}/${clip}/${compress}`;

test(`gives the undisturbed run's bits under ${schedules} schedules of faults, exchange ${exchange}`, async () => {
  const processes = asked === undefined ? Math.min(4, availableParallelism()) : 1;
  const share = Math.ceil(schedules / processes);
  const elsewhere = Array.from({ length: processes - 1 }, (_, i) =>
    simulateElsewhere({ TUTTI_SEED: `${firstSeed + share * (i + 1)}`, TUTTI_SCHEDULES: `${share}` }),
  );
  const machines = new SimulatedMachines();
  const undisturbed = await undisturbedOutcomes(machines);
  let faults = 0;
  let direct = 0;
  const accidents = new Set<string>();
  for (let seed = firstSeed; seed < firstSeed + share; seed++) {
    const schedule = await simulate(seed, machines, { exchange });
    direct += schedule.direct;
    faults += schedule.faults.length;
    for (const { fault, message, part } of schedule.accidents) accidents.add(`${fault}: ${message} ${part}`);
    const expected = undisturbed.get(kindOf(schedule));
    expect(
      schedule.outcome,
      `schedule ${seed} (run it alone: TUTTI_SEED=${seed} TUTTI_SCHEDULES=1); faults:\n${schedule.faults.join("\n")}`,
    ).toEqual(expected);
  }
  expect(faults).toBeGreaterThanOrEqual(2 * share);
  if (exchange === "star") expect(direct).toBe(0);
  else if (share >= 100) expect(direct).toBeGreaterThan(share / 2);
  if (asked === undefined) expect([...accidents]).toEqual(expect.arrayContaining(possibleAccidents()));
  for (const { status, output } of await Promise.all(elsewhere)) expect(status, output).toBe(0);
}, 600_000);

test("gives the undisturbed run's bits when sums are exchanged directly, under a quarter as many schedules", async () => {
  const processes = Math.min(4, availableParallelism());
  const share = Math.ceil(schedules / 4 / processes);
  const all = Array.from({ length: processes }, (_, i) =>
    simulateElsewhere({
      TUTTI_EXCHANGE: "mesh",
      TUTTI_SEED: `${firstSeed + share * i}`,
      TUTTI_SCHEDULES: `${share}`,
    }),
  );
  for (const { status, output } of await Promise.all(all)) expect(status, output).toBe(0);
}, 600_000);

test("workers that nothing happens to exchange directly to the end, also more of them than chunks or shards", async () => {
  const machines = new SimulatedMachines();
  const undisturbed = await undisturbedOutcomes(machines);
  for (let seed = firstSeed; seed < firstSeed + 100; seed++) {
    const schedule = await simulate(seed, machines, { exchange: "mesh", calm: true });
    expect(schedule.outcome, `schedule ${seed}`).toEqual(undisturbed.get(kindOf(schedule)));
    expect([schedule.direct, schedule.fellBack], `schedule ${seed}`).toEqual([1, 0]);
  }
}, 60_000);

test("finds lying workers by audits of every node, and gives the undisturbed run's bits", async () => {
  const machines = new SimulatedMachines();
  const undisturbed = await undisturbedOutcomes(machines);
  let quarantined = 0;
  for (let seed = firstSeed; seed < firstSeed + 300; seed++) {
    const schedule = await simulate(seed, machines, { liars: true });
    quarantined += schedule.quarantined;
    const expected = undisturbed.get(kindOf(schedule));
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
