import { Coordinator, type Exchange } from "@tutti/coordinator";
import type { Dataset } from "@tutti/core/data";
import { isTuttiError } from "@tutti/core/errors";
import type { RunEvent } from "@tutti/core/events";
import { type ComputeMemory, computeMemory } from "@tutti/core/kernels";
import { Arena } from "@tutti/core/memory";
import { Worker, WorkerMemory } from "@tutti/worker";
import { Dice } from "../../packages/tutti/src/chaos/dice.ts";
import { CoordinatorRules, KnownRun } from "../../packages/worker/src/coordinator-rules.ts";
import { ExactLanes, type Pace } from "./exact-lanes.ts";
import { chunkFloats, normBlockFloats, tinyData, tinyRun } from "./tiny-run.ts";
import { VirtualClock } from "./virtual-clock.ts";
import { type Direction, type FrameAccident, frameFaults, type Link, virtualLink } from "./virtual-network.ts";
import { type PeerHost, PeerNetwork } from "./virtual-peers.ts";

/** What a schedule led to: everything that must be the same as in an undisturbed run. */
export interface Outcome {
  readonly weightsSha256: string;
  /** Loss, norm and samples of every step, and the validations, as text. */
  readonly trace: string;
  readonly samples: number;
}

export interface Schedule {
  readonly seed: number;
  readonly shards: number;
  readonly clip: boolean;
  readonly compress: string | undefined;
  /** What was done, for the report of a failure. */
  readonly faults: readonly string[];
  readonly outcome: Outcome;
  /** Workers sent away for a wrong answer. */
  readonly quarantined: number;
  /** What happened to frames. */
  readonly accidents: readonly FrameAccident[];
  /** How often steps began to be exchanged directly. */
  readonly direct: number;
  /** How often the coordinator had to take over from workers. */
  readonly fellBack: number;
}

/** Memory that can run out: the allocation after so many more throws, as the real one's does. */
class SmallArena extends Arena {
  left = Number.POSITIVE_INFINITY;

  override allocate(bytes: number): number {
    if (this.left-- > 0) return super.allocate(bytes);
    this.left = Number.POSITIVE_INFINITY;
    throw new RangeError("WebAssembly.Memory.grow(): Maximum memory size exceeded");
  }
}

/** Arenas are address space: schedules share some. */
export class SimulatedMachines {
  #memories: (ComputeMemory & { readonly arena: SmallArena })[] = [];
  #used = 0;
  #schedules = 0;
  #data: Promise<ReadonlyMap<string, Dataset>> | undefined;

  /** The files of workers that read for themselves. */
  data(): Promise<ReadonlyMap<string, Dataset>> {
    this.#data ??= tinyData();
    return this.#data;
  }

  next(): ComputeMemory & { readonly arena: SmallArena } {
    let memory = this.#memories[this.#used];
    if (memory === undefined) {
      const arena = new SmallArena(1 << 28);
      memory = { ...computeMemory(arena), arena };
    }
    memory.arena.left = Number.POSITIVE_INFINITY;
    this.#memories[this.#used++] = memory;
    return memory;
  }

