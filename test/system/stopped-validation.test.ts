import { Coordinator, serve } from "@tutti/coordinator";
import { systemClock } from "@tutti/core/clock";
import type { RunEvent } from "@tutti/core/events";
import { applyOverrides } from "@tutti/core/run";
import { expect, test } from "vitest";
import { OutputDirectory } from "../../packages/tutti/src/output-directory.ts";
import { prepareRun } from "../../packages/tutti/src/prepare-run.ts";
import { freshStart } from "../../packages/tutti/src/starting-point.ts";
import definition from "../fixtures/blobs.ts";
import { resultOf, root, TuttiProcess, temporaryFolder, trained } from "./tutti-process.ts";

/** Every validation halves the learning rate: one that is left out, or done twice, shows in all later steps. */
const plateau =
  'optimizer.reduceOnPlateau={"metric":"loss","mode":"min","factor":0.5,"patience":0,"threshold":0.9,"thresholdMode":"relative","cooldown":0,"minLr":0}';
const args = ["test/fixtures/blobs.ts", "--set", plateau];
const validatedStep = 14;
const token = "2b7e151628aed2a6abf7158809cf4f3c";

test("stops in the middle of a validation when its last worker dies, and does the validation on resume", async () => {
  const undisturbed = await trained([...args, "--workers", "1", "--out", temporaryFolder()]);
  const out = temporaryFolder();
  const events: RunEvent[] = [];
  const prepared = await prepareRun(applyOverrides(definition, [plateau]), root);
  const output = await OutputDirectory.open(out, prepared.compiled, { resume: false, allowChanges: false }, (event) =>
    events.push(event),
  );
  let workerLeft: () => void = () => {};
  const left = new Promise<void>((resolve) => {
    workerLeft = resolve;
  });
  const evaluation = prepared.run.evaluation!;
  const dyingDuringValidation = async (shard: number): ReturnType<typeof evaluation.read> => {
    if (shard === 1) {
      worker.child.kill("SIGKILL");
      await left;
      coordinator.stop();
    }
    return evaluation.read(shard);
  };
  const coordinator = new Coordinator(
    { ...prepared.run, evaluation: { ...evaluation, read: dyingDuringValidation } },
    freshStart(prepared.compiled),
    {
      clock: systemClock(),
      generation: 1,
      startWorkers: 1,
      onEvent: (event) => {
        events.push(event);
        output.record(event);
        if (event.type === "worker" && event.event === "left") workerLeft();
      },
      afterStep: (state, validation, isLast) => output.afterStep(state, validation, isLast),
    },
  );
  const server = await serve({
    host: "127.0.0.1",
    port: 0,
    token,
    accept: (connection) => coordinator.accept(connection),
  });
  const worker = new TuttiProcess(["worker", server.url, "--json"], { env: { TUTTI_TOKEN: token } });
  const stopped = await coordinator.train();
  await output.close();
  await server.close();
  await prepared.close();
  expect(stopped).toMatchObject({ outcome: "stopped", steps: validatedStep, validation: null });
  expect(events.filter(({ type }) => type === "validation")).toEqual([]);

  const second = new TuttiProcess(["train", ...args, "--workers", "2", "--out", out, "--resume", "--json"]);
  expect(await second.end(), second.stderr).toBe(0);
  expect((await second.event("run")).startStep).toBe(validatedStep);
  const afterRun = second.events.filter(({ type }) => type === "step" || type === "validation");
  expect(afterRun[0]).toMatchObject({ type: "validation", step: validatedStep });
  const result = resultOf([...events, ...second.events]);
  expect(result).toEqual(undisturbed);
  expect(result.validations).toHaveLength(3);
});
