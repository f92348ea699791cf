import { type MessageOf, protocolVersion, type ToWorker } from "@tutti/core/wire";
import { expect, test } from "vitest";
import { CoordinatorRules, KnownRun } from "../src/coordinator-rules.ts";

const welcome: MessageOf<ToWorker, "welcome"> = {
  ...{
    type: "welcome",
    protocol: protocolVersion,
    run: "r",
    generation: 5,
    worker: "w1",
    seed: 1,
    parameterFloats: 160,
  },
  ...{ updatedFloats: 160, sumsFloats: 160, averageFloats: 0, chunkFloats: 64, inlineBytes: 128, programs: 1 },
  ...{ heartbeatMs: 50, silenceMs: 2000, mesh: { key: "ab" } },
};
const replica: ToWorker = {
  ...{ type: "replica", optimizer: { kind: "sgd" }, trainable: [], trainableFloats: 96, statistics: [] },
  normBlockFloats: 16,
};
const state = (slot: number, chunk: number, payloadBytes: number): ToWorker => ({
  ...{ type: "state", generation: 5, step: 3, slot, chunk, payloadBytes },
});
const exchange = (over: Partial<MessageOf<ToWorker, "exchange">> = {}): ToWorker => ({
  ...{ type: "exchange", generation: 5, round: 9, step: 3, updates: 3, samples: 4, shards: 3 },
  plateau: { scale: 1, best: null, badCount: 0, cooldownLeft: 0 },
  nodes: [
    { lo: 0, hi: 2 },
    { lo: 2, hi: 3 },
  ],
  owners: [
    { worker: "w1", first: 0, end: 2 },
    { worker: "w2", first: 2, end: 3 },
    { worker: "w3", first: 3, end: 3 },
  ],
  ...over,
});
const reduced = (chunk: number, payloadBytes: number): ToWorker => ({
  ...{ type: "reduced", generation: 5, round: 9, step: 3, chunk, payloadBytes },
});

/** A coordinator that has welcomed this worker, and said so much more. */
function rules(...said: readonly ToWorker[]): CoordinatorRules {
  const held = new CoordinatorRules(new KnownRun());
  held.sent({
    type: "hello",
    protocol: protocolVersion,
    host: "h",
    pid: 1,
    lanes: 1,
    engine: "e",
    node: "n",
    instance: "i",
  });
  for (const message of [welcome, ...said]) held.received(message);
  return held;
}

test("lets a coordinator announce a replica, send its state, and exchanges with their chunks", () => {
  const held = rules(replica, state(0, 0, 256), state(0, 1, 128), exchange());
  for (const [chunk, bytes] of [
    [0, 256],
    [2, 128],
  ] as const)
    held.received(reduced(chunk, bytes));
});

test.each([
  ["a second replica", [replica, replica], /a replica that it did not announce/],
  ["state before a replica", [state(0, 0, 256)], /state before its replica/],
  ["state beyond what trains", [replica, state(0, 1, 256)], /chunk 1 of 256 bytes, expected 128/],
  ["an exchange before a replica", [exchange()], /an exchange before its replica/],
  ["owners that overlap", [replica, exchange({ owners: [{ worker: "w1", first: 1, end: 2 }] })], /owners that overlap/],
  [
    "owners of more chunks than there are",
    [replica, exchange({ owners: [{ worker: "w1", first: 0, end: 4 }] })],
    /over/,
  ],
  ["nodes that are not in the tree", [replica, exchange({ nodes: [{ lo: 0, hi: 3 }], shards: 4 })], /node 0–3 of 4/],
  ["nodes that leave shards out", [replica, exchange({ nodes: [{ lo: 0, hi: 2 }] })], /nodes up to 2 of 3 shards/],
  ["a reduced chunk of another size", [replica, exchange(), reduced(2, 256)], /chunk 2 of 256 bytes, expected 128/],
  ["a reduced chunk beyond the last", [replica, exchange(), reduced(3, 256)], /expected 0/],
] as const)("refuses %s", (_name, said, reason) => {
  expect(() => rules(...said)).toThrow(reason);
});

test("refuses a replica that the welcome did not announce", () => {
  const held = new CoordinatorRules(new KnownRun());
  const { mesh: _, ...plain } = welcome;
  held.sent({
    type: "hello",
    protocol: protocolVersion,
    host: "h",
    pid: 1,
    lanes: 1,
    engine: "e",
    node: "n",
    instance: "i",
  });
  held.received(plain);
  expect(() => held.received(replica)).toThrow(/did not announce/);
});