  /** All are free again; now and then they start afresh. */
  release(): void {
    this.#used = 0;
    if (++this.#schedules % 500 === 0) this.#memories = [];
  }
}

/** A worker process. */
interface Machine {
  link: Link;
  readonly peers: PeerHost;
  readonly arena: SmallArena;
  readonly pace: Pace;
  isUp: boolean;
}

const faultKinds = [
  "kill",
  "kill while it sends",
  "kill while it sends",
  "kill all",
  "kill all",
  "kill all",
  "join",
  "silence",
  "one-way",
  "slow lane",
  "slow link",
  "engine error",
  "hang",
  "pause",
  "drain",
  "cut",
  "frame",
  "frame",
  "frame",
  "frame",
  "out of memory",
  "out of memory",
] as const;

/** What else can happen where workers talk to each other. */
const meshFaultKinds = [
  ...faultKinds,
  "peers cut",
  "peers cut",
  "peers silent",
  "peers slow",
  "peers deaf",
  "peers frame",
  "peers frame",
  "kill while it hands out",
  "kill while it hands out",
] as const;

/** With liars nobody else fails, so that there are always two honest workers. */
const faultsWithLiars = ["lie", "lie", "slow lane", "join"] as const;

const limitMs = 600_000;

/** Runs the real coordinator and workers under a schedule of faults drawn from `seed`. Throws when they hang or fail. */
export async function simulate(
  seed: number,
  machines: SimulatedMachines,
  options: {
    readonly undisturbed?: boolean;
    readonly liars?: boolean;
    /** Several workers, and no faults. */
    readonly calm?: boolean;
    readonly exchange?: Exchange;
  } = {},
): Promise<Schedule> {
  const clock = new VirtualClock();
  const dice = new Dice(seed, "schedule");
  const shards = dice.pick([1, 2, 3, 5, 8])!;
  const clip = dice.chance(0.3);
  const compress = dice.pick([undefined, undefined, "bf16", "int8"] as const);
  const data = seed % 3 === 0 ? await machines.data() : new Map<string, Dataset>();
  const run = tinyRun(shards, clip, compress, data);
  const faults: string[] = [];
  const trace: string[] = [];
  const accidents: FrameAccident[] = [];
  const up: Machine[] = [];
  const network = new PeerNetwork(clock, dice, (accident) => accidents.push(accident));
  let direct = 0;
  let fellBack = 0;
  let stepsDone = 0;
  let ended: { error?: unknown } | undefined;
  let liars = 0;
  /** At most two: three failures of one lease end a run, and must. */
  let laneFailures = 0;
  let quarantined = 0;
  const onEvent = (event: RunEvent): void => {
    if (event.type === "step") {
      stepsDone = event.step;
      trace.push(`${event.step} ${event.loss} ${event.gradientNorm} ${event.samples} ${event.weightsSha256}`);
    }
    if (event.type === "notice" && /over the coordinator|long time/.test(event.message)) fellBack++;
    if (event.type === "notice" && event.message === "workers exchange sums directly") direct++;
    // Checksums find all that happens to frames, but for the payload of an update, which the commit's hash finds.
    const isUpdateHit = accidents.some(({ message, part }) => message === "update" && part === "payload");
    if (event.type === "notice" && /they are sent again/.test(event.message) && !isUpdateHit)
      coordinator.fail(new Error(event.message));
    if (event.type === "notice" && /is not what another computed/.test(event.message))
      coordinator.fail(new Error(event.message));
    if (event.type === "worker" && /differ/.test(event.reason ?? "")) coordinator.fail(new Error(event.reason));
    // Honest ends of a link on which nothing happened to frames have nothing to reproach each other with.
    if (event.type === "worker" && /damaged|protocol/.test(event.reason ?? "") && accidents.length === 0)
      coordinator.fail(new Error(event.reason));
    if (event.type === "worker" && event.event === "refused") quarantined++;
    if (event.type === "validation") trace.push(`validation ${event.step} ${event.loss}`);
  };
  const head = machines.next();
  const coordinator = new Coordinator(
    run,
    {
      step: 0,
      parameters: Float32Array.from({ length: run.layout.totalFloats }, (_, i) =>
        i < 30 || (i >= 32 && i < 72) ? Math.fround((i % 7) * 0.1 - 0.2) : 0,
      ),
      slots: run.optimizer.slots.map(() => new Float32Array(run.layout.totalFloats)),
    },
    {
      clock,
      generation: 1,
      startWorkers: options.liars ? 5 : 1,
      auditShare: options.liars ? 1 : 0,
      hashEveryStep: true,
      chunkFloats,
      normBlockFloats,
      exchange: options.exchange ?? "star",
      inlineBytes: dice.chance(0.5) ? 16 : 16_384,
      memory: head,
      onEvent,
      lateMs: 300,
      graceMs: 200,
    },
  );
  // Workers of the coordinator's machine see its memory, all of them or some; what they exchange directly is in replicas.
  const sight = new Dice(seed, "shared memory");
  const seeing = options.exchange === "mesh" || options.undisturbed ? 0 : sight.pick([0, 0, 0, 0.5, 1])!;
  const join = (): void => {
    const isSeeing = sight.chance(seeing);
    const own = machines.next();
    const memory = isSeeing ? head : own;
    const pace: Pace = { factor: 1, failures: 0, starved: 0, lies: 0, onCompute: undefined };
    const lanes = new ExactLanes(dice.whole(1, 2), memory, clock, dice, pace);
    const [known, kept] = [new KnownRun(), new WorkerMemory(memory)];
    const instance = `${up.length}`;
    const peers = network.host();
    const connect = (): Link => {
      const note = (accident: FrameAccident): void => void accidents.push(accident);
      const link = virtualLink(clock, dice, new CoordinatorRules(known), note, isSeeing ? head.arena : undefined);
      if (!options.undisturbed && !options.calm && !options.liars && dice.chance(0.1)) disturbFrame(link, 8);
      coordinator.accept(link.coordinatorEnd);
      const worker = new Worker({
        connection: link.workerEnd,
        lanes,
        peers,
        data,
        memory: kept,
        clock,
        checkProgram: () => {},
        numericClass: async () => "c0",
        identity: { instance, host: "virtual", pid: 1, engine: "exact", node: "virtual" },
        log: (line) => faults.push(line),
      });
      void worker.run().then(({ kind, code, message }) => {
        if (kind !== "lost") machine.isUp = false;
        if (code !== "CONNECTION_LOST") faults.push(`worker ${instance}: ${code} (${message})`);
        if (machine.isUp)
          clock.setTimer(dice.uniform() * 100, () => {
            if (machine.isUp && ended === undefined) machine.link = connect();
          });
      });
      return link;
    };
    const machine: Machine = { link: connect(), peers, arena: own.arena, pace, isUp: true };
    up.push(machine);
  };
  const disturbFrame = (link: Link, within: number): void => {
    const direction = dice.pick<Direction>(["toWorker", "toCoordinator"])!;
    link.disturb(direction, dice.pick(frameFaults)!, dice.whole(0, within));
  };
  const disturb = (): void => {
    const alive = up.filter(({ isUp }) => isUp);
    const victim = dice.pick(alive);
    const kind = dice.pick<(typeof meshFaultKinds | typeof faultsWithLiars)[number]>(
      options.liars ? faultsWithLiars : options.exchange === "mesh" ? meshFaultKinds : faultKinds,
    )!;
    faults.push(`${clock.now().toFixed(1)} ms, after step ${stepsDone}: ${kind}`);
    if (kind === "join" || victim === undefined) {
      join();
      return;
    }
    const kill = (machine: Machine): void => {
      machine.isUp = false;
      machine.link.kill();
      machine.peers.kill();
    };
    if (kind === "pause") {
      if (coordinator.isOver) return;
      coordinator.order({ action: "pause" });
      clock.setTimer(dice.uniform() * 50, () => {
        if (coordinator.status.state === "paused") coordinator.order({ action: "resume" });
      });
      return;
    }
    if (kind === "lie") {
      if (liars++ < 2) victim.pace.lies = dice.whole(1, 5);
      return;
    }
    if (kind === "kill") kill(victim);
    else if (kind === "kill all") {
      victim.link.afterSent(dice.whole(1, 12), () => {
        for (const machine of up.filter(({ isUp }) => isUp)) kill(machine);
        clock.setTimer(dice.uniform() * 50, join);
      });
    } else if (kind === "kill while it sends") victim.link.afterSent(dice.whole(1, 12), () => kill(victim));
    else if (kind === "kill while it hands out") {
      const socket = dice.pick(victim.peers.sockets)?.[0];
      if (socket !== undefined) socket.watch = { frames: dice.whole(1, 12), call: () => kill(victim) };
    } else if (kind === "peers cut") victim.peers.cut();
    else if (kind === "peers silent") victim.peers.silence();
    else if (kind === "peers slow") victim.peers.slowDown(200);
    else if (kind === "peers deaf") victim.peers.isDeaf = true;
    else if (kind === "peers frame") {
      const socket = dice.pick(victim.peers.sockets.flat());
      if (socket !== undefined) socket.plan = { fault: dice.pick(frameFaults)!, after: dice.whole(0, 20) };
    } else if (kind === "silence") victim.link.silence("both");
    else if (kind === "one-way") victim.link.silence(dice.pick(["toWorker", "toCoordinator"])!);
    else if (kind === "slow lane") victim.pace.factor = 60;
    else if (kind === "drain") drain(coordinator, dice);
    else if (kind === "hang") victim.pace.factor = 1e9;
    else if (kind === "slow link") victim.link.slowDown(200);
    else if (kind === "cut") victim.link.cut();
    else if (kind === "frame") disturbFrame(victim.link, 40);
    else if (kind === "out of memory") {
      const [way, after] = [dice.whole(0, 2), dice.whole(0, 3)];
      if (way === 0) {
        if (laneFailures++ < 2) victim.pace.starved = 1;
      } else if (way === 1) victim.arena.left = after;
      else
        victim.pace.onCompute = () => {
          kill(victim);
          clock.setTimer(dice.uniform() * 50, join);
        };
    } else if (laneFailures++ < 2) victim.pace.failures = 1;
    if (!/^(slow link|engine error|cut|frame|out of memory|peers .*)$/.test(kind))
      clock.setTimer(dice.uniform() * 50, join); // its place is filled again
  };
  const first = options.undisturbed ? 1 : options.liars ? 5 : dice.whole(3, 5);
  for (let i = 0; i < first; i++) clock.setTimer(dice.uniform() * 20, join);
  if (!options.undisturbed && !options.calm) {
    const count = dice.whole(2, 8);
    for (let i = 0; i < count; i++) clock.setTimer(dice.uniform() * 150, disturb);
  }
  const done = coordinator.train().then(
    () => {
      ended = {};
    },
    (error: unknown) => {
      ended = { error };
    },
  );
  while (ended === undefined) {
    if (!clock.advance() || clock.now() > limitMs) {
      throw new Error(
        `schedule ${seed} hangs at ${clock.now()} ms after step ${stepsDone}; faults:\n${faults.join("\n")}`,
      );
    }
    await settled();
  }
  await done;
  if (ended.error !== undefined)
    throw new Error(`schedule ${seed} failed: ${String(ended.error)}; faults:\n${faults.join("\n")}`, {
      cause: ended.error,
    });
  machines.release();
  const samples = trace.reduce(
    (sum, line) => (line.startsWith("validation") ? sum : sum + Number(line.split(" ")[3])),
    0,
  );
  return {
    seed,
    shards,
    clip,
    compress,
    faults,
    quarantined,
    accidents,
    direct,
    fellBack,
    outcome: { weightsSha256: coordinator.weightsSha256(), trace: trace.join("\n"), samples },
  };
}

/** Asks for any worker to be drained; the last one that computes may not be. */
function drain(coordinator: Coordinator, dice: Dice): void {
  const worker = dice.pick(coordinator.status.workers)?.id;
  try {
    if (worker !== undefined) coordinator.order({ action: "drain", worker });
  } catch (error) {
    if (!isTuttiError(error) || error.code !== "BAD_OPTION") throw error;
  }
}

/** All promises that can go on have gone on. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
