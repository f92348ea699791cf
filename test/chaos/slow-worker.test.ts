import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { JsonCommand } from "../../packages/tutti/src/chaos/json-command.ts";
import { root, TuttiProcess, temporaryFolder } from "../system/tutti-process.ts";

const runFile = join(root, "test/fixtures/few-digits.ts");
const factor = 10;

test(`does not let a worker that runs ${factor} times slower set the pace`, async () => {
  const args = ["--port", "0", "--out", temporaryFolder(), "--set", "batchSize=1024", "--set", "epochs=200"];
  const set = ["--set", "shards=64", "--set", "checkpoint.everySteps=1000", "--set", "validation.everyEpochs=1000"];
  const coordinator = new TuttiProcess(["coordinator", runFile, ...args, ...set, "--min-workers", "2", "--json"]);
  const listening = await coordinator.event("notice", ({ message }) => message.startsWith("listening"));
  const url = /ws:\S+/.exec(listening.message)![0];
  const workers = [1, 2].map(() => new JsonCommand(["worker", url], process.env, () => {}));
  onTestFinished(() => {
    for (const worker of workers) worker.kill();
  });
  /** Median of so many steps after so many that are not looked at. */
  const medianMs = async (skipped: number, count: number): Promise<number> => {
    const from = coordinator.events.filter(({ type }) => type === "step").length + skipped;
    await coordinator.event("step", ({ step }) => step === from + count);
    const times = coordinator.events.flatMap((event) => (event.type === "step" ? [event.wallMs] : []));
    return times.slice(from, from + count).sort((a, b) => a - b)[Math.floor(count / 2)]!;
  };
  const together = await medianMs(10, 30);
  const end = workers[1]!.slowDown(factor);
  const withSlow = await medianMs(20, 30);
  end();
  const again = await medianMs(20, 30);
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  console.log(
    `a step of two workers: ${ms(together)}; one ${factor} times slower: ${ms(withSlow)}; again as before: ${ms(again)}`,
  );
  // In equal parts the slow one would take ten times as long for its half.
  expect(withSlow).toBeLessThan((factor / 2) * Math.max(together, again));
  coordinator.child.kill("SIGINT");
  expect(await coordinator.end(), coordinator.stderr).toBe(0);
});
