import type { RunEvent } from "@tutti/core/events";
import { expect, test } from "vitest";
import { TuttiProcess, temporaryFolder, trained } from "../system/tutti-process.ts";

/** Orders, as the page sends them. */
async function steer(run: TuttiProcess) {
  const url = new URL((await run.event("dashboard")).url);
  const order = async (body: object): Promise<readonly [number, string]> => {
    const response = await fetch(new URL("/control", url), {
      method: "POST",
      headers: { authorization: `Bearer ${url.hash.slice(1)}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return [response.status, (await response.text()).trim()];
  };
  const get = (path: string): Promise<Response> => fetch(new URL(path, url));
  return { order, get };
}

const blobs = ["test/fixtures/blobs.ts", "--set", "epochs=60"];

test("orders are followed between two steps or refused with a reason, and change no bit", async () => {
  const out = temporaryFolder();
  const run = new TuttiProcess(["train", ...blobs, "--workers", "2", "--out", out, "--dashboard-port", "0", "--json"]);
  const { order, get } = await steer(run);
  expect(await order({ action: "resume" })).toEqual([409, "the run is not paused"]);
  expect(await order({ action: "drain", worker: "w9" })).toEqual([409, "there is no worker w9: it may have left"]);
  expect(await order({ action: "pause" })).toEqual([202, "it will be done after the step under way"]);
  const { message } = await run.event("notice", (notice) => notice.message.startsWith("paused after step"));
  const paused = Number(message.split(" ").at(-1));
  const { runs } = (await (await get("/status")).json()) as { runs: readonly Record<string, unknown>[] };
  expect(runs).toMatchObject([{ state: "paused", step: paused, isLive: true }]);

  // A checkpoint and a drain are possible while nothing is computed; the last worker stays.
  expect((await order({ action: "checkpoint" }))[0]).toBe(202);
  if (paused === 0) await run.event("notice", (notice) => /nothing to keep before the first step/.test(notice.message));
  else expect((await run.event("checkpoint")).step).toBe(paused);
  expect((await order({ action: "drain", worker: "w1" }))[0]).toBe(202);
  const left = await run.event("worker", ({ event }) => event === "left");
  expect([left.id, left.reason]).toEqual(["w1", expect.stringMatching(/^drained/)]);
  expect(await order({ action: "drain", worker: "w2" })).toEqual([
    409,
    "w2 is the only worker that computes: let another join first, or pause the run",
  ]);
  const steps = (events: readonly RunEvent[]): number => events.filter(({ type }) => type === "step").length;
  expect(steps(run.events)).toBe(paused);

  expect((await order({ action: "resume" }))[0]).toBe(202);
  await run.event("step", ({ step }) => step >= paused + 50);
  expect(await (await get("/metrics")).text()).toMatch(/^tutti_step \d+$/m);
  expect(await run.end()).toBe(0);
  const { weightsSha256, workers } = await run.event("done");
  expect(workers).toHaveLength(1);
  const undisturbed = await trained([...blobs, "--workers", "0", "--out", temporaryFolder()]);
  expect(weightsSha256).toBe(undisturbed.weightsSha256);
});

test("a run may be stopped while it is paused, and goes on from there", async () => {
  const out = temporaryFolder();
  const first = new TuttiProcess([
    "train",
    ...blobs,
    "--workers",
    "1",
    "--out",
    out,
    "--dashboard-port",
    "0",
    "--json",
  ]);
  const { order } = await steer(first);
  await first.event("step", ({ step }) => step >= 20);
  await order({ action: "pause" });
  await first.event("notice", (notice) => notice.message.startsWith("paused after step"));
  expect((await order({ action: "stop" }))[0]).toBe(202);
  expect(await first.end()).toBe(0);
  expect((await first.event("done")).outcome).toBe("stopped");
  const resumed = await trained([...blobs, "--workers", "1", "--out", out, "--resume"]);
  const undisturbed = await trained([...blobs, "--workers", "0", "--out", temporaryFolder()]);
  expect(resumed.weightsSha256).toBe(undisturbed.weightsSha256);
});
