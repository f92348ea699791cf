import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AxeResults } from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished } from "vitest";

const executablePath = [
  process.env.TUTTI_CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
].find((path) => path !== undefined && existsSync(path));

/** Whether there is a browser to test in. Where there is none the tests of the page are left out, and this says so. */
export const hasBrowser = executablePath !== undefined;
if (!hasBrowser)
  console.warn("NOT TESTED: the dashboard's page, as there is no Chromium; install one or set TUTTI_CHROMIUM");

/** One browser for the tests of a file; each page has a profile of its own. */
export function testBrowser(): { open: (url: string, options?: BrowserContextOptions) => Promise<OpenPage> } {
  let browser: Browser | undefined;
  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: executablePath!,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-precise-memory-info",
      ],
    });
  });
  afterAll(() => browser?.close());
  return {
    open: async (url, options) => {
      const page = await browser!.newPage({ viewport: { width: 1280, height: 900 }, ...options });
      onTestFinished(() => page.close());
      return OpenPage.open(page, url);
    },
  };
}

/** A page and all that went wrong on it. */
export class OpenPage {
  readonly page: Page;
  readonly complaints: string[] = [];
  readonly #origins = new Set<string>();

  static async open(page: Page, url: string): Promise<OpenPage> {
    const opened = new OpenPage(page);
    await page.goto(url);
    return opened;
  }

  private constructor(page: Page) {
    this.page = page;
    page.on("request", (request) => this.#origins.add(new URL(request.url()).origin));
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") this.complaints.push(message.text());
    });
  }

  /** Every origin that anything was asked of. */
  get origins(): readonly string[] {
    return [...this.#origins];
  }

  /** What axe-core finds against WCAG 2.2 A and AA, as "rule: element". @param within a selector. */
  async barriers(within = "html"): Promise<readonly string[]> {
    const source = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
    await this.page.evaluate(readFileSync(source, "utf8"));
    const results = await this.page.evaluate<AxeResults>(
      `axe.run(${JSON.stringify(within)}, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })`,
    );
    expect(results.passes.length).toBeGreaterThan(5);
    return results.violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
  }

  /** Bytes of live JavaScript objects, garbage collected before. */
  async heapBytes(): Promise<number> {
    const session = await this.page.context().newCDPSession(this.page);
    await session.send("HeapProfiler.collectGarbage");
    const { usedSize } = await session.send("Runtime.getHeapUsage");
    return usedSize;
  }

  /** Presses Tab until something with this accessible name has the focus. */
  async tabTo(name: string): Promise<void> {
    for (let presses = 0; presses < 200; presses++) {
      await this.page.keyboard.press("Tab");
      const focused = await this.page.evaluate(
        "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim()",
      );
      if (focused === name) return;
    }
    throw new Error(`Tab reaches nothing called "${name}"`);
  }
}
