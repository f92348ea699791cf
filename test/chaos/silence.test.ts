import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Link } from "../../packages/tutti/src/chaos/index.ts";
import { resultOf, root, TuttiProcess, temporaryFolder, trained } from "../system/tutti-process.ts";

const runFile = join(root, "test/fixtures/few-digits.ts");
/** docs/reliability.md: a heartbeat (500 ms) and 2 s. */
const namedWithinMs = 2500;
/** For the event to come here, on a machine that is busy with other tests. */
const toldWithinMs = 500;

/** A coordinator, one worker without faults, and one behind a link. */
async function scene(epochs: number): Promise<{ coordinator: TuttiProcess; link: Link; workers: TuttiProcess[] }> {
  const args = ["--port", "0", "--out", temporaryFolder(), "--set", `epochs=${epochs}`, "--json"];
  const coordinator = new TuttiProcess(["coordinator", runFile, ...args]);
  const listening = await coordinator.event("notice", ({ message }) => message.startsWith("listening"));
  const url = /ws:\S+/.exec(listening.message)![0];
  const link = await Link.open({ coordinatorPort: () => Number(new URL(url).port), onBytes: () => {} });
  onTestFinished(() => link.close());
  const workers = [url, link.url].map((to) => new TuttiProcess(["worker", to, "--json"]));
  return { coordinator, link, workers };
}

async function ended({ coordinator, workers }: { coordinator: TuttiProcess; workers: TuttiProcess[] }) {
  expect(await coordinator.end(), coordinator.stderr).toBe(0);
  for (const worker of workers) expect(await worker.end(), worker.stderr).toBe(0);
  return resultOf(coordinator.events);
}

for (const [name, directions, reason] of [
  ["a half-open connection", ["up", "down"], /^silent for \d+ ms/],
  ["a worker that cannot be heard", ["up"], /^silent for \d+ ms/],
  ["a worker that hears nothing, though its heartbeats come", ["down"], /^to this worker the coordinator was silent/],
] as const) {
  test(`names ${name} within a heartbeat and 2 s`, async () => {
    const { coordinator, link, workers } = await scene(30);
    await coordinator.event("worker", ({ event, id }) => event === "joined" && id === "w2");
    const joined = coordinator.events.findLast((event) => event.type === "step")?.step ?? 0;
    await coordinator.event("step", ({ step }) => step > joined + 10);
    link.swallow(directions);
    const startMs = performance.now();
    const left = await coordinator.event("worker", ({ event }) => event === "left");
    const namedMs = performance.now() - startMs;
    expect(left.reason).toMatch(reason);
    expect(namedMs).toBeLessThan(namedWithinMs + toldWithinMs);
    expect(namedMs).toBeGreaterThan(1500); // it might just be slow
    console.log(`${name}: named after ${Math.round(namedMs)} ms`);
    await coordinator.event("worker", ({ event, id }) => event === "joined" && id === "w3"); // it joins again
    coordinator.child.kill("SIGINT");
    await ended({ coordinator, workers });
  });
}

test("takes a link over which one chunk trickles for longer than silence may last for what it is: slow", async () => {
  const undisturbed = await trained([runFile, "--workers", "0", "--set", "epochs=1", "--out", temporaryFolder()]);
  const args = ["--port", "0", "--out", temporaryFolder(), "--set", "epochs=1", "--json"];
  const coordinator = new TuttiProcess(["coordinator", runFile, ...args]);
  const listening = await coordinator.event("notice", ({ message }) => message.startsWith("listening"));
  const port = Number(/:(\d+)$/.exec(listening.message)![1]);
  const link = await Link.open({ coordinatorPort: () => port, onBytes: () => {} });
  onTestFinished(() => link.close());
  const bytesPerSecond = 90_000;
  link.limit(bytesPerSecond); // a chunk is of 262 kB, parameters and gradients of 407 kB
  const worker = new TuttiProcess(["worker", link.url, "--json"]);
  const { wallMs } = await coordinator.event("step", ({ step }) => step === 1);
  expect(wallMs).toBeGreaterThan((400_000 * 1000) / bytesPerSecond); // it was indeed that slow
  link.limit(Number.POSITIVE_INFINITY);
  expect(await ended({ coordinator, workers: [worker] })).toEqual(undisturbed);
  const members = coordinator.events.filter((event) => event.type === "worker");
  expect(members.filter(({ event }) => event === "left")).toEqual([]);
  expect(members.filter(({ event }) => event === "joined")).toHaveLength(1);
});

/** Processes that keep the machine's cores busy. */
function load(processes: number): void {
  const spinning: ChildProcess[] = Array.from({ length: processes }, () =>
    spawn(process.execPath, ["--eval", "for (;;) Math.sqrt(2);"], { stdio: "ignore" }),
  );
  onTestFinished(() => {
    for (const child of spinning) child.kill("SIGKILL");
  });
}

test("takes nobody for silent on a machine with far more to do than it has cores", async () => {
  load(8);
  const args = [runFile, "--workers", "3", "--set", "epochs=2", "--out", temporaryFolder(), "--json"];
  const run = new TuttiProcess(["train", ...args]);
  expect(await run.end(), run.stderr).toBe(0);
  const { ledger } = await run.event("done");
  expect(run.events.flatMap((event) => (event.type === "worker" && event.event === "left" ? [event] : []))).toEqual([]);
  expect(ledger.leasesDealtAgain).toBe(0);
});
