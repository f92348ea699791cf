import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { StepEvent } from "@tutti/core/events";
import { expect, onTestFinished, test } from "vitest";
import {
  type Calibration,
  type PlannedCompression,
  type PlannedExchange,
  predict,
} from "../../packages/tutti/src/plan/predict.ts";
import { root, TuttiProcess, temporaryFolder } from "../system/tutti-process.ts";
import { type Host, network, whyNot } from "./network.ts";

const reason = whyNot();
if (reason !== undefined) console.warn(`SKIPPED, predictions against networks: ${reason}`);

/** An MLP of 2.7 MB, so that even the quicker network has something to do. */
const runFile = join(root, "bench/sides/start-run.ts");

/** Links between workers are made, state is sent, connections find their speed. */
const warmUpSteps = 6;

function tuttiOn(host: Host, args: readonly string[], token: string): ChildProcess {
  const [command, ...rest] = [...host.prefix, process.execPath, join(root, "packages/tutti/bin/tutti.js"), ...args];
  const child = spawn(command!, rest, {
    cwd: root,
    env: { ...process.env, TUTTI_TOKEN: token },
    stdio: ["ignore", "pipe", "ignore"],
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  return child;
}

/**
 * Medians over steps with the coordinator and each worker on a host of its own: wall time, and what of it is no computing. The
 * cores are those of this one machine, which other programs and all hosts share, so only the latter is the model's matter.
 */
async function measured(
  hosts: readonly Host[],
  settings: readonly string[],
  steps: number,
  exchange: PlannedExchange,
  compress: PlannedCompression,
): Promise<{ wallMs: number; otherMs: number }> {
  const [own, ...others] = hosts;
  const token = randomBytes(32).toString("hex");
  const where = ["--host", own!.address, "--port", "0", "--min-workers", String(others.length), "--exchange", exchange];
  const out = temporaryFolder();
  const packed = compress === "none" ? [] : ["--set", `compress=${compress}`];
  const args = ["coordinator", runFile, ...settings, ...packed, ...where, "--out", out, "--json"];
  const coordinator = tuttiOn(own!, args, token);
  const found: { wallMs: number; otherMs: number }[] = [];
  const workers: ChildProcess[] = [];
  for await (const line of createInterface({ input: coordinator.stdout! })) {
    const event = JSON.parse(line);
    const url = /^listening for workers at (ws:\S+)$/.exec(event.message ?? "")?.[1];
    if (url !== undefined)
      for (const host of others) workers.push(tuttiOn(host, ["worker", url, "--peer-host", host.address], token));
    if (event.type !== "step" || event.step <= warmUpSteps) continue;
    const { wallMs, time } = event as StepEvent;
    found.push({ wallMs, otherMs: wallMs - time.computeMs - time.stragglerMs });
    if (found.length === steps) break;
  }
  const ended = [coordinator, ...workers].map((child) => new Promise((resolve) => child.once("close", resolve)));
  for (const child of [coordinator, ...workers]) child.kill("SIGKILL");
  await Promise.all(ended); // a namespace lives as long as a process in it
  const median = (of: (step: (typeof found)[number]) => number): number =>
    found.map(of).sort((a, b) => a - b)[found.length >> 1]!;
  return { wallMs: median(({ wallMs }) => wallMs), otherMs: median(({ otherMs }) => otherMs) };
}

test.skipIf(reason !== undefined).each([
  // Where links decide, whole steps are compared. At 1 Gbit/s the cores do, which all hosts and other programs share here: what is
  // no computing is compared, with a wide margin.
  { mbit: 100, shards: 4, steps: 5, allowed: 0.4, counts: [1, 2], exchange: "star", compress: "none" },
  { mbit: 1000, shards: 4, steps: 12, allowed: 1.5, counts: [1, 2], exchange: "star", compress: "none" },
  { mbit: 100, shards: 4, steps: 5, allowed: 0.4, counts: [2, 3], exchange: "mesh", compress: "none" },
  { mbit: 20, shards: 8, steps: 3, allowed: 0.4, counts: [6], exchange: "mesh", compress: "int8" },
  { mbit: 100, shards: 8, steps: 3, allowed: 0.4, counts: [5], exchange: "star", compress: "bf16" },
] as const)("predicts the steps of a $exchange at $mbit Mbit/s, $compress, from a run over loopback", async (one) => {
  const { mbit, shards, steps, allowed, counts, exchange, compress } = one;
  const settings = ["--set", "batchSize=512", "--set", `shards=${shards}`];
  const planned = new TuttiProcess(["plan", runFile, ...settings, "--workers", "1", "--seconds", "1", "--json"]);
  expect(await planned.end(), planned.stderr).toBe(0);
  const [calibration] = planned.events as unknown[] as [Calibration];
  const { hosts } = network(1 + Math.max(...counts), mbit);
  const rows: Record<string, string | number>[] = [];
  for (const workers of counts) {
    const bytesPerSecond = (mbit * 1e6) / 8;
    const cluster = { workers, lanes: 1, bytesPerSecond, latencyMs: 0.05, exchange, compress } as const;
    const { stepMs, computeMs, bottleneck } = predict(calibration, cluster);
    const found = await measured(hosts.slice(0, 1 + workers), settings, steps, exchange, compress);
    const [predictedMs, foundMs] = mbit < 1000 ? [stepMs, found.wallMs] : [stepMs - computeMs, found.otherMs];
    const error = predictedMs / foundMs - 1;
    rows.push({
      exchange,
      compress,
      "Mbit/s": mbit,
      workers,
      "step predicted": stepMs.toFixed(1),
      "step measured": found.wallMs.toFixed(1),
      "of it no computing": (stepMs - computeMs).toFixed(1),
      "no computing, measured": found.otherMs.toFixed(1),
      error: `${(100 * error).toFixed(0)} %`,
      bottleneck,
    });
    expect(Math.abs(error), JSON.stringify(rows)).toBeLessThan(allowed);
  }
  console.table(rows);
});
