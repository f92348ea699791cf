import { existsSync } from "node:fs";
import { join } from "node:path";
import { Coordinator, type CoordinatorOptions, serve } from "@tutti/coordinator";
import { systemClock } from "@tutti/core/clock";
import type { StepEvent } from "@tutti/core/events";
import { applyOverrides } from "@tutti/core/run";
import { expect, onTestFinished, test, vi } from "vitest";
import { prepareRun } from "../../packages/tutti/src/prepare-run.ts";
import { freshStart } from "../../packages/tutti/src/starting-point.ts";
import definition from "../fixtures/blobs.ts";
import { root, TuttiProcess, temporaryFolder } from "./tutti-process.ts";

const token = "603deb1015ca71be2b73aef0857d7781";

/** A run with one worker process; `mark` is looked for after every step. */
async function train(updateThreads: CoordinatorOptions["updateThreads"], mark: string) {
  const prepared = await prepareRun(applyOverrides(definition, ["epochs=60"]), root);
  const steps: StepEvent[] = [];
  const isMarked: boolean[] = [];
  const coordinator = new Coordinator(prepared.run, freshStart(prepared.compiled), {
    clock: systemClock(),
    generation: 1,
    startWorkers: 1,
    normBlockFloats: 16,
    chunkFloats: 2048,
    ...(updateThreads === undefined ? {} : { updateThreads }),
    onEvent: (event) => {
      if (event.type === "step") steps.push(event);
    },
    afterStep: () => {
      isMarked.push(existsSync(mark));
    },
  });
  const accept = (connection: Parameters<Coordinator["accept"]>[0]): void => coordinator.accept(connection);
  const server = await serve({ host: "127.0.0.1", port: 0, token, accept });
  const worker = new TuttiProcess(["worker", server.url, "--json"], { env: { TUTTI_TOKEN: token } });
  const { weightsSha256 } = await coordinator.train();
  await worker.end();
  await server.close();
  await prepared.close();
  return { weightsSha256, steps, isMarked };
}

test("writes nothing over parameters that an update thread which is stuck could still write to, and loses no bit", async () => {
  const mark = join(temporaryFolder(), "over");
  const alone = await train(undefined, mark);
  vi.stubEnv("TUTTI_TEST_STUCK_THREAD", mark); // threads inherit it
  onTestFinished(() => void vi.unstubAllEnvs());
  const entry = new URL("stuck-update-thread.mjs", import.meta.url);
  const helped = await train({ count: 1, leastFloats: 1, startAfter: 1, entry }, mark);
  expect(helped.weightsSha256).toBe(alone.weightsSha256);
  expect(alone.isMarked).not.toContain(true);
  const stuck = helped.steps.findIndex(({ time }) => time.updateMs >= 100); // it is waited for that long
  expect(stuck).toBeGreaterThan(0);
  expect(stuck).toBeLessThan(helped.steps.length - 1);
  expect(helped.isMarked.slice(0, stuck + 1)).not.toContain(true);
  expect(helped.isMarked[stuck + 1]).toBe(true);
});
