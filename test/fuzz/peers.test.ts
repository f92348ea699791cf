import { Coordinator, serve } from "@tutti/coordinator";
import { systemClock } from "@tutti/core/clock";
import type { Connection, MessageOf, ToCoordinator, ToWorker } from "@tutti/core/wire";
import { expect, test } from "vitest";
import { prepareRun } from "../../packages/tutti/src/prepare-run.ts";
import { freshStart } from "../../packages/tutti/src/starting-point.ts";
import definition from "../fixtures/blobs.ts";
import { root, TuttiProcess, temporaryFolder, trained } from "../system/tutti-process.ts";
import { badPeers, isGhost, type PeerTarget, slowPeers } from "./bad-peers.ts";
import { Visits } from "./visits.ts";

const seed = Number(process.env.TUTTI_FUZZ_SEED ?? 1);
const visitsPerStep = 4;
const token = "6f1d0a3b9c8e7d2f4a5b6c7d8e9f0a1b";

type Welcome = MessageOf<ToWorker, "welcome">;

/** What a coordinator and its workers say about ports for other workers. */
class Overheard {
  readonly targets: PeerTarget[] = [];
  exchanges = 0;
  /** Links between the run's own workers that were lost. */
  unlinked = 0;

  between(connection: Connection<ToWorker, ToCoordinator>): Connection<ToWorker, ToCoordinator> {
    let welcome: Welcome | undefined;
    return {
      send: (message, payload, onFlushed) => {
        if (message.type === "welcome") welcome = message;
        if (message.type === "exchange") this.exchanges++;
        connection.send(message, payload, onFlushed);
      },
      listen: ({ message: receive, closed }) =>
        connection.listen({
          message: (message, payload) => {
            if (message.type === "listening") this.#target(welcome!, message.port);
            if (message.type === "unlinked" && !isGhost(message.peer)) this.unlinked++;
            receive(message, payload);
          },
          closed,
        }),
      flush: () => connection.flush(),
      get bufferedBytes() {
        return connection.bufferedBytes;
      },
      get sharesMemory() {
        return connection.sharesMemory;
      },
      get arrivedBytes() {
        return connection.arrivedBytes;
      },
      close: (reason) => connection.close(reason),
      destroy: (reason) => connection.destroy(reason),
    };
  }

  #target({ run, generation, worker, sumsFloats, chunkFloats, mesh }: Welcome, port: number): void {
    const url = `ws://127.0.0.1:${port}`;
    const known = { run, generation, worker, sumsFloats, chunkFloats };
    this.targets.push({ url, port, token: mesh!.key, numericClass: "", ...known });
  }
}

test("workers drop every bad peer with a code, and exchange the same bits meanwhile", async () => {
  const undisturbed = await trained(["test/fixtures/blobs.ts", "--workers", "0", "--out", temporaryFolder()]);
  const prepared = await prepareRun(definition, root);
  const overheard = new Overheard();
  const visits = new Visits(seed);
  const paid: Promise<void>[] = [];
  const coordinator = new Coordinator(prepared.run, freshStart(prepared.compiled), {
    clock: systemClock(),
    generation: 7,
    startWorkers: 2,
    exchange: "mesh",
    inlineBytes: 256, // gradients travel as chunks
    onEvent: () => {},
    afterStep: async ({ step }) => {
      for (const target of overheard.targets) {
        if (step === 1) paid.push(visits.pay(slowPeers, target, 3));
        await visits.pay(badPeers, target, visitsPerStep);
      }
    },
  });
  const server = await serve({
    host: "127.0.0.1",
    port: 0,
    token,
    accept: (connection) => coordinator.accept(overheard.between(connection)),
  });
  const workers = [1, 2].map(() => new TuttiProcess(["worker", server.url, "--json"], { env: { TUTTI_TOKEN: token } }));
  const done = await coordinator.train();
  await Promise.all(paid);
  await server.close();
  await prepared.close();

  expect(visits.failures).toEqual([]);
  expect(done.weightsSha256).toBe(undisturbed.weightsSha256);
  for (const worker of workers) expect(await worker.end(), worker.stderr).toBe(0);
  expect([...visits.counts.keys()].sort()).toEqual([...badPeers, ...slowPeers].map(({ name }) => name).sort());
  expect(overheard.targets).toHaveLength(2); // both stayed for the whole run
  expect(overheard.exchanges).toBeGreaterThan(2 * 35); // and summed directly in all but the first of 42 steps
  expect(overheard.unlinked).toBe(0);
  expect(done.ledger).toMatchObject({ samples: 6 * 330, leasesDealtAgain: 0 });
});
