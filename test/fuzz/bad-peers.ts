import { type MessageOf, type PeerMessage, protocolVersion } from "@tutti/core/wire";
import type { Dice } from "../../packages/tutti/src/chaos/dice.ts";
import { type BadWorker, noFrames, strangers } from "./bad-workers.ts";
import { type Frame, mutatedHeader, randomBytes, randomFrame } from "./mutate.ts";
import { afterwards, type Target, Visitor } from "./visitor.ts";

/** A worker of a run with direct exchange, as its peers know it: `token` is the run's key. */
export interface PeerTarget extends Target {
  readonly run: string;
  readonly generation: number;
  readonly worker: string;
  readonly sumsFloats: number;
  readonly chunkFloats: number;
}

type BadPeer = BadWorker<PeerTarget>;
type PeerVisitor = Visitor<PeerMessage, PeerMessage>;
type Chunk = MessageOf<PeerMessage, "contribution">;

const broken = [4000];
/** Also damage (4002), and what `ws` finds (1002, 1007, 1009). */
const coded = [1002, 1007, 1009, 4002, ...broken];

/** Somebody whom the coordinator has never admitted. Of two with the same name the first is dropped for the second. */
const ghost = (dice: Dice) => ({ from: `ghost-${dice.whole(0, 2 ** 31)}` });
export const isGhost = (id: string): boolean => id.startsWith("ghost-");

function greeting(
  { run, generation, worker }: PeerTarget,
  over: { readonly from: string } & Partial<MessageOf<PeerMessage, "greeting">>,
): PeerMessage {
  return { type: "greeting", protocol: protocolVersion, run, generation, to: worker, ...over };
}

/** Sums of the first chunk, of a generation that is none, so that whoever believes them is found out. */
function contribution({ generation, sumsFloats, chunkFloats }: PeerTarget, over: Partial<Chunk> = {}): Chunk {
  const payloadBytes = 4 * Math.min(sumsFloats, chunkFloats);
  const position = { generation: generation + 1, round: 1, step: 1, lo: 0, hi: 1, chunk: 0 };
  return { type: "contribution", ...position, payloadBytes, ...over };
}

/** One of every message that workers send each other. */
function conversation(target: PeerTarget, dice: Dice): readonly PeerMessage[] {
  const { generation, round, step, chunk, payloadBytes } = contribution(target);
  return [
    greeting(target, ghost(dice)),
    { type: "accepted" },
    { type: "heartbeat", sentMs: 0 },
    contribution(target),
    { type: "reduced", generation, round, step, chunk, payloadBytes },
  ];
}

/** Greets as it should, and is let in. */
async function letIn(target: PeerTarget, dice: Dice): Promise<PeerVisitor> {
  const visitor = await Visitor.openPeer(target);
  visitor.say(greeting(target, ghost(dice)));
  await visitor.hears("accepted", 5000);
  return visitor;
}

