import { request } from "node:http";
import { connect } from "node:net";
import { type MessageOf, protocolVersion, subprotocol, type ToCoordinator, type ToWorker } from "@tutti/core/wire";
import { WebSocket } from "ws";
import type { Dice } from "../../packages/tutti/src/chaos/dice.ts";
import { type Header, mutated, mutatedHeader, randomBytes, randomFrame } from "./mutate.ts";
import { afterwards, type Ending, type Target, Visitor } from "./visitor.ts";

/** A visit that no worker would pay, and how whom it visits may end it. */
export interface BadWorker<At extends Target = Target> {
  readonly name: string;
  readonly allowed: readonly number[];
  visit(target: At, dice: Dice): Promise<Ending>;
}

const hello = (over: Partial<MessageOf<ToCoordinator, "hello">> = {}): ToCoordinator => ({
  type: "hello",
  protocol: protocolVersion,
  host: "visitor",
  pid: 1,
  lanes: 1,
  engine: "onnxruntime 1.30.0",
  node: "v20",
  instance: "visitor",
  ...over,
});

const somewhere = { generation: 1, round: 2, step: 3, lo: 0, hi: 1 };

/** One of every message that workers send. */
function conversation(numericClass: string): readonly ToCoordinator[] {
  return [
    hello(),
    { type: "ready", numericClass },
    { type: "heartbeat", sentMs: 0, arrivedBytes: 12, leases: 0 },
    { type: "result", ...somewhere, scalars: new Uint8Array(16), computeMs: 1, chunks: 1, payloadBytes: 0 },
    { type: "partial", ...somewhere, chunk: 0, payloadBytes: 64 },
    { type: "failed", ...somewhere, code: "ENGINE_FAILED", message: "no" },
    { type: "differs", generation: 1, step: 3, hash: "0123456789abcdef" },
    { type: "leaving", reason: "enough" },
  ];
}

/** What a socket that speaks no WebSocket gets back. */
function onSocket(target: Target, bytes: readonly (Uint8Array | string)[]): Promise<Ending> {
  return new Promise((resolve) => {
    const socket = connect(target.port, "127.0.0.1", () => {
      for (const part of bytes) socket.write(part);
    });
    let answer = "";
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      answer += text;
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
      resolve({ code: status, reason: answer.slice(0, 60) });
    });
  });
}

function upgrade(target: Target, headers: Readonly<Record<string, string>>): Promise<Ending> {
  return new Promise((resolve) => {
    const asked = request({
      port: target.port,
      host: "127.0.0.1",
      agent: false,
      headers: {
        connection: "upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-protocol": subprotocol,
        ...headers,
      },
    });
    asked.on("error", () => resolve({ code: 0, reason: "cut" }));
    asked.on("response", (response) => {
      response.resume();
      resolve({ code: response.statusCode ?? 0, reason: "" });
    });
    asked.on("upgrade", (_response, socket) => {
      socket.destroy();
      resolve({ code: 101, reason: "let in" });
    });
    asked.end();
  });
}

const broken = [4000, 4001];
/** Also damage (4002), what `ws` finds (1002, 1007, 1009), and a goodbye (1000) to a worker of another arithmetic or version. */
const coded = [1000, 1002, 1007, 1009, 4002, ...broken];

/** Who does not know the token, at a coordinator's port or a worker's. */
export const strangers: readonly BadWorker[] = [
  {
    name: "random bytes on the socket",
    allowed: [0, 400],
    visit: (target, dice) => onSocket(target, [randomBytes(dice, dice.whole(1, 4096))]),
  },
  {
    name: "a request that never ends",
    allowed: [0, 408],
    visit: (target, dice) => {
      const whole = "GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nX-More: yes\r\n";
      return onSocket(target, [whole.slice(0, dice.whole(0, whole.length))]);
    },
  },
  {
    name: "a plain HTTP request",
    allowed: [400, 426],
    visit: (target, dice) => {
      const method = dice.pick(["GET", "POST", "PUT", "OPTIONS"]);
      return onSocket(target, [
        `${method} /${dice.pick(["", "../../etc/passwd", "status"])} HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\nhello`,
      ]);
    },
  },
  { name: "no token", allowed: [401], visit: (target) => upgrade(target, {}) },
  {
    name: "another token",
    allowed: [401],
    visit: (target, dice) => {
      const wrong = Buffer.from(mutated(dice, Buffer.from(target.token))).toString("hex");
      return upgrade(target, { authorization: `Bearer ${wrong}` });
    },
  },
  {
    name: "a browser",
    allowed: [403],
    visit: (target) => upgrade(target, { authorization: `Bearer ${target.token}`, origin: "https://example.org" }),
  },
  {
    name: "a WebSocket handshake that is none",
    allowed: [400, 405],
    visit: (target, dice) =>
      upgrade(target, {
        authorization: `Bearer ${target.token}`,
        ...dice.pick([
          { "sec-websocket-version": "12" },
          { "sec-websocket-key": "short" },
          { "sec-websocket-protocol": ", ,," },
        ]),
      }),
  },
];

