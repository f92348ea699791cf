import {
  coordinatorCodec,
  HeaderChecksums,
  type MessageOf,
  protocolVersion,
  type ToCoordinator,
  type ToWorker,
} from "@tutti/core/wire";
import type { WebSocket } from "ws";
import type { Dice } from "../../packages/tutti/src/chaos/dice.ts";
import type { PreparedRun } from "../../packages/tutti/src/prepare-run.ts";
import { type Frame, type Header, mutated, mutatedHeader, randomFrame, sealed } from "./mutate.ts";

/** What a coordinator says, and the tensor behind it. */
export interface Said {
  readonly message: ToWorker;
  readonly payload?: Uint8Array;
}

/** A worker that has connected. */
export class Caller {
  readonly ended: Promise<number>;
  readonly #socket: WebSocket;
  readonly #codec = coordinatorCodec();
  readonly #sent = new HeaderChecksums();
  readonly #received = new HeaderChecksums();
  readonly #heard = new Set<ToCoordinator["type"]>();
  readonly #waiting = new Set<() => void>();

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("error", () => {});
    socket.on("message", (data: Buffer) => {
      try {
        this.#heard.add(this.#codec.decode(this.#received.open(data).header).type);
      } catch {
        // a chunk
      }
      for (const look of [...this.#waiting]) look();
    });
    this.ended = new Promise((resolve) => socket.on("close", resolve));
  }

  /** Resolves when it has said that, or has gone. */
  says(type: ToCoordinator["type"]): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.#heard.has(type)) resolve();
      };
      this.#waiting.add(look);
      void this.ended.then(() => resolve());
      look();
    });
  }

  /** The header first. */
  frames({ message, payload }: Said): readonly [Header, ...Uint8Array[]] {
    const header = { bytes: this.#codec.encode(message), payload };
    return [header, ...(payload === undefined || payload.byteLength === 0 ? [] : [payload])];
  }

  say(...said: readonly Said[]): void {
    for (const one of said) for (const frame of this.frames(one)) this.raw(frame);
  }

  raw(frame: Frame): void {
    this.#socket.send(sealed(frame, this.#sent), { binary: typeof frame !== "string" }, () => {});
  }

  ping(): void {
    this.#socket.ping("anyone there?", undefined, () => {});
  }

  hangUp(code: number): void {
    this.#socket.close(code, "no reason");
  }
}

/** What a real coordinator would say to a worker up to its first commit. */
export function script({ run, compiled }: PreparedRun) {
  const parameters = compiled.initialParameters();
  const shard = run.canaries[0]!;
  const position = { generation: 7, round: 1, step: 0 };
  const chunk = { generation: 7, chunk: 0, payloadBytes: parameters.byteLength };
  const bytes = new Uint8Array(parameters.buffer, parameters.byteOffset, parameters.byteLength);
  const welcome: MessageOf<ToWorker, "welcome"> = {
    type: "welcome",
    protocol: protocolVersion,
    run: run.id,
    generation: 7,
    worker: "w1",
    seed: run.seed,
    parameterFloats: run.layout.totalFloats,
    updatedFloats: run.updated.totalFloats,
    sumsFloats: Math.max(...run.programs.map(({ sumsFloats }) => sumsFloats)),
    averageFloats: 0,
    chunkFloats: 65_536,
    inlineBytes: 16_384,
    programs: run.programs.length,
    heartbeatMs: 100,
    silenceMs: 1000,
  };
  const programs: Said[] = run.programs.map(({ id, onnx, ...manifest }) => ({
    message: { type: "program", id, manifest, payloadBytes: onnx.byteLength },
    payload: onnx,
  }));
  const canary: Said = {
    message: { type: "canary", program: shard.program, last: true, payloadBytes: shard.bytes.byteLength },
    payload: shard.bytes,
  };
  const work: Said[] = [
    { message: { type: "parameters", step: 0, ...chunk }, payload: bytes },
    {
      message: {
        type: "batch",
        generation: 7,
        round: 1,
        shard: 0,
        program: shard.program,
        firstPosition: 0,
        payloadBytes: shard.bytes.byteLength,
      },
      payload: shard.bytes,
    },
    { message: { type: "lease", ...position, lo: 0, hi: 1 } },
    { message: { type: "update", step: 1, ...chunk }, payload: bytes },
    { message: { type: "commit", generation: 7, step: 1, round: 1, hash: "0123456789abcdef" } },
    { message: { type: "skip", generation: 7, step: 2, round: 2 } },
    { message: { type: "abort", generation: 7, round: 3 } },
    { message: { type: "release", generation: 7, round: 4 } },
    { message: { type: "heartbeat", sentMs: 5 } },
  ];
  return { welcome, programs, canary, work };
}