const withTheKey: readonly BadPeer[] = [
  {
    name: "somebody who does not greet",
    allowed: broken,
    async visit(target, dice) {
      const visitor = await Visitor.openPeer(target);
      return afterwards(visitor, [
        visitor.encode(dice.pick(conversation(target, dice).slice(1)) ?? { type: "accepted" }),
      ]);
    },
  },
  {
    name: "a greeting that is for somebody else",
    allowed: broken,
    async visit(target, dice) {
      const visitor = await Visitor.openPeer(target);
      const over = dice.pick([
        { protocol: protocolVersion + dice.whole(1, 1000) },
        { run: `${target.run}x` },
        { generation: target.generation + dice.whole(1, 9) },
        { to: "nobody" },
      ]);
      visitor.say(greeting(target, { ...ghost(dice), ...over }));
      return visitor.ended;
    },
  },
  {
    name: "a second greeting",
    allowed: broken,
    async visit(target, dice) {
      const visitor = await letIn(target, dice);
      visitor.say(dice.chance(0.5) ? greeting(target, ghost(dice)) : { type: "accepted" });
      return visitor.ended;
    },
  },
  {
    name: "a chunk of another size than the run has",
    allowed: broken,
    async visit(target, dice) {
      const visitor = await letIn(target, dice);
      const whole = contribution(target);
      const bytes = dice.pick([0, 4, whole.payloadBytes - 4, whole.payloadBytes + 4, 1 << 30, 2 ** 40]) ?? 0;
      visitor.say({ ...whole, payloadBytes: bytes });
      return visitor.ended;
    },
  },
  {
    name: "a chunk or node that the run does not have",
    allowed: broken,
    async visit(target, dice) {
      const visitor = await letIn(target, dice);
      const beyond = Math.ceil(target.sumsFloats / target.chunkFloats) + dice.whole(0, 1000);
      visitor.say(contribution(target, dice.pick([{ chunk: beyond }, { lo: 3, hi: 3 }, { lo: 5, hi: 2 }])));
      return visitor.ended;
    },
  },
  {
    name: "a chunk that is not whole",
    allowed: broken,
    async visit(target, dice) {
      const visitor = await letIn(target, dice);
      const whole = contribution(target);
      return afterwards(visitor, [visitor.encode(whole), randomBytes(dice, dice.whole(0, whole.payloadBytes - 1))]);
    },
  },
  {
    name: "chunks of no round that is",
    allowed: broken,
    async visit(target, dice) {
      const visitor = await letIn(target, dice);
      const whole = contribution(target);
      const frames: Frame[] = [];
      for (let i = dice.whole(1, 20); i > 0; i--) {
        const payload = randomBytes(dice, whole.payloadBytes);
        frames.push(visitor.encode({ ...whole, round: dice.whole(0, 1000) }, payload), payload);
      }
      return afterwards(visitor, frames);
    },
  },
  {
    name: "a flood of heartbeats",
    allowed: broken,
    async visit(target, dice) {
      const visitor = await letIn(target, dice);
      for (let i = 0; i < 5000; i++) visitor.say({ type: "heartbeat", sentMs: i });
      return visitor.ended;
    },
  },
  {
    name: "a flood of pings",
    allowed: [4000, 4001],
    async visit(target) {
      const visitor = await Visitor.openPeer(target);
      for (let i = 0; i < 2000; i++) visitor.socket.ping("anyone there?", undefined, () => {});
      return visitor.ended;
    },
  },
  {
    name: "a message larger than any",
    allowed: [1009, ...broken],
    async visit(target, dice) {
      const visitor = dice.chance(0.5) ? await Visitor.openPeer(target) : await letIn(target, dice);
      return afterwards(visitor, [new Uint8Array(dice.pick([1 << 13, 1 << 20, (1 << 21) + 1, 1 << 23]) ?? 0)]);
    },
  },
  {
    name: "random frames",
    allowed: coded,
    async visit(target, dice) {
      const visitor = dice.chance(0.5) ? await Visitor.openPeer(target) : await letIn(target, dice);
      const count = dice.whole(1, 5);
      return afterwards(
        visitor,
        Array.from({ length: count }, () => randomFrame(dice, dice.whole(0, 2000))),
      );
    },
  },
  {
    name: "mutated messages",
    allowed: coded,
    async visit(target, dice) {
      const visitor = await Visitor.openPeer(target);
      const frames = conversation(target, dice).map((message) => visitor.encode(message));
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
      const visitor = await Visitor.openPeer(target);
      const frames = Array.from({ length: dice.whole(1, 12) }, () =>
        dice.chance(0.1)
          ? randomFrame(dice, 64)
          : visitor.encode(dice.pick(conversation(target, dice)) ?? { type: "accepted" }),
      );
      return afterwards(visitor, frames);
    },
  },
  { ...noFrames, allowed: coded },
];

/** Takes seconds to be over. */
export const slowPeers: readonly BadWorker[] = strangers.filter(({ name }) => name === "a request that never ends");

export const badPeers: readonly BadPeer[] = [
  ...strangers.filter((stranger) => !slowPeers.includes(stranger)),
  ...withTheKey,
];
