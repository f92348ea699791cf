import type { Dashboard } from "@tutti/coordinator/dashboard";
import { RunHistory, serveDashboard } from "@tutti/coordinator/dashboard";
import type { ControlRequest } from "@tutti/core/events";
import { describe, expect, onTestFinished, test } from "vitest";
import { lossAt, SyntheticRun } from "../../packages/coordinator/test/dashboard/synthetic-run.ts";
import { hasBrowser, testBrowser } from "./browser.ts";

describe.skipIf(!hasBrowser)("the page, of 100 workers and 100,000 steps", () => {
  const browser = testBrowser();

  async function served(
    steps = 100_000,
    workers = 100,
  ): Promise<Dashboard & { history: RunHistory; run: SyntheticRun; orders: ControlRequest[] }> {
    const run = new SyntheticRun(workers);
    const history = new RunHistory({
      id: "run",
      name: "digits",
      live: run,
      now: Date.now,
      configuration: { "optimizer.lr": "0.001" },
    });
    const orders: ControlRequest[] = [];
    history.event(run.started);
    for (let step = 1; step <= steps; step++) {
      history.event(run.step(step));
      if (step % 10_000 === 0)
        history.event({
          type: "validation",
          step,
          epoch: 0,
          loss: lossAt(step),
          metrics: { accuracy: 0.9 },
          samples: 10_000,
          wallMs: 5,
        });
    }
    for (let i = 0; i < 600; i++) history.event({ type: "notice", message: `notice ${i}` });
    const made = await serveDashboard({ port: 0, runs: [history], control: (order) => void orders.push(order) });
    onTestFinished(() => made.close());
    return { ...made, history, run, orders };
  }

  test("is drawn within six seconds, talks to nobody else and keeps its memory", async () => {
    const { url, port, history, run } = await served();
    const startedMs = performance.now();
    const opened = await browser.open(url);
    const { page } = opened;
    await page.getByText("Step 100,000 of 100,000").waitFor();
    await page.locator(".chart canvas").first().waitFor();
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
    const drawnMs = performance.now() - startedMs;
    expect(await page.locator("table.workers tbody tr").count()).toBe(100);
    const before = await opened.heapBytes();
    for (let step = 100_001; step <= 120_000; step++) history.event(run.step(step));
    await page.getByText("Step 120,000 of 100,000").waitFor();
    for (let step = 120_001; step <= 120_050; step++) {
      history.event(run.step(step));
      await page.waitForTimeout(20); // not to synchronise: steps at a pace, so that many updates are drawn
    }
    await page.getByText("Step 120,050 of 100,000").waitFor();
    const after = await opened.heapBytes();
    console.log(
      `drawn after ${drawnMs.toFixed(0)} ms, heap ${(before / 1e6).toFixed(1)} MB, ${(after / 1e6).toFixed(1)} MB 20,050 steps later`,
    );
    expect(drawnMs).toBeLessThan(6000); // two on a machine that does nothing else
    expect(after).toBeLessThan(40e6);
    expect(after - before).toBeLessThan(8e6);
    expect(opened.origins).toEqual([`http://127.0.0.1:${port}`]);
    expect(opened.complaints).toEqual([]);
    expect(new URL(page.url()).hash).toBe(""); // the secret is out of sight
  });

  test("gives the figures of every chart in a table, and to a screen reader", async () => {
    const { url } = await served(100);
    const { page } = await browser.open(url);
    const loss = page.getByRole("figure", { name: "Loss" });
    await loss.getByText("Table").click();
    const last = loss.getByRole("row").last();
    expect(await last.getByRole("rowheader").textContent()).toBe("100");
    expect(Number(await last.getByRole("cell").first().textContent())).toBeCloseTo(lossAt(100), 3);
    const slider = page.getByRole("slider", { name: "Loss by step" });
    expect(await slider.getAttribute("aria-valuetext")).toMatch(/^step 100: training \d\.\d+$/);
    for (const landmark of ["banner", "main"] as const) await expect(page.getByRole(landmark).count()).resolves.toBe(1);
    for (const table of ["Connected workers", "Loss by step"])
      await expect(page.getByRole("table", { name: table }).count()).resolves.toBe(1);
    expect(await page.getByRole("log").getAttribute("aria-live")).toBe("polite");
  });

  test("is worked by keyboard alone", async () => {
    const { url, orders } = await served(100);
    const opened = await browser.open(url);
    const { page } = opened;
    await page.getByText("Step 100 of").waitFor();
    await opened.tabTo("Pause");
    expect(await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")).toBe("solid");
    await page.keyboard.press("Enter");
    await page.getByText("Pauses after the step under way").waitFor();
    expect(orders).toEqual([{ action: "pause" }]);

    await opened.tabTo("Stop");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog", { name: "Stop the run?" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    expect(orders).toHaveLength(1);

    await opened.tabTo("Loss by step");
    const slider = page.getByRole("slider", { name: "Loss by step" });
    const valueAt = async (step: number): Promise<void> => {
      await expect
        .poll(() => slider.getAttribute("aria-valuetext"))
        .toBe(`step ${step}: training ${Number(lossAt(step).toPrecision(4))}`);
    };
    await page.keyboard.press("Home");
    await valueAt(1);
    for (let i = 0; i < 3; i++) await page.keyboard.press("ArrowRight");
    await valueAt(4);
    await page.keyboard.press("PageDown");
    await valueAt(1);
    await page.keyboard.press("End");
    await valueAt(100);

    await opened.tabTo("Drain worker w3");
    await page.keyboard.press("Space");
    await page.getByRole("dialog", { name: "Drain worker w3?" }).waitFor();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByText("w3 leaves after the step under way").waitFor();
    expect(orders).toEqual([{ action: "pause" }, { action: "drain", worker: "w3" }]);
  });

  test.each(["light", "dark"] as const)("has no barrier that axe-core knows, %s", async (colorScheme) => {
    const { url } = await served(3000, 8);
    const opened = await browser.open(url, { colorScheme });
    const { page } = opened;
    await page.getByText("Step 3,000 of").waitFor();
    for (const summary of await page.locator("summary").all()) await summary.click();
    expect(await opened.barriers()).toEqual([]);
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByRole("dialog").waitFor();
    expect(await opened.barriers("dialog")).toEqual([]);
  });

  test("turns dark and light with the system, its curves too", async () => {
    const { url } = await served(3000, 3);
    const { page } = await browser.open(url, { colorScheme: "light" });
    await page.getByText("Step 3,000 of").waitFor();
    const look = async () => ({
      ground: await page.evaluate<string>("getComputedStyle(document.body).backgroundColor"),
      curve: await page.evaluate<string>("document.querySelector('.chart canvas').toDataURL()"),
      timeline: await page.evaluate<string>("document.querySelector('canvas.timeline').toDataURL()"),
    });
    const light = await look();
    await page.emulateMedia({ colorScheme: "dark" });
    await expect.poll(async () => (await look()).curve).not.toBe(light.curve);
    const dark = await look();
    expect(dark.ground).not.toBe(light.ground);
    expect(dark.timeline).not.toBe(light.timeline);
    await page.emulateMedia({ colorScheme: "light" });
    await expect.poll(async () => (await look()).curve).toBe(light.curve);
  });

  test("without the secret only shows, and asks for a token where one is needed", async () => {
    const { url } = await served(100, 3);
    const { page } = await browser.open(url.split("#")[0]!);
    await page.getByText("Step 100 of").waitFor();
    expect(await page.getByRole("button", { name: "Pause" }).count()).toBe(0);
    expect(await page.getByRole("button", { name: /^Drain/ }).count()).toBe(0);

    const token = "6f1d0a3b9c8e7d2f4a5b6c7d8e9f0a1b";
    const history = new RunHistory({ id: "run", name: "far away" });
    const closed = await serveDashboard({ host: "0.0.0.0", port: 0, token, runs: [history] });
    onTestFinished(() => closed.close());
    const locked = await browser.open(`http://127.0.0.1:${closed.port}/`);
    await locked.page.getByLabel("Token").fill(token);
    expect(await locked.barriers()).toEqual([]);
    await locked.page.keyboard.press("Enter");
    await locked.page.getByRole("heading", { name: "far away" }).waitFor();
  });
});
