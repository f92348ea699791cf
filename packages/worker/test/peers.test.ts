import { systemClock } from "@tutti/core/clock";
import { type MessageOf, type PeerMessage, subprotocol, type ToWorker } from "@tutti/core/wire";
import { expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { PeerLinkRules } from "../src/mesh/peer-link-rules.ts";
import { type ChunkMessage, PeerLinks } from "../src/mesh/peer-links.ts";
import { SocketPeers } from "../src/mesh/socket-peers.ts";

const key = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

function welcome(worker: string, over: Partial<MessageOf<ToWorker, "welcome">> = {}): MessageOf<ToWorker, "welcome"> {
  return {
    ...{ type: "welcome", protocol: 1, run: "r", generation: 5, worker, seed: 1, parameterFloats: 160 },
    ...{ updatedFloats: 160, sumsFloats: 160, averageFloats: 0, chunkFloats: 64, inlineBytes: 128, programs: 1 },
    ...{ heartbeatMs: 50, silenceMs: 2000, mesh: { key } },
    ...over,
  };
}

interface Peer {
  readonly links: PeerLinks;
  readonly host: string;
  readonly port: number;
  readonly received: { message: ChunkMessage; payload: number[] }[];
  /** Resolves with what is said next: "linked w1", "unlinked w1: reason", "received". */
  next(): Promise<string>;
}

async function peer(id: string, over: Partial<MessageOf<ToWorker, "welcome">> = {}): Promise<Peer> {
  const said: string[] = [];
  let wake: () => void = () => {};
  const say = (text: string): void => {
    said.push(text);
    wake();
  };
  const received: Peer["received"] = [];
  const links = new PeerLinks({
    transport: new SocketPeers({ host: "127.0.0.1", port: 0 }),
    clock: systemClock(),
    welcome: welcome(id, over),
    key: over.mesh?.key ?? key,
    received: (message, payload) => {
      received.push({ message, payload: [...payload] });
      say("received");
    },
    linked: (other) => say(`linked ${other}`),
    unlinked: (other, reason) => say(`unlinked ${other}: ${reason}`),
  });
  onTestFinished(() => links.close());
  const { host, port } = await links.listen();
  const next = async (): Promise<string> => {
    if (said.length === 0)
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    return said.shift()!;
  };
  return { links, host, port, received, next };
}

const chunk = (payloadBytes: number): PeerMessage => ({
  ...{ type: "contribution", generation: 5, round: 3, step: 2, lo: 0, hi: 2, chunk: 1, payloadBytes },
});

test("links two workers, and carries chunks both ways", async () => {
  const [first, second] = [await peer("w1"), await peer("w2")];
  second.links.connect([{ id: "w1", host: first.host, port: first.port }]);
  expect(await second.next()).toBe("linked w1");
  const payload = Uint8Array.from({ length: 256 }, (_, i) => i);
  let flushed = 0;
  expect(second.links.send("w1", chunk(256), payload, () => flushed++)).toBe(true);
  expect(await first.next()).toBe("received");
  expect(first.received).toEqual([{ message: chunk(256), payload: [...payload] }]);
  expect(first.links.send("w2", chunk(256), payload)).toBe(true);
  expect(await second.next()).toBe("received");
  expect([flushed, second.links.send("w3", chunk(256), payload)]).toEqual([1, false]);
  expect([first.links.arrivedBytes, second.links.arrivedBytes]).toEqual([256, 256]); // heartbeats do not count
});

test("tells both sides when a link ends, and whoever opened it opens it once more", async () => {
  const [first, second] = [await peer("w1"), await peer("w2")];
  second.links.connect([{ id: "w1", host: first.host, port: first.port }]);
  expect(await second.next()).toBe("linked w1");
  second.links.send("w1", { ...chunk(252) }, new Uint8Array(252)); // not a chunk of this run
  expect(await first.next()).toMatch(
    /^unlinked w2: another worker broke the protocol: contribution: chunk 1 of 252 bytes/,
  );
  expect(await second.next()).toMatch(/^unlinked w1/);
  expect(await second.next()).toBe("linked w1");
});

test.each([
  ["of another run", { run: "other" }],
  ["of another generation of the coordinator", { generation: 4 }],
] as const)("refuses a worker %s", async (_, over) => {
  const [first, second] = [await peer("w1"), await peer("w2", over)];
  second.links.connect([{ id: "w1", host: first.host, port: first.port }]);
  expect(await second.next()).toMatch(/^unlinked w1: a greeting for w1 of another run/);
});

test("refuses a worker that takes it for another", async () => {
  const [first, second] = [await peer("w1"), await peer("w2")];
  second.links.connect([{ id: "w7", host: first.host, port: first.port }]);
  expect(await second.next()).toMatch(/^unlinked w7: .*a greeting for w7/);
});

test("lets nobody in without the run's key, nor web pages, and tells that it cannot reach who does not answer", async () => {
  const [first, second] = [await peer("w1"), await peer("w2", { mesh: { key: key.replace("0", "1") } })];
  second.links.connect([{ id: "w1", host: first.host, port: first.port }]);
  expect(await second.next()).toMatch(/^unlinked w1: .*401/);
  second.links.connect([{ id: "w1", host: "127.0.0.1", port: 1 }]);
  expect(await second.next()).toMatch(/^unlinked w1: .*ECONNREFUSED/);
  const answer = (headers: Record<string, string>): Promise<number | undefined> =>
    new Promise((resolve) => {
      const socket = new WebSocket(`ws://127.0.0.1:${first.port}`, subprotocol, { headers });
      socket.on("error", () => {});
      socket.once("unexpected-response", (request, response) => {
        resolve(response.statusCode);
        request.destroy();
      });
    });
  expect(await answer({})).toBe(401);
  expect(await answer({ authorization: `Bearer ${key}`, origin: "http://example.org" })).toBe(403);
});

test("gives up a link over which nothing comes for too long", async () => {
  const first = await peer("w1", { heartbeatMs: 3_600_000 });
  const second = await peer("w2", { heartbeatMs: 20, silenceMs: 100 });
  second.links.connect([{ id: "w1", host: first.host, port: first.port }]);
  expect(await second.next()).toBe("linked w1");
  expect(await second.next()).toMatch(/^unlinked w1: silent for 1\d\d ms/);
});

/** What rules that have seen a handshake say to a message; "" if nothing. */
function judged(message: PeerMessage, over: Partial<MessageOf<ToWorker, "welcome">> = {}, opens = false): string {
  const rules = new PeerLinkRules(welcome("w1", over), opens, () => 0);
  if (opens) rules.received({ type: "accepted" });
  else rules.received({ type: "greeting", protocol: 1, run: "r", generation: 5, from: "w2", to: "w1" });
  try {
    rules.received(message);
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

test("holds a peer to its turn, and chunks to the run's sizes, packed or not", () => {
  const rules = (opens: boolean): PeerLinkRules => new PeerLinkRules(welcome("w1"), opens, () => 0);
  expect(() => rules(false).received(chunk(256))).toThrow(/contribution before its greeting/);
  expect(() =>
    rules(true).received({ type: "greeting", protocol: 1, run: "r", generation: 5, from: "a", to: "b" }),
  ).toThrow();
  expect(judged({ type: "accepted" }, {}, true)).toMatch(/a second accepted/);
  const rounding = { to: "bf16", floats: 160, leastShards: 2 } as const;
  const reduced = (payloadBytes: number): PeerMessage => ({
    ...{ type: "reduced", generation: 5, round: 3, step: 2, chunk: 2, payloadBytes },
  });
  expect([
    judged(chunk(256)),
    judged(chunk(128), { rounding }),
    judged(reduced(128)),
    judged(reduced(64), { rounding }),
  ]).toEqual(["", "", "", ""]);
  expect(judged(chunk(128))).toMatch(/expected 256/);
  expect(judged(chunk(256), { rounding })).toMatch(/expected 128/);
  expect(judged(reduced(256))).toMatch(/expected 128/);
  expect(judged({ ...chunk(256), chunk: 3 } as PeerMessage)).toMatch(/expected 0/);
  expect(judged({ ...chunk(256), lo: 2 } as PeerMessage)).toMatch(/shards 2 to 2/);
});

test("heartbeats in a flood end a link", () => {
  const rules = new PeerLinkRules(welcome("w1"), true, () => 0);
  rules.received({ type: "accepted" });
  expect(() => {
    for (let i = 0; i < 200; i++) rules.received({ type: "heartbeat", sentMs: 0 });
  }).toThrow(/flood of heartbeats/);
});
