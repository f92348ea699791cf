import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { Link } from "../../packages/tutti/src/chaos/index.ts";
import { faultyEngineUrl } from "../../packages/tutti/src/own-package.ts";
import { root, TuttiProcess, temporaryFolder, trained } from "../system/tutti-process.ts";

const runFile = join(root, "test/fixtures/blobs.ts");

/** A coordinator on a free port, and that port. */
async function coordinatorOf(out: string): Promise<{ coordinator: TuttiProcess; port: number }> {
  const coordinator = new TuttiProcess(["coordinator", runFile, "--port", "0", "--out", out, "--resume", "--json"]);
  const { message } = await coordinator.event("notice", (notice) => notice.message.startsWith("listening"));
  return { coordinator, port: Number(/:(\d+)$/.exec(message)![1]) };
}

test("joins again when the connection ended while the worker's engine was loading", async () => {
  const { coordinator, port } = await coordinatorOf(temporaryFolder());
  let chunks = 0;
  const link = await Link.open({
    coordinatorPort: () => port,
    onBytes: () => {
      chunks++;
      // The request is the first, the answer that makes it a WebSocket the second: the engine takes longer than that.
      if (chunks === 2) setImmediate(() => link.cut(false));
    },
  });
  onTestFinished(() => link.close());
  const worker = new TuttiProcess(["worker", link.url, "--json"]);
  expect(await coordinator.end(), coordinator.stderr).toBe(0);
  expect(await worker.end(), worker.stderr).toBe(0);
  expect(worker.events.filter(({ type }) => type === "notice")).toHaveLength(1); // it was cut off, and says so
});

test("ends without workers when it is started again on a run that is over", async () => {
  const out = temporaryFolder();
  const { weightsSha256, steps } = await trained([runFile, "--workers", "0", "--set", "epochs=1", "--out", out]);
  const again = new TuttiProcess([
    "coordinator",
    runFile,
    "--set",
    "epochs=1",
    "--port",
    "0",
    "--out",
    out,
    "--resume",
    "--json",
  ]);
  expect(await again.end(), again.stderr).toBe(0);
  expect(await again.event("done")).toMatchObject({ outcome: "completed", steps: steps.length, weightsSha256 });
});

const engineFault = (orders: string) => ({
  TUTTI_ENGINE_FAULT: orders,
  NODE_OPTIONS: `--import ${faultyEngineUrl}`,
});

test("ends a worker whose engine does not come back from starting when it is asked to leave", async () => {
  const orders = join(temporaryFolder(), "orders");
  writeFileSync(orders, "loop");
  const { coordinator, port } = await coordinatorOf(temporaryFolder());
  const worker = new TuttiProcess(["worker", `ws://127.0.0.1:${port}`, "--json"], { env: engineFault(orders) });
  await vi.waitUntil(() => !existsSync(orders), { timeout: 20_000 });
  worker.child.kill("SIGINT");
  expect(await worker.end(), worker.stderr).toBe(1);
  expect(await worker.event("error")).toMatchObject({ code: "LANE_HUNG" });
  coordinator.child.kill("SIGINT");
  expect(await coordinator.end(), coordinator.stderr).toBe(0);
});

test("ends a worker whose lane loops before it is ready, though the run is over without it", async () => {
  const { coordinator, port } = await coordinatorOf(temporaryFolder());
  const orders = join(temporaryFolder(), "orders");
  let isOrdered = false;
  const link = await Link.open({
    coordinatorPort: () => port,
    onBytes: (count) => {
      if (isOrdered || count < 1000) return;
      isOrdered = true; // the programs are coming: what the engine runs next is the canary
      writeFileSync(orders, "loop");
    },
  });
  onTestFinished(() => link.close());
  const worker = new TuttiProcess(["worker", link.url, "--json"], { env: engineFault(orders) });
  await vi.waitUntil(() => isOrdered && !existsSync(orders), { timeout: 20_000 });
  const other = new TuttiProcess(["worker", `ws://127.0.0.1:${port}`, "--json"]);
  expect(await coordinator.end(), coordinator.stderr).toBe(0);
  expect(await other.end(), other.stderr).toBe(0);
  expect(await worker.end(), worker.stderr).toBe(1);
  expect(await worker.event("error")).toMatchObject({ code: "LANE_HUNG" });
});

test("goes on with a lane whose thread has died, to the same bits", async () => {
  const { weightsSha256, steps } = await trained([runFile, "--workers", "0", "--out", temporaryFolder()]);
  const { coordinator, port } = await coordinatorOf(temporaryFolder());
  const orders = join(temporaryFolder(), "orders");
  coordinator.onEvent((event) => {
    if (event.type === "step" && event.step === 10) writeFileSync(orders, "exit");
  });
  const worker = new TuttiProcess(["worker", `ws://127.0.0.1:${port}`, "--json"], { env: engineFault(orders) });
  expect(await coordinator.end(), coordinator.stderr).toBe(0);
  expect(await worker.end(), worker.stderr).toBe(0);
  expect(existsSync(orders)).toBe(false);
  const done = await coordinator.event("done");
  expect(done).toMatchObject({ outcome: "completed", steps: steps.length, weightsSha256 });
  const joined = coordinator.events.filter((event) => event.type === "worker" && event.event === "joined");
  expect(joined).toHaveLength(1);
});
