import { execFileSync } from "node:child_process";
import { closeSync, openSync, readFileSync, readSync, rmSync, truncateSync, writeSync } from "node:fs";
import type { Dice } from "./dice.ts";
import type { Fleet, Place } from "./fleet.ts";
import type { SupervisedCoordinator } from "./supervised-coordinator.ts";

/** What faults happen to. */
export interface Scene {
  readonly coordinator: SupervisedCoordinator;
  readonly fleet: Fleet;
  /** Workers that the run has when nothing happens. */
  readonly workers: number;
  /** The newest checkpoint's path; undefined if there is none yet. */
  readonly newestCheckpoint: () => string | undefined;
  /** The disk that the coordinator writes to, if it is one that can be filled. */
  readonly disk: SmallDisk | undefined;
  /** Starts another coordinator on the same directory; resolves when it is gone. */
  readonly rival: () => Promise<void>;
}

/** A disk that nothing else needs. */
export interface SmallDisk {
  /** Leaves no room on it. */
  fill(): void;
  /** Takes away what `fill` wrote. */
  free(): void;
}

/** A fault that has happened. */
export interface Inflicted {
  readonly detail: string;
  /** When it ends by itself, if it does: after so many more steps were committed (or 20 s), or so many milliseconds. */
  readonly lasts?: { readonly steps: number } | { readonly ms: number };
  readonly lift?: () => void;
}

/** Does it, to whom the dice say; undefined if there is nobody to do it to. */
type Fault = (scene: Scene, dice: Dice) => Inflicted | undefined;

const connected = ({ fleet }: Scene): readonly Place[] => fleet.places.filter(({ link }) => link.isConnected);
const awake = ({ fleet }: Scene): readonly Place[] =>
  fleet.places.filter(({ command }) => command?.isAlive === true && !command.isSuspended);

const faults = {
  "worker killed": (scene, dice) => {
    const victim = dice.pick(awake(scene));
    if (victim === undefined) return undefined;
    victim.command?.kill();
    return { detail: "" };
  },

  "all workers killed": (scene) => {
    for (const { command } of scene.fleet.places) command?.kill();
    return { detail: `${scene.fleet.places.length}` };
  },

  "worker stopped for a moment": (scene, dice) => suspended(scene, dice, { ms: dice.whole(100, 1500) }),
  "worker stopped until given up": (scene, dice) => suspended(scene, dice, { steps: 1 }),

  "worker ten times slower": (scene, dice) => {
    const command = dice.pick(awake(scene))?.command;
    const steps = dice.whole(5, 15);
    return command && { detail: `${steps} steps`, lasts: { steps }, lift: command.slowDown(10) };
  },

  "engine error in a lane": (scene, dice) => ordered(scene, dice, "error"),
  "lane that loops": (scene, dice) => ordered(scene, dice, "loop"),

  "worker out of memory": (scene, dice) => {
    const victim = dice.pick(awake(scene));
    const pid = victim?.command?.pid;
    const used = pid === undefined ? undefined : addressSpace(pid);
    if (victim === undefined || pid === undefined || used === undefined) return undefined;
    limitAddressSpace(pid, used + (64 << 20));
    victim.order("memory");
    const lift = (): void => {
      rmSync(victim.orders, { force: true });
      if (victim.command?.pid === pid && victim.command.isAlive) limitAddressSpace(pid, undefined);
    };
    return { detail: "", lasts: { steps: 3 }, lift };
  },

  "worker joins": ({ fleet, workers }, dice) => {
    if (fleet.places.length >= workers + 2) dice.pick(fleet.places)?.leave();
    fleet.add().catch(() => {}); // no port is free: then it does not join
    return { detail: `${fleet.places.length} before` };
  },

  "worker leaves": (scene, dice) => {
    const victim = dice.pick(awake(scene));
    if (victim === undefined || scene.fleet.places.length <= 2) return undefined;
    victim.leave();
    return { detail: `${scene.fleet.places.length} before` };
  },

  "coordinator killed": ({ coordinator }) => {
    coordinator.kill();
    return { detail: "" };
  },

  "coordinator killed, newest checkpoint torn": (scene, dice) =>
    damaged(scene, dice, (path, bytes, at) => truncateSync(path, Math.floor(at * bytes))),
  "coordinator killed, bit of newest checkpoint flipped": (scene, dice) =>
    damaged(scene, dice, (path, bytes, at) => flipBit(path, Math.floor(at * bytes))),

  "disk full": ({ coordinator, disk }, dice) => {
    const ms = dice.whole(1000, 3000);
    if (disk === undefined) return undefined;
    disk.fill();
    coordinator.isOutOfRoom = true;
    const lift = (): void => {
      disk.free();
      coordinator.isOutOfRoom = false;
    };
    return { detail: `${ms} ms`, lasts: { ms }, lift };
  },

  "coordinator stopped for a moment": ({ coordinator }, dice) => {
    const ms = dice.whole(100, 2000);
    return { detail: `${ms} ms`, lasts: { ms }, lift: coordinator.suspend() };
  },

  "coordinator stopped until given up": ({ coordinator }) => {
    return { detail: "7 s", lasts: { ms: 7000 }, lift: coordinator.suspend() };
  },

  "second coordinator on the directory": ({ rival }) => {
    void rival();
    return { detail: "" };
  },

  "connection cut": (scene, dice) => {
    const victim = dice.pick(connected(scene));
    const withReset = dice.chance(0.5);
    if (victim === undefined) return undefined;
    victim.link.cut(withReset);
    return { detail: withReset ? "reset" : "closed" };
  },

  "half-open connection": (scene, dice) => swallowed(scene, dice, ["up", "down"]),
  "silent to the coordinator": (scene, dice) => swallowed(scene, dice, ["up"]),
  "silent to the worker": (scene, dice) => swallowed(scene, dice, ["down"]),

  "link down and up": (scene, dice) => {
    const victim = dice.pick(connected(scene));
    const ms = dice.whole(200, 3000);
    if (victim === undefined) return undefined;
    victim.link.down();
    return { detail: `${ms} ms`, lasts: { ms }, lift: () => victim.link.up() };
  },

  "delayed link": (scene, dice) => {
    const victim = dice.pick(connected(scene));
    const [ms, steps] = [dice.whole(5, 200), dice.whole(2, 10)];
    if (victim === undefined) return undefined;
    victim.link.delay(ms);
    return { detail: `${ms} ms each way`, lasts: { steps }, lift: () => victim.link.delay(0) };
  },

  "narrow link": (scene, dice) => {
    const victim = dice.pick(connected(scene));
    const [kilobytes, steps] = [dice.whole(200, 4000), dice.whole(2, 10)];
    if (victim === undefined) return undefined;
    victim.link.limit(kilobytes * 1000);
    const lift = (): void => victim.link.limit(Number.POSITIVE_INFINITY);
    return { detail: `${kilobytes} kB/s`, lasts: { steps }, lift };
  },

  "byte corrupted": (scene, dice) => {
    const victim = dice.pick(connected(scene));
    const direction = dice.chance(0.5) ? "up" : "down";
    const afterBytes = Math.floor(2 ** (dice.uniform() * 17));
    const bit = dice.whole(0, 7);
    if (victim === undefined) return undefined;
    victim.link.corrupt(direction, afterBytes, bit);
    return { detail: `bit ${bit}, ${direction}, after ${afterBytes} bytes` };
  },
} satisfies Readonly<Record<string, Fault>>;