export type Script = ReturnType<typeof script>;

/** A way to treat a worker, and how it may hang up. */
export interface BadCoordinator {
  readonly name: string;
  readonly allowed: readonly number[];
  treat(caller: Caller, lines: Script, dice: Dice): Promise<void>;
}

const broken = [4000];
/** Also what `ws` finds, 4001 after silence, and 4002 for damage. */
const coded = [1000, 1002, 1007, 1009, 4000, 4001, 4002];

/** A change to the welcome that no worker may fall for. */
const welcomes: Readonly<Record<string, Partial<MessageOf<ToWorker, "welcome">>>> = {
  "parameters for no memory": { parameterFloats: 2 ** 50, updatedFloats: 2 ** 50 },
  "updates beyond the parameters": { updatedFloats: 2 ** 20 },
  "averages beyond the parameters": { averageFloats: 2 ** 20 },
  "sums for no memory": { sumsFloats: 2 ** 40 },
  "chunks for no memory": { chunkFloats: 2 ** 30 },
  "heartbeats that no timer can wait for": { heartbeatMs: 2 ** 40 },
  "silence without end": { silenceMs: Number.MAX_SAFE_INTEGER },
  "another protocol": { protocol: 99 },
};

type Program = MessageOf<ToWorker, "program">;

/** A change to a program's header that no worker may fall for. */
const manifests: Readonly<Record<string, (program: Program, welcome: Script["welcome"]) => Program>> = {
  "a parameter behind the parameters": (program, { parameterFloats }) =>
    withView(program, "parameters", { offset: parameterFloats }),
  "a parameter far away": (program) => withView(program, "parameters", { offset: 2 ** 40 }),
  "a gradient behind the sums": (program, { sumsFloats }) => withView(program, "sums", { offset: sumsFloats }),
  "other sums than the run's": (program) => ({
    ...program,
    manifest: { ...program.manifest, sumsFloats: program.manifest.sumsFloats + 16 },
  }),
  "columns for no memory": (program) => ({
    ...program,
    manifest: { ...program.manifest, columns: [{ name: "x", dtype: "float32", shape: [2 ** 40, 2 ** 10] }] },
  }),
  "scalars for no memory": (program) => ({
    ...program,
    manifest: { ...program.manifest, scalars: { name: "scalars", length: 2 ** 40 } },
  }),
  "a graph for no memory": (program) => ({ ...program, payloadBytes: 2 ** 40 }),
};

function withView(program: Program, kind: "parameters" | "sums", change: { offset: number }): Program {
  const [first, ...others] = program.manifest[kind];
  return { ...program, manifest: { ...program.manifest, [kind]: [{ ...first!, ...change }, ...others] } };
}

/** A message that no worker may fall for once it has joined. */
const orders: Readonly<Record<string, (lines: Script, dice: Dice) => readonly Said[]>> = {
  "a lease of all shards there could ever be": () => [
    { message: { type: "lease", generation: 7, round: 1, step: 0, lo: 0, hi: Number.MAX_SAFE_INTEGER } },
  ],
  "a lease of nothing": () => [{ message: { type: "lease", generation: 7, round: 1, step: 0, lo: 3, hi: 3 } }],
  "rows that are too few": ({ canary }) => [
    {
      message: {
        type: "batch",
        generation: 7,
        round: 1,
        shard: 0,
        program: programOf(canary),
        firstPosition: 0,
        payloadBytes: 4,
      },
      payload: new Uint8Array(4),
    },
  ],
  "rows for no program": () => [
    { message: { type: "batch", generation: 7, round: 1, shard: 0, program: "00", firstPosition: 0, payloadBytes: 0 } },
  ],
  "a chunk behind the last": ({ welcome }, dice) => [
    {
      message: {
        type: "parameters",
        generation: 7,
        step: 0,
        chunk: dice.whole(1, 1000),
        payloadBytes: welcome.chunkFloats * 4,
      },
      payload: new Uint8Array(welcome.chunkFloats * 4),
    },
  ],
  "an update for no memory": () => [
    { message: { type: "update", generation: 7, step: 1, chunk: 0, payloadBytes: 2 ** 40 } },
  ],
  "one program more": ({ programs }) => [programs[0]!],
  "a second welcome": ({ welcome }) => [{ message: welcome }],
};

