import type { Dice } from "./dice.ts";
import type { Fleet, Place } from "./fleet.ts";
import type { SupervisedCoordinator } from "./supervised-coordinator.ts";

/** What faults happen to. */
export interface Scene {
  readonly coordinator: SupervisedCoordinator;
  readonly fleet: Fleet;
  /** Workers that the run has when nothing happens. */
  readonly workers: number;
  /** Starts another coordinator on the same directory; resolves when it is gone. */
  readonly rival: () => Promise<void>;
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