export type FaultKind = keyof typeof faults;

export const faultKinds = Object.keys(faults) as readonly FaultKind[];

/** Those that this machine, and this scene, have the means for. */
export function possibleFaults(kinds: readonly FaultKind[], disk: SmallDisk | undefined): readonly FaultKind[] {
  const isImpossible: Partial<Record<FaultKind, boolean>> = {
    "disk full": disk === undefined,
    "worker out of memory": !canLimitMemory(),
  };
  return kinds.filter((kind) => isImpossible[kind] !== true);
}

/** Does a fault to whom the dice say; undefined if there is nobody to do it to just now. */
export function inflict(kind: FaultKind, scene: Scene, dice: Dice): Inflicted | undefined {
  return faults[kind](scene, dice);
}

/** Those that a run recovers from within moments are tried more often. */
const copies: Partial<Record<FaultKind, number>> = {
  "worker killed": 6,
  "worker joins": 2,
  "worker leaves": 2,
  "coordinator killed": 4,
  "connection cut": 4,
  "link down and up": 2,
  "delayed link": 2,
  "narrow link": 2,
  "byte corrupted": 3,
};

/** One of each kind, some several times, in an order that the dice decide. */
export function deck(dice: Dice, kinds: readonly FaultKind[]): FaultKind[] {
  return dice.shuffled(kinds.flatMap((kind) => Array.from({ length: copies[kind] ?? 1 }, () => kind)));
}

function suspended(scene: Scene, dice: Dice, lasts: { ms: number } | { steps: number }): Inflicted | undefined {
  const command = dice.pick(awake(scene))?.command;
  if (command === undefined) return undefined;
  command.suspend();
  return { detail: "ms" in lasts ? `${lasts.ms} ms` : "", lasts, lift: () => command.wake() };
}

function swallowed(scene: Scene, dice: Dice, directions: readonly ("up" | "down")[]): Inflicted | undefined {
  const victim = dice.pick(connected(scene));
  if (victim === undefined) return undefined;
  victim.link.swallow(directions);
  return { detail: "" };
}

function ordered(scene: Scene, dice: Dice, fault: "error" | "loop"): Inflicted | undefined {
  const victim = dice.pick(awake(scene));
  victim?.order(fault);
  return victim && { detail: "" };
}

/** @param damage given the file, its size and where: 0 is the beginning, 1 the end. */
function damaged(
  { coordinator, newestCheckpoint }: Scene,
  dice: Dice,
  damage: (path: string, bytes: number, at: number) => void,
): Inflicted | undefined {
  const at = dice.uniform();
  if (newestCheckpoint() === undefined) return undefined;
  coordinator.kill(() => {
    const path = newestCheckpoint();
    if (path !== undefined) damage(path, readFileSync(path).byteLength, at);
  });
  return { detail: `at ${Math.round(at * 100)} %` };
}

function flipBit(path: string, position: number): void {
  const byte = Buffer.alloc(1);
  const file = openSync(path, "r+");
  readSync(file, byte, 0, 1, position);
  byte[0]! ^= 1 << (position % 8);
  writeSync(file, byte, 0, 1, position);
  closeSync(file);
}

/** Linux, with util-linux. */
function canLimitMemory(): boolean {
  try {
    execFileSync("prlimit", ["--version"], { stdio: "ignore" });
    return process.platform === "linux";
  } catch {
    return false;
  }
}

/** Bytes that a process has reserved, used or not; undefined if it is gone. */
function addressSpace(pid: number): number | undefined {
  try {
    const [, kilobytes] = /^VmSize:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}

function limitAddressSpace(pid: number, bytes: number | undefined): void {
  try {
    execFileSync("prlimit", ["--pid", `${pid}`, `--as=${bytes ?? "unlimited"}:`], { stdio: "ignore" });
  } catch {
    // it has ended meanwhile
  }
}
