import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DoneEvent, RunEvent } from "@tutti/core/events";
import { expect, test } from "vitest";
import definition from "../../../../test/fixtures/blobs.ts";
import { root, temporaryFolder } from "../../../../test/system/tutti-process.ts";
import { type ChaosResult, judge, lastStepCommitted, undisturbed } from "../../src/chaos/index.ts";
import { train } from "../../src/train.ts";

/** A run whose first coordinator was killed after step 9, and whose second was stopped after step 7, having begun at 5. */
async function cutShort(): Promise<{ result: ChaosResult; out: string }> {
  const events: RunEvent[] = [];
  let done: DoneEvent | undefined;
  for (const maxSteps of [7, 9]) {
    const handle = train(definition, { baseDirectory: root, maxSteps, workers: 0, hashEveryStep: true });
    for await (const event of handle) if (event.type === "step" && maxSteps === 9) events.push(event);
    done ??= (await handle).done;
  }
  const out = temporaryFolder();
  const ofSteps = (from: number, to: number) =>
    events.filter((event) => event.type === "step" && event.step >= from && event.step <= to);
  writeFileSync(
    join(out, "metrics.jsonl"),
    ofSteps(1, 7)
      .map((event) => `${JSON.stringify(event)}\n`)
      .join(""),
  );
  const generations = [ofSteps(1, 9), ofSteps(6, 7)];
  const nothing = { faults: [], workerEnds: [], workersLeft: [], rivalsAdmitted: 0, wallMs: 1 };
  return { out, result: { seed: 1, done: done!, generations, ...nothing } };
}

test("holds steps of a killed coordinator to the reference that the last one, cut short, did not reach", async () => {
  const { result, out } = await cutShort();
  expect(result.done.steps).toBe(7);
  expect(lastStepCommitted(result)).toBe(9);
  const reference = await undisturbed(definition, { baseDirectory: root, steps: lastStepCommitted(result) });
  const judgement = { steps: 7, stepsLost: 0, samplesLost: 0, stepsAgain: 2, difference: undefined, leftBehind: [] };
  expect(await judge(result, out, reference)).toEqual(judgement);
  const [first, second] = result.generations as [RunEvent[], RunEvent[]];
  const other = first.map((event) => (event.type === "step" && event.step === 9 ? { ...event, loss: 0 } : event));
  const changed = await judge({ ...result, generations: [other, second] }, out, reference);
  expect(changed.difference).toMatch(/^step of step 9: /);
});
