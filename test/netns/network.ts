import { execFileSync } from "node:child_process";
import { onTestFinished } from "vitest";

/** Why network namespaces cannot be used here; undefined if they can. */
export function whyNot(): string | undefined {
  if (process.platform !== "linux") return `network namespaces are Linux's, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return "network namespaces need root";
  const name = `tutti-probe-${process.pid}`;
  try {
    ip("netns", "add", name);
    ip("netns", "del", name);
    return undefined;
  } catch (error) {
    return `\`ip netns add\` fails: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}`;
  }
}

/** A host of its own, as the network sees it. */
export interface Host {
  readonly address: string;
  /** Words to put before a command, so that it runs there. */
  readonly prefix: readonly string[];
  /** Pulls the cable out. */
  linkDown(): void;
  linkUp(): void;
  /** From now on nothing that this host sends reaches the other, and the reverse. */
  cutOff(other: Host): void;
}

export interface Network {
  /** This side's address, where a coordinator can listen. */
  readonly address: string;
  readonly hosts: readonly Host[];
}

/**
 * Hosts behind a switch (a bridge of this machine), each in a network namespace and limited to so many Mbit/s both ways.
 * Gone when the test is over.
 */
export function network(count: number, mbitPerSecond: number): Network {
  const [bridge, subnet] = [`tutti${process.pid % 10_000}`, "10.213.77"];
  onTestFinished(() => quietly(() => ip("link", "del", bridge)));
  ip("link", "add", bridge, "type", "bridge");
  ip("addr", "add", `${subnet}.1/24`, "dev", bridge);
  ip("link", "set", bridge, "up");
  const hosts = Array.from({ length: count }, (_, i): Host => {
    const [namespace, outer] = [`tutti-${process.pid}-${i}`, `tt${process.pid % 10_000}-${i}`];
    onTestFinished(() => quietly(() => ip("netns", "del", namespace)));
    ip("netns", "add", namespace);
    ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", namespace);
    ip("link", "set", outer, "master", bridge, "up");
    for (const args of [
      ["addr", "add", `${subnet}.${i + 2}/24`, "dev", "eth0"],
      ["link", "set", "lo", "up"],
      ["link", "set", "eth0", "up"],
    ])
      ip("-n", namespace, ...args);
    // A bucket that lasts for 2 ms: a smaller one would not fill the link.
    const burst = `${Math.max(64, mbitPerSecond / 4)}k`;
    const shape = ["root", "tbf", "rate", `${mbitPerSecond}mbit`, "burst", burst, "latency", "50ms"];
    execFileSync("tc", ["qdisc", "add", "dev", outer, ...shape]);
    execFileSync("tc", ["-n", namespace, "qdisc", "add", "dev", "eth0", ...shape]);
    return {
      address: `${subnet}.${i + 2}`,
      prefix: ["ip", "netns", "exec", namespace],
      linkDown: () => ip("link", "set", outer, "down"),
      linkUp: () => ip("link", "set", outer, "up"),
      cutOff: ({ address }) => {
        ip("-n", namespace, "route", "add", "blackhole", `${address}/32`);
      },
    };
  });
  return { address: `${subnet}.1`, hosts };
}

function ip(...args: readonly string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
}

function quietly(act: () => void): void {
  try {
    act();
  } catch {
    // it was never made, or went with what it was part of
  }
}