function programOf({ message }: Said): string {
  return message.type === "canary" ? message.program : "";
}

function join(caller: Caller, { welcome, programs, canary }: Script): Promise<void> {
  caller.say({ message: welcome }, ...programs, canary);
  return caller.says("ready");
}

/** One of them has a mutated header or payload, whose checksums mostly fit. */
function sayMutated(caller: Caller, said: readonly Said[], dice: Dice): void {
  const victim = said[dice.whole(0, said.length - 1)];
  for (const one of said) {
    const isMutated = one === victim;
    const payload =
      isMutated && one.payload !== undefined && dice.chance(0.5) ? mutated(dice, one.payload) : one.payload;
    const [header, ...rest] = caller.frames(payload === undefined ? one : { ...one, payload });
    const isHeader = isMutated && payload === one.payload;
    for (const frame of [isHeader ? mutatedHeader(dice, header) : header, ...rest]) caller.raw(frame);
  }
}

export const badCoordinators: readonly BadCoordinator[] = [
  {
    name: "hangs up",
    allowed: [1000, 1001, 3000, 4000, 4001],
    treat: async (caller, _, dice) => caller.hangUp(dice.pick([1000, 1001, 3000, 4001]) ?? 1000),
  },
  {
    name: "says this worker broke the protocol",
    allowed: broken,
    treat: async (caller) => caller.hangUp(4000),
  },
  {
    name: "sends random frames",
    allowed: coded,
    async treat(caller, { welcome }, dice) {
      if (dice.chance(0.5)) caller.say({ message: welcome });
      for (let i = dice.whole(1, 5); i > 0; i--) caller.raw(randomFrame(dice, dice.whole(0, 4096)));
      caller.raw("good night");
    },
  },
  {
    name: "sends text",
    allowed: broken,
    treat: async (caller) => caller.raw('{"type":"welcome"}'),
  },
  {
    name: "mutates what it says before the worker is ready",
    allowed: coded,
    async treat(caller, { welcome, programs, canary }, dice) {
      sayMutated(caller, [{ message: welcome }, ...programs, canary], dice);
      caller.raw("good night");
    },
  },
  {
    name: "mutates what it says to a worker that has joined",
    allowed: coded,
    async treat(caller, lines, dice) {
      await join(caller, lines);
      sayMutated(caller, lines.work, dice);
      caller.raw("good night");
    },
  },
  {
    name: "says things in any order",
    allowed: coded,
    async treat(caller, lines, dice) {
      const all = [{ message: lines.welcome }, ...lines.programs, lines.canary, ...lines.work];
      if (dice.chance(0.7)) caller.say({ message: lines.welcome });
      for (let i = dice.whole(1, 12); i > 0; i--) caller.say(dice.pick(all)!);
      caller.raw("good night");
    },
  },
  {
    name: "stops in the middle of a payload",
    allowed: [4001],
    async treat(caller, { welcome, programs }) {
      const [header] = caller.frames(programs[0]!);
      caller.say({ message: { ...welcome, silenceMs: 300 } });
      caller.raw(header);
    },
  },
  {
    name: "sends a message larger than any",
    allowed: [1009, 4000],
    treat: async (caller, _, dice) => caller.raw(new Uint8Array(dice.pick([1 << 17, 1 << 22]) ?? 0)),
  },
  {
    name: "floods with pings",
    allowed: broken,
    async treat(caller) {
      for (let i = 0; i < 2000; i++) caller.ping();
    },
  },
  ...Object.entries(welcomes).map(([name, change]) => ({
    name: `welcomes with ${name}`,
    allowed: broken,
    treat: async (caller: Caller, { welcome }: Script) => caller.say({ message: { ...welcome, ...change } }),
  })),
  ...Object.entries(manifests).map(([name, change]) => ({
    name: `sends a program with ${name}`,
    allowed: broken,
    async treat(caller: Caller, { welcome, programs }: Script) {
      const training = programs.find(({ message }) => message.type === "program" && message.manifest.sumsFloats > 0)!;
      if (training.message.type !== "program") return;
      caller.say({ message: welcome }, { ...training, message: change(training.message, welcome) });
    },
  })),
  ...Object.entries(orders).map(([name, order]) => ({
    name: `orders ${name}`,
    allowed: broken,
    async treat(caller: Caller, lines: Script, dice: Dice) {
      await join(caller, lines);
      caller.say(...order(lines, dice));
    },
  })),
];
