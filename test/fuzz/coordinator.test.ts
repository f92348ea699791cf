import { Coordinator, serve } from "@tutti/coordinator";
import { systemClock } from "@tutti/core/clock";
import type { RunEvent } from "@tutti/core/events";
import { expect, test } from "vitest";
import { prepareRun } from "../../packages/tutti/src/prepare-run.ts";
import { freshStart } from "../../packages/tutti/src/starting-point.ts";
import definition from "../fixtures/blobs.ts";
import { root, TuttiProcess, temporaryFolder, trained } from "../system/tutti-process.ts";
import { insiders, outsiders } from "./bad-workers.ts";
import type { Target } from "./visitor.ts";
import { Visits } from "./visits.ts";

const seed = Number(process.env.TUTTI_FUZZ_SEED ?? 1);
const outsidersPerStep = 8;
const token = "6f1d0a3b9c8e7d2f4a5b6c7d8e9f0a1b";

test("drops every bad worker with a code, and trains to the same bits meanwhile", async () => {
  const undisturbed = await trained(["test/fixtures/blobs.ts", "--workers", "0", "--out", temporaryFolder()]);
  const prepared = await prepareRun(definition, root);
  const events: RunEvent[] = [];
  const outside = new Visits(seed);
  const inside = new Visits(seed);
  const insideVisits: Promise<void>[] = [];
  const startBytes = process.memoryUsage().rss;
  let peakBytes = startBytes;
  const coordinator = new Coordinator(prepared.run, freshStart(prepared.compiled), {
    clock: systemClock(),
    generation: 7,
    startWorkers: 1,
    inlineBytes: 256, // gradients travel as chunks
    onEvent: (event) => events.push(event),
    afterStep: async ({ numericClass, step }) => {
      const target: Target = { url: server.url, port: server.port, token, numericClass };
      if (step <= 36) insideVisits.push(inside.pay(insiders, target, 1));
      await outside.pay(outsiders, target, outsidersPerStep);
      // Whoever waits for a lease gets one in the next steps.
      await insideVisits[insideVisits.length - 4];
      peakBytes = Math.max(peakBytes, process.memoryUsage().rss);
    },
  });
  const server = await serve({
    host: "127.0.0.1",
    port: 0,
    token,
    limits: { handshakeMs: 1000 },
    accept: (connection) => coordinator.accept(connection),
  });
  const worker = new TuttiProcess(["worker", server.url, "--json"], { env: { TUTTI_TOKEN: token } });
  const done = await coordinator.train();
  await Promise.all(insideVisits);
  await server.close();
  await prepared.close();

  expect([...outside.failures, ...inside.failures]).toEqual([]);
  expect(done.weightsSha256).toBe(undisturbed.weightsSha256);
  expect(await worker.end(), worker.stderr).toBe(0);
  expect([...outside.counts.keys()].sort()).toEqual(outsiders.map(({ name }) => name).sort());
  expect([...inside.counts.keys()].sort()).toEqual(insiders.map(({ name }) => name).sort());
  expect(done.ledger.leasesDealtAgain).toBeGreaterThanOrEqual(insiders.length); // most were indeed given work
  expect(done.ledger.samples).toBe(6 * 330);
  expect(peakBytes - startBytes).toBeLessThan(400 * 2 ** 20);
  const visits = [...outside.counts.values(), ...inside.counts.values()].reduce((sum, count) => sum + count, 0);
  console.log(
    `${visits} visits, ${done.ledger.leasesDealtAgain} leases dealt again, peak ${((peakBytes - startBytes) / 2 ** 20).toFixed(0)} MiB above the start`,
  );
});
