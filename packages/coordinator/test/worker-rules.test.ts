import type { MessageOf, ToCoordinator, ToWorker } from "@tutti/core/wire";
import { expect, test } from "vitest";
import { WorkerRules } from "../src/worker-rules.ts";

const hello: ToCoordinator = {
  type: "hello",
  protocol: 2,
  host: "h",
  pid: 1,
  lanes: 1,
  engine: "e",
  node: "n",
  instance: "i",
};
const welcome: ToWorker = {
  type: "welcome",
  protocol: 2,
  run: "r",
  generation: 5,
  worker: "w1",
  seed: 1,
  parameterFloats: 160,
  updatedFloats: 160,
  sumsFloats: 160,
  averageFloats: 0,
  chunkFloats: 64,
  inlineBytes: 128,
  programs: 1,
  heartbeatMs: 500,
  silenceMs: 2250,
};
const program: ToWorker = {
  type: "program",
  id: "aa",
  manifest: {
    mode: "evaluate",
    samples: 2,
    columns: [],
    parameters: [],
    randoms: [],
    sums: [],
    sumsFloats: 0,
    scalars: { name: "s", length: 3 },
    collects: [{ name: "logits", dtype: "float32", shape: [2, 8] }],
  },
  payloadBytes: 1,
};
const position = { generation: 5, round: 9, step: 3, lo: 0, hi: 2 };
const lease: ToWorker = { type: "lease", ...position };

function result(over: Partial<MessageOf<ToCoordinator, "result">> = {}): ToCoordinator {
  const scalars = new Uint8Array(24);
  return { type: "result", ...position, scalars, computeMs: 1, chunks: 3, payloadBytes: 0, ...over };
}

function partial(chunk: number, payloadBytes: number): ToCoordinator {
  return { type: "partial", ...position, chunk, payloadBytes };
}

/** A worker that has joined and was leased a node. */
function joined(now?: () => number): WorkerRules {
  const rules = new WorkerRules(now);
  rules.received(hello);
  rules.sent(welcome);
  rules.sent(program);
  rules.received({ type: "ready", numericClass: "ab" });
  rules.sent(lease);
  return rules;
}

test("lets a worker answer what it was leased: announced, chunk by chunk, once per lease", () => {
  const rules = joined();
  rules.received(result());
  for (const [chunk, bytes] of [
    [2, 128],
    [0, 256],
    [1, 256],
  ] as const)
    rules.received(partial(chunk, bytes));
  expect(() => rules.received(partial(0, 256))).toThrow(/was not asked for/);
  expect(() => rules.received(result())).toThrow(/was not asked for/);
  rules.sent(lease);
  rules.received({ type: "failed", ...position, code: "ENGINE_FAILED", message: "no" });
  expect(() => rules.received(result())).toThrow(/was not asked for/);
});

const refused: readonly [string, ToCoordinator, RegExp][] = [
  ["a chunk that was not announced", partial(0, 256), /not asked for/],
  ["a chunk of another size", partial(0, 252), /chunk 0 of 252 bytes, expected 256/],
  ["an empty chunk", partial(0, 0), /chunk 0 of 0 bytes/],
  ["a chunk behind the last", partial(3, 256), /expected 0/],
  ["a chunk far behind the last", partial(2 ** 50, 256), /expected 0/],
  ["more chunks than there are", result({ chunks: 4 }), /4 chunks/],
  ["sums in the header of another size", result({ chunks: 1, inline: new Uint8Array(64) }), /64 bytes of sums/],
  ["per-sample outputs larger than the program's", result({ payloadBytes: 129 }), /129 bytes of per-sample outputs/],
  ["another node", result({ lo: 2, hi: 4 }), /not asked for/],
  ["another round", result({ round: 8 }), /not asked for/],
  ["another step", result({ step: 4 }), /not asked for/],
  ["another generation", result({ generation: 4 }), /not asked for/],
  ["a second hello", hello, /second hello/],
  ["a second ready", { type: "ready", numericClass: "ab" }, /ready out of turn/],
  ["a comparison without a commit", { type: "differs", generation: 5, step: 3, hash: "00" }, /compares a commit/],
];
test.each(refused)("refuses %s", (_name, message, reason) => {
  expect(() => joined().received(message)).toThrow(reason);
});

test.each(["ready", "heartbeat", "result", "partial", "failed", "differs"] as const)(
  "refuses %s before hello",
  (type) => {
    const messages: Record<string, ToCoordinator> = {
      ready: { type: "ready", numericClass: "ab" },
      heartbeat: { type: "heartbeat", sentMs: 0, arrivedBytes: 1, leases: 0 },
      result: result(),
      partial: partial(0, 256),
      failed: { type: "failed", ...position, code: "X", message: "" },
      differs: { type: "differs", generation: 5, step: 3, hash: "00" },
    };
    expect(() => new WorkerRules().received(messages[type]!)).toThrow(expect.objectContaining({ code: "PROTOCOL" }));
  },
);

