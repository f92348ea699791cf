import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { jsonLines, tutti } from "../cli/command.ts";
import { root, temporaryFolder, trained } from "../system/tutti-process.ts";
import { hasBrowser, testBrowser } from "./browser.ts";

/** `tutti ui` under way. */
async function ui(...directories: readonly string[]) {
  const args = ["packages/tutti/bin/tutti.js", "ui", ...directories, "--port", "0", "--json"];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const { type, url } = jsonLines(String(line))[0]!;
  expect(type).toBe("dashboard");
  return { child, url: String(url) };
}

describe.skipIf(!hasBrowser)("tutti ui", () => {
  const browser = testBrowser();

  test("lays runs over each other and lists what was configured otherwise", async () => {
    const runs = temporaryFolder();
    const blobs = "test/fixtures/blobs.ts";
    const one = await trained([blobs, "--workers", "0", "--out", join(runs, "one")]);
    const two = await trained([
      blobs,
      "--workers",
      "0",
      "--out",
      join(runs, "two"),
      "--set",
      "optimizer.lr=0.02",
      "--set",
      "epochs=3",
    ]);
    // One that did not end, and whose last line is torn.
    mkdirSync(join(runs, "torn"));
    const lines = readFileSync(join(runs, "one", "metrics.jsonl"), "utf8").split("\n");
    writeFileSync(join(runs, "torn", "metrics.jsonl"), lines.slice(0, 20).join("\n").slice(0, -30));

    const { child, url } = await ui(runs);
    const opened = await browser.open(url);
    const { page } = opened;
    await page.getByRole("heading", { name: "3 runs" }).waitFor();
    const rowOf = (name: string) => page.getByRole("table", { name: /How the runs ended/ }).getByRole("row", { name });
    const cells = async (name: string) => rowOf(name).getByRole("cell").allTextContents();
    const [steps] = [one.steps.length];
    expect(await cells("one")).toEqual(
      expect.arrayContaining(["completed", `${steps}`, one.weightsSha256.slice(0, 12)]),
    );
    expect(await cells("two")).toEqual(
      expect.arrayContaining(["completed", `${steps / 2}`, two.weightsSha256.slice(0, 12)]),
    );
    expect(await cells("torn")).toEqual(expect.arrayContaining(["unfinished", "–"]));

    const differences = page.getByRole("table", { name: /not the same in all runs/ });
    const differing = await differences.getByRole("row").allInnerTexts();
    expect(differing.map((row) => row.split(/\s+/))).toEqual(
      expect.arrayContaining([
        ["epochs", "6", "3"],
        ["optimizer.lr", "0.002", "0.02"],
      ]),
    );
    expect(differing).toHaveLength(3); // with the one of the headings
    await page.getByText("Without a checkpoint, and so unknown: torn.").waitFor();
    await rowOf("torn").getByRole("checkbox").uncheck();
    await page.getByText("Without a checkpoint").waitFor({ state: "detached" });

    const loss = page.getByRole("slider", { name: "Loss by step" });
    await loss.press("Home");
    await expect
      .poll(() => loss.getAttribute("aria-valuetext"))
      .toMatch(/^step 1: one \S+, one, validation –, two \S+, two, validation –$/);
    for (const summary of await page.locator("summary").all()) await summary.click();
    expect(await opened.barriers()).toEqual([]);
    expect(opened.complaints).toEqual([]);
    expect(opened.origins).toHaveLength(1);

    child.kill("SIGINT");
    expect(await once(child, "exit")).toEqual([0, null]);
  });

  test("shows one run by itself", async () => {
    const out = temporaryFolder();
    await trained(["test/fixtures/blobs.ts", "--workers", "0", "--out", out]);
    const { url } = await ui(out);
    const { page, complaints } = await browser.open(url);
    await page.getByRole("status").getByText("Completed").waitFor();
    await page.getByText("Configuration").click();
    expect(await page.getByRole("row", { name: /^batchSize/ }).textContent()).toMatch(/48$/);
    expect(await page.getByRole("button", { name: /Pause|Stop|Drain/ }).count()).toBe(0);
    expect(complaints).toEqual([]);
  });
});

test("tutti ui says what it expected of a directory", async () => {
  const folder = temporaryFolder();
  const empty = await tutti(["ui", folder]);
  expect([empty.status, empty.stderr]).toEqual([
    2,
    expect.stringMatching(/holds no metrics\.jsonl.*--out of `tutti train`/),
  ]);
  const missing = await tutti(["ui", join(folder, "nothing")]);
  expect([missing.status, missing.stderr]).toEqual([
    2,
    expect.stringMatching(/nothing: expected the output directory/),
  ]);
  writeFileSync(join(folder, "metrics.jsonl"), '{"loss": 1}\n');
  const foreign = await tutti(["ui", folder]);
  expect([foreign.status, foreign.stderr]).toEqual([2, expect.stringMatching(/holds no line of a run/)]);
});