/** At a coordinator's port or a worker's, by somebody who knows the token. */
export const noFrames: BadWorker = {
  name: "bytes that are no WebSocket frames",
  allowed: coded,
  async visit(target, dice) {
    const socket = new WebSocket(target.url, subprotocol, { headers: { authorization: `Bearer ${target.token}` } });
    socket.on("error", () => {});
    socket.on("upgrade", (response) => {
      // A frame with a reserved opcode or bit, or without a mask, in front of anything.
      const first = dice.pick([0x83, 0x8f, 0xf2, 0xc2, 0x02, 0x00]) ?? 0;
      response.socket.write(Uint8Array.of(first, dice.whole(0, 255), ...randomBytes(dice, dice.whole(64, 512))));
      response.socket.end();
    });
    return new Promise((resolve) => {
      socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
    });
  },
};

const ofTheTransport: readonly BadWorker[] = [
  {
    name: "another version",
    allowed: [1000, 4001],
    async visit(target, dice) {
      if (dice.chance(0.5)) return (await Visitor.open(target, dice.pick(["tutti.v0", "tutti.v99", ""]))).ended;
      const visitor = await Visitor.open(target);
      visitor.say(hello({ protocol: protocolVersion + dice.whole(1, 1000) }));
      return visitor.ended;
    },
  },
  noFrames,
  {
    name: "a text frame",
    allowed: broken,
    async visit(target, dice) {
      const visitor = await Visitor.open(target);
      return afterwards(visitor, dice.chance(0.5) ? [] : [visitor.encode(hello())]);
    },
  },
  {
    name: "a message larger than any",
    allowed: [1009, ...broken],
    async visit(target, dice) {
      const visitor = await Visitor.open(target);
      return afterwards(visitor, [new Uint8Array(dice.pick([1 << 17, 1 << 20, (1 << 21) + 1, 1 << 23]) ?? 0)]);
    },
  },
  {
    name: "a flood of pings",
    allowed: broken,
    async visit(target) {
      const visitor = await Visitor.open(target);
      for (let i = 0; i < 2000; i++) visitor.socket.ping("anyone there?", undefined, () => {});
      return visitor.ended;
    },
  },
];