test("takes spans only of a run that is traced, and as often as it leases", () => {
  const spans: ToCoordinator = { type: "spans", spans: [] };
  expect(() => joined().received(spans)).toThrow(/not asked for/);
  const rules = new WorkerRules();
  rules.received(hello);
  rules.sent({ ...welcome, trace: true } as ToWorker);
  rules.received({ type: "ready", numericClass: "ab" });
  rules.sent(lease);
  rules.sent({ ...lease, round: 10 } as ToWorker);
  rules.received(spans);
  rules.received(spans);
  expect(() => rules.received(spans)).toThrow(/not asked for/);
});

test("refuses heartbeats beyond 100 a second, and takes ten a second for an hour", () => {
  let nowMs = 0;
  const rules = joined(() => nowMs);
  for (; nowMs < 3_600_000; nowMs += 100) rules.received({ type: "heartbeat", sentMs: 0, arrivedBytes: 1, leases: 0 });
  for (let i = 0; i < 99; i++) rules.received({ type: "heartbeat", sentMs: 0, arrivedBytes: 1, leases: 0 });
  expect(() => {
    for (let i = 0; i < 10; i++) rules.received({ type: "heartbeat", sentMs: 0, arrivedBytes: 1, leases: 0 });
  }).toThrow(/flood of heartbeats/);
});

test("takes headers of 64 KiB, and larger ones only where a lease's scalars or inline sums need them", () => {
  const rules = new WorkerRules();
  expect(rules.maxHeaderBytes).toBe(65_536);
  rules.received(hello);
  rules.sent(welcome);
  rules.sent(program);
  expect(rules.maxHeaderBytes).toBe(65_536 + 128);
  rules.sent({ ...lease, hi: 1000 } as ToWorker);
  expect(rules.maxHeaderBytes).toBe(65_536 + 128 + 1000 * 12);
  rules.sent({ ...lease, hi: 2 ** 40 } as ToWorker);
  expect(rules.maxHeaderBytes).toBe(2 ** 21);
});

test("remembers a bounded number of unanswered leases", () => {
  const rules = joined();
  for (let round = 10; round < 10 + 4096; round++) rules.sent({ ...lease, round } as ToWorker);
  expect(() => rules.received(result())).toThrow(/not asked for/); // the oldest is forgotten
  rules.received(result({ round: 10 }));
});

const exchange: ToWorker = {
  ...{
    type: "exchange",
    generation: 5,
    round: 9,
    step: 3,
    updates: 3,
    samples: 4,
    shards: 2,
    nodes: [{ lo: 0, hi: 2 }],
  },
  plateau: { scale: 1, best: null, badCount: 0, cooldownLeft: 0 },
  owners: [
    { worker: "w0", first: 0, end: 1 },
    { worker: "w1", first: 1, end: 3 },
  ],
};
const reduced = (chunk: number, payloadBytes: number): ToCoordinator => ({
  ...{ type: "reduced", generation: 5, round: 9, step: 3, chunk, payloadBytes },
});
const applied: ToCoordinator = { type: "applied", generation: 5, round: 9, step: 3, hash: "" };

/** The same of a run whose workers exchange sums directly, told of one exchange. */
function exchanging(): WorkerRules {
  const rules = new WorkerRules();
  rules.received(hello);
  if (welcome.type === "welcome") rules.sent({ ...welcome, mesh: { key: "ab" } });
  rules.sent(program);
  rules.received({ type: "listening", host: "127.0.0.1", port: 1 });
  rules.received({ type: "ready", numericClass: "ab" });
  rules.received({ type: "linked", peer: "w0" });
  rules.sent(exchange);
  return rules;
}

test("lets a member of an exchange hand in the chunks that it owns, each once, and report once", () => {
  const rules = exchanging();
  rules.received(reduced(2, 128));
  rules.received(reduced(1, 256));
  expect(() => rules.received(reduced(1, 256))).toThrow(/which it does not own/);
  rules.received(applied);
  expect(() => rules.received(applied)).toThrow(/exchange that it was not told of/);
});

test.each([
  ["a chunk of another owner", reduced(0, 256), /does not own/],
  ["a reduced chunk of another size", reduced(1, 128), /of 128 bytes, expected 256/],
  ["to listen twice", { type: "listening", host: "h", port: 2 }, /not asked for/],
] as const)("refuses %s", (_name, message, reason) => {
  expect(() => exchanging().received(message)).toThrow(reason);
});

test("refuses what belongs to direct exchange where there is none", () => {
  for (const message of [
    { type: "listening", host: "h", port: 2 },
    { type: "linked", peer: "w0" },
    { type: "unlinked", peer: "w0", reason: "r" },
    reduced(1, 256),
    applied,
  ] as const)
    expect(() => joined().received(message)).toThrow(/broke the protocol/);
});
