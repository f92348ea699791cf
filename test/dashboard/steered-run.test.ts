import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { resultOf, TuttiProcess, temporaryFolder, trained } from "../system/tutti-process.ts";
import { hasBrowser, testBrowser } from "./browser.ts";

const run = ["test/fixtures/few-digits.ts", "--set", "checkpoint.everySteps=100000", "--set", "epochs=20"];

/** A free port, which another process may take before it is used; for coordinators that come back to the same one. */
async function freePort(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return String(typeof address === "object" ? address?.port : 0);
}

describe.skipIf(!hasBrowser)("the page of a real run", () => {
  const browser = testBrowser();

  test("pauses, writes a checkpoint, drains a worker and goes on, and the weights are the same bits", async () => {
    const out = temporaryFolder();
    const steered = new TuttiProcess([
      "train",
      ...run,
      "--workers",
      "2",
      "--out",
      out,
      "--dashboard-port",
      "0",
      "--json",
    ]);
    const opened = await browser.open((await steered.event("dashboard")).url);
    const { page } = opened;
    await page.getByRole("button", { name: "Pause" }).click();
    const { message } = await steered.event("notice", (notice) => notice.message.startsWith("paused after step"));
    const paused = Number(message.split(" ").at(-1));
    await page.getByText(`paused after step ${paused}`).waitFor();
    // Both workers are there, and a heartbeat goes by without a step.
    await expect
      .poll(() => page.locator("table.workers tbody").getByText("active").count(), { timeout: 30_000 })
      .toBe(2);
    await expect
      .poll(() => page.locator("table.workers td:nth-child(7)").first().textContent(), { timeout: 20_000 })
      .toMatch(/ms$/);
    expect(steered.events.filter(({ type }) => type === "step")).toHaveLength(paused);

    await page.getByRole("button", { name: "Resume" }).click();
    await steered.event("step", ({ step }) => step >= paused + 20);
    await page.getByRole("button", { name: "Checkpoint" }).click();
    const { step: saved, path } = await steered.event("checkpoint");
    expect(saved).toBeGreaterThanOrEqual(paused + 20);
    expect(path).toContain(out);
    await page.getByText(`checkpoint of step ${saved}`).waitFor();

    await page.getByRole("button", { name: "Drain worker w1" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Drain" }).click();
    const left = await steered.event("worker", ({ event, id }) => event === "left" && id === "w1");
    expect(left.reason).toMatch(/^drained/);
    await expect.poll(() => page.locator("table.workers tbody tr").count()).toBe(1);
    expect(await page.getByRole("button", { name: "Drain worker w2" }).isDisabled()).toBe(true);

    const shown = page.getByRole("status").getByText("Completed");
    await Promise.all([steered.end(), shown.waitFor()]);
    expect(steered.stderr).toMatch(/worker \d was drained and is not started again/);
    const lines = readFileSync(join(out, "metrics.jsonl"), "utf8");
    expect(lines).not.toMatch(/dashboard|#/); // the secret is in no file
    const { weightsSha256, steps, validations } = resultOf(steered.events);
    expect(opened.complaints.filter((text) => !/ERR_|Failed to load/.test(text))).toEqual([]); // its server has gone
    expect({ weightsSha256, steps, validations }).toEqual(
      await trained([...run, "--workers", "1", "--out", temporaryFolder()]),
    );
  });

  test("stops with a checkpoint, and finds the coordinator again when it comes back", async () => {
    const [out, port] = [temporaryFolder(), await freePort()];
    const where = ["--workers", "1", "--out", out, "--dashboard-port", port, "--json"];
    const first = new TuttiProcess(["train", ...run, ...where]);
    const { page } = await browser.open((await first.event("dashboard")).url);
    await first.event("step", ({ step }) => step >= 30);
    await page.getByRole("button", { name: "Checkpoint" }).click();
    const { step: saved } = await first.event("checkpoint");
    first.child.kill("SIGKILL");
    await page.getByText("Connection lost").waitFor();
    const second = new TuttiProcess(["train", ...run, ...where, "--resume"]);
    await second.event("step");
    await page.getByText(`resumed after step ${saved}`).waitFor();
    expect(await page.getByText("Connection lost").count()).toBe(0);
    expect(await page.getByRole("button", { name: "Stop" }).count()).toBe(0); // that was the other process's secret
    // The curve begins where the run did, not where it was resumed.
    expect(await page.getByRole("slider", { name: "Loss by step" }).getAttribute("aria-valuemin")).toBe("1");

    await page.goto((await second.event("dashboard")).url);
    await page.reload();
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Stop the run" }).click();
    expect(await second.end()).toBe(0);
    const done = await second.event("done");
    expect(done.outcome).toBe("stopped");
    const last = await second.event("checkpoint", ({ step }) => step === done.steps);
    expect(last.path).toContain(out);
  });
});