const ofTheProtocol: readonly BadWorker[] = [
  {
    name: "random frames",
    allowed: coded,
    async visit(target, dice) {
      const visitor = await Visitor.open(target);
      const frames = Array.from({ length: dice.whole(1, 5) }, () => randomFrame(dice, dice.whole(0, 2000)));
      return afterwards(visitor, dice.chance(0.5) ? frames : [visitor.encode(hello()), ...frames]);
    },
  },
  {
    name: "mutated messages",
    allowed: coded,
    async visit(target, dice) {
      const visitor = await Visitor.open(target);
      const frames = conversation(target.numericClass).map((message) => visitor.encode(message));
      const victim = dice.whole(0, frames.length - 1);
      return afterwards(
        visitor,
        frames.map((frame, i) => (i === victim || dice.chance(0.1) ? mutatedHeader(dice, frame) : frame)),
      );
    },
  },
  {
    name: "messages in any order",
    allowed: coded,
    async visit(target, dice) {
      const visitor = await Visitor.open(target);
      const messages = conversation(target.numericClass);
      const frames = Array.from({ length: dice.whole(1, 12) }, () =>
        dice.chance(0.1) ? randomFrame(dice, 64) : visitor.encode(dice.pick(messages) ?? hello()),
      );
      return afterwards(visitor, frames);
    },
  },
  {
    name: "a declared size beyond all bounds",
    allowed: broken,
    async visit(target, dice) {
      const visitor = await Visitor.open(target);
      const payloadBytes = dice.pick([(1 << 18) + 4, 1 << 30, 2 ** 40, Number.MAX_SAFE_INTEGER]) ?? 0;
      return afterwards(visitor, [
        visitor.encode(hello()),
        visitor.encode({ type: "ready", numericClass: target.numericClass }),
        visitor.encode({ type: "partial", ...somewhere, chunk: 0, payloadBytes }),
      ]);
    },
  },
  {
    name: "a header that is cut off",
    allowed: coded,
    async visit(target, dice) {
      const visitor = await Visitor.open(target);
      const { bytes } = visitor.encode(dice.pick(conversation(target.numericClass)) ?? hello());
      return afterwards(visitor, [{ bytes: bytes.subarray(0, dice.whole(0, bytes.length - 1)), payload: undefined }]);
    },
  },
  {
    name: "a header that declares more than it has",
    allowed: broken,
    async visit(target, dice) {
      const visitor = await Visitor.open(target);
      const kind = dice.pick([0xc6, 0xdb, 0xdd, 0xdf, 0xc9]) ?? 0; // bin, str, array, map, ext with 32-bit lengths
      const bytes = Uint8Array.of(0x81, 0xa4, 0x74, 0x79, 0x70, 0x65, kind, 0xff, 0xff, 0xff, 0xf0, 0x00);
      return afterwards(visitor, [{ bytes, payload: undefined }]);
    },
  },
  {
    name: "a message that comes twice",
    allowed: [4002],
    async visit(target, dice) {
      const visitor = await Visitor.open(target);
      const twice = dice.whole(0, 1);
      for (const [i, message] of [
        hello(),
        { type: "heartbeat", sentMs: 0, arrivedBytes: 1, leases: 0 } as const,
      ].entries()) {
        let whole: Uint8Array = new Uint8Array(0);
        const keep = (frame: Uint8Array): Uint8Array => {
          whole = frame;
          return frame;
        };
        visitor.raw({ ...visitor.encode(message), damage: keep });
        if (i === twice) visitor.raw(whole);
      }
      return visitor.ended;
    },
  },
  {
    name: "a flood of heartbeats",
    allowed: broken,
    async visit(target) {
      const visitor = await Visitor.open(target);
      visitor.say(hello());
      for (let i = 0; i < 5000; i++) visitor.say({ type: "heartbeat", sentMs: 0, arrivedBytes: i, leases: 0 });
      return visitor.ended;
    },
  },
];

type Lease = MessageOf<ToWorker, "lease">;

/** What somebody who was admitted, and knows a lease, may say about it without being believed. */
const betrayals: Readonly<
  Record<string, (lease: Lease, visitor: Visitor, dice: Dice) => readonly (Uint8Array | ToCoordinator | Header)[]>
