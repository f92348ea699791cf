import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { resultOf, root, TuttiProcess, temporaryFolder, trained } from "../system/tutti-process.ts";
import { type Host, network, whyNot } from "./network.ts";

const runFile = join(root, "test/fixtures/few-digits.ts");
const reason = whyNot();
if (reason !== undefined) console.warn(`SKIPPED, workers on other hosts: ${reason}`);

/** A `tutti worker` on another host. Resolves with its exit status. */
function workerOn(
  host: Host,
  url: string,
  token: string,
  options: readonly string[] = [],
): { readonly child: ChildProcess; ended: Promise<number | null> } {
  const [command, ...args] = [
    ...host.prefix,
    process.execPath,
    join(root, "packages/tutti/bin/tutti.js"),
    "worker",
    url,
    ...options,
  ];
  const child = spawn(command!, args, { cwd: root, env: { ...process.env, TUTTI_TOKEN: token }, stdio: "ignore" });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  return { child, ended: new Promise((resolve) => child.once("close", resolve)) };
}

test.skipIf(reason !== undefined)(
  "trains the same bits with workers on other hosts, at 100 Mbit/s, with cables pulled out and put back",
  async () => {
    const undisturbed = await trained([runFile, "--workers", "0", "--lanes", "1", "--out", temporaryFolder()]);
    const { address, hosts } = network(3, 100);
    const token = randomBytes(32).toString("hex");
    const out = temporaryFolder();
    const coordinator = new TuttiProcess(
      ["coordinator", runFile, "--host", address, "--port", "0", "--min-workers", "3", "--out", out, "--json"],
      { env: { TUTTI_TOKEN: token } },
    );
    const listening = await coordinator.event("notice", ({ message }) => message.startsWith("listening"));
    const url = /ws:\S+/.exec(listening.message)![0];
    const workers = hosts.map((host) => workerOn(host, url, token));

    // A short interruption: TCP sends again, and nobody is given up.
    await coordinator.event("step", ({ step }) => step === 20);
    hosts[0]!.linkDown();
    await delay(500);
    hosts[0]!.linkUp();
    // A partition: silence is all that tells of it. Its worker is given up, and joins again when the cable is back.
    await coordinator.event("step", ({ step }) => step === 60);
    hosts[1]!.linkDown();
    const isLeft = ({ event }: { event: string }): boolean => event === "left";
    expect(coordinator.events.some((event) => event.type === "worker" && isLeft(event))).toBe(false);
    const left = await coordinator.event("worker", isLeft);
    expect(left.reason).toMatch(/^silent for \d+ ms/);
    hosts[1]!.linkUp();
    await coordinator.event("worker", ({ event, id }) => event === "joined" && !/^w[123]$/.test(id));
    // All cables at once: the run waits.
    const { step } = coordinator.events.findLast((event) => event.type === "step")!;
    for (const host of hosts) host.linkDown();
    await coordinator.event("notice", ({ message }) => message.startsWith("no worker is left"));
    for (const host of hosts) host.linkUp();
    await coordinator.event("step", (event) => event.step > step + 10);

    expect(await coordinator.end(), coordinator.stderr).toBe(0);
    expect(resultOf(coordinator.events)).toEqual(undisturbed);
    expect(await Promise.all(workers.map(({ ended }) => ended))).toEqual([0, 0, 0]);
  },
  180_000,
);

test.skipIf(reason !== undefined)(
  "trains the same bits with workers on other hosts that exchange directly, also when one cannot be reached for a while",
  async () => {
    const undisturbed = await trained([runFile, "--workers", "0", "--lanes", "1", "--out", temporaryFolder()]);
    const { address, hosts } = network(3, 1000);
    const token = randomBytes(32).toString("hex");
    const where = ["--host", address, "--port", "0", "--min-workers", "3", "--out", temporaryFolder()];
    const coordinator = new TuttiProcess(["coordinator", runFile, ...where, "--exchange", "mesh", "--json"], {
      env: { TUTTI_TOKEN: token },
    });
    const listening = await coordinator.event("notice", ({ message }) => message.startsWith("listening"));
    const url = /ws:\S+/.exec(listening.message)![0];
    const workers = hosts.map((host) => workerOn(host, url, token, ["--peer-host", "0.0.0.0"]));
    await coordinator.event("notice", ({ message }) => message === "workers exchange sums directly");
    // Everybody reaches the coordinator, and two do not reach each other any more: only heartbeats tell.
    await coordinator.event("step", ({ step }) => step === 40);
    hosts[0]!.cutOff(hosts[1]!);
    await coordinator.event("notice", ({ message }) =>
      /^sums go over the coordinator: w\d (cannot reach|has not been linked to) w\d/.test(message),
    );
    // A cable is pulled out: the run waits for its host to come back.
    hosts[2]!.linkDown();
    await coordinator.event("worker", ({ event }) => event === "left");
    hosts[2]!.linkUp();
    expect(await coordinator.end(), coordinator.stderr).toBe(0);
    expect(resultOf(coordinator.events)).toEqual(undisturbed);
    expect(await Promise.all(workers.map(({ ended }) => ended))).toEqual([0, 0, 0]);
  },
  180_000,
);