> = {
  "scalars of another length": (lease, _, dice) => [
    result(lease, { scalars: new Uint8Array(dice.pick([0, 4, 7, 4096]) ?? 0) }),
  ],
  "sums of another length": (lease, visitor, dice) => [
    // Everything before them is as expected: nothing of it may count.
    result(lease, { scalars: wellFormedScalars(lease, visitor), chunks: 1, inline: garbage(dice, 64) }),
  ],
  "a whole answer that is wrong, then a second one": (lease, visitor, dice) => [
    // Nothing is wrong with it but its numbers: they may not count once their author has broken a rule.
    ...wholeAnswer(lease, visitor, dice),
    result(lease, { scalars: wellFormedScalars(lease, visitor) }),
  ],
  "too many chunks": (lease) => [result(lease, { chunks: 1_000_000 })],
  "a chunk that was not announced": (lease, _, dice) => {
    const bytes = garbage(dice, 8192);
    return [{ type: "partial", ...positionOf(lease), chunk: 0, payloadBytes: bytes.byteLength }, bytes];
  },
  "a chunk that is not whole": (lease, _, dice) => [
    result(lease, { scalars: new Uint8Array(4), chunks: 1 }),
    { type: "partial", ...positionOf(lease), chunk: 0, payloadBytes: 8000 },
    garbage(dice, dice.whole(0, 7999)),
  ],
  "another's lease": (lease, _, dice) => [result({ ...lease, lo: lease.lo + dice.whole(1, 9), hi: lease.hi + 10 }, {})],
  "another round": (lease, _, dice) => [result({ ...lease, round: lease.round + dice.whole(1, 9) }, {})],
  "per-sample outputs that there are none of": (lease, _, dice) => [
    result(lease, { payloadBytes: dice.whole(1, 1 << 30) }),
  ],
  "a second hello": () => [hello()],
  "a second ready": (_lease, _visitor, _dice) => [{ type: "ready", numericClass: "00" }],
  "a comparison of nothing": (lease) =>
    Array.from(
      { length: 100 },
      () => ({ type: "differs", generation: lease.generation, step: 1, hash: "00" }) as const,
    ),
  "a mutated answer": (lease, visitor, dice) => [
    // Of a length that no answer has, so that a mutation that is still a message is not believed either.
    mutatedHeader(dice, visitor.encode(result(lease, { scalars: garbage(dice, 5) }))),
  ],
};

export const insiders: readonly BadWorker[] = Object.entries(betrayals).map(([name, betray]) => ({
  name: `admitted, then ${name}`,
  allowed: [...broken, 4002], // a mutation may be of the checksum
  async visit(target, dice) {
    const visitor = await Visitor.open(target);
    visitor.say(hello());
    await visitor.hears("welcome", 5000);
    visitor.say({ type: "ready", numericClass: target.numericClass });
    const lease = (await visitor.hears("lease", 1000)) ?? ({ type: "lease", ...somewhere } as const);
    const frames = betray(lease, visitor, dice);
    return afterwards(
      visitor,
      frames.map((frame, i) => {
        if (frame instanceof Uint8Array || "bytes" in frame) return frame;
        const payload = frames[i + 1];
        return visitor.encode(frame, payload instanceof Uint8Array ? payload : undefined);
      }),
    );
  },
}));

function positionOf({ generation, round, step, lo, hi }: Lease) {
  return { generation, round, step, lo, hi };
}

function result(lease: Lease, over: Partial<MessageOf<ToCoordinator, "result">>): ToCoordinator {
  const plain = { type: "result", scalars: new Uint8Array(4), computeMs: 1, chunks: 0, payloadBytes: 0 } as const;
  return { ...plain, ...positionOf(lease), ...over };
}

/** Of the right length, and wrong: a loss and a weight of 1 for each shard. */
function wellFormedScalars(lease: Lease, visitor: Visitor): Uint8Array {
  const length = visitor.heard.find((message) => message.type === "program")?.manifest.scalars.length ?? 0;
  return new Uint8Array(new Float32Array((lease.hi - lease.lo) * length).fill(1).buffer);
}

/** A result with all its chunks, of the right lengths. */
function wholeAnswer(lease: Lease, visitor: Visitor, dice: Dice): readonly (Uint8Array | ToCoordinator)[] {
  const welcome = visitor.heard.find((message) => message.type === "welcome");
  const { sumsFloats = 0, chunkFloats = 1 } = welcome ?? {};
  const chunks = Math.ceil(sumsFloats / chunkFloats);
  const answer: (Uint8Array | ToCoordinator)[] = [
    result(lease, { scalars: wellFormedScalars(lease, visitor), chunks }),
  ];
  for (let chunk = 0; chunk < chunks; chunk++) {
    const floats = Math.min(sumsFloats, (chunk + 1) * chunkFloats) - chunk * chunkFloats;
    const sums = new Uint8Array(Float32Array.from({ length: floats }, () => dice.uniform()).buffer);
    answer.push({ type: "partial", ...positionOf(lease), chunk, payloadBytes: sums.byteLength }, sums);
  }
  return answer;
}

function garbage(dice: Dice, length: number): Uint8Array {
  return randomBytes(dice, length);
}

export const outsiders: readonly BadWorker[] = [...strangers, ...ofTheTransport, ...ofTheProtocol];
