import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import xterm from "@xterm/headless";
import { expect, onTestFinished, test } from "vitest";
import { root, temporaryFolder } from "../system/tutti-process.ts";

const reason = whyNoTerminal();
if (reason !== undefined) console.warn(`SKIPPED, what a terminal shows: ${reason}`);

/** `script` of util-linux runs a command on a terminal of its own. */
function whyNoTerminal(): string | undefined {
  const { error, stdout, stderr } = spawnSync("script", ["--version"], { encoding: "utf8" });
  if (error !== undefined) return `there is no \`script\` here (${error.message})`;
  return /util-linux/.test(stdout) ? undefined : `\`script\` is not that of util-linux (${stderr.trim()})`;
}

const controlC = "\x03";

/** A `tutti` command on a terminal of 100 columns, and what is to be read there when it has ended. */
class OnTerminal {
  readonly #terminal = new xterm.Terminal({ cols: 100, rows: 40, scrollback: 100_000, allowProposedApi: true });
  readonly #child;
  readonly #waiting = new Map<string, () => void>();
  readonly #ended: Promise<number | null>;
  raw = "";

  constructor(command: string) {
    this.#child = spawn("script", ["-qefc", `stty cols 100 rows 40; exec ${command}`, "/dev/null"], {
      cwd: root,
      env: { ...process.env, TERM: "xterm-256color", NO_COLOR: "1", SHELL: "/bin/sh" },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.raw += text;
      this.#terminal.write(text);
      for (const [expected, resolve] of this.#waiting) if (this.raw.includes(expected)) resolve();
    });
    this.#ended = new Promise((resolve) => this.#child.once("close", (status) => resolve(status)));
    onTestFinished(() => {
      this.#child.kill("SIGKILL");
    });
  }

  /** Types into the terminal. */
  type(text: string): void {
    this.#child.stdin.write(text);
  }

  /** Resolves when a text has been printed. */
  printed(text: string): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.set(text, resolve);
      if (this.raw.includes(text)) resolve();
    });
  }

  /** The exit status. */
  end(): Promise<number | null> {
    return this.#ended;
  }

  /** All lines that can be read, also those that have scrolled away. */
  async lines(): Promise<readonly string[]> {
    await new Promise<void>((resolve) => this.#terminal.write("", resolve));
    const { active } = this.#terminal.buffer;
    return Array.from({ length: active.length }, (_, y) => active.getLine(y)!.translateToString(true));
  }

  /** True if the last thing said of the cursor is that it is to be seen. */
  get isCursorShown(): boolean {
    return this.raw.lastIndexOf("\x1b[?25h") > this.raw.lastIndexOf("\x1b[?25l");
  }
}

const bin = join(root, "packages/tutti/bin/tutti.js");
const train = (out: string): string =>
  `${process.execPath} ${bin} train test/fixtures/blobs.ts --workers 1 --set epochs=10000 --out ${out}`;

test.skipIf(reason !== undefined)("says above the progress bar that it stops, and loses no line by it", async () => {
  const terminal = new OnTerminal(train(temporaryFolder()));
  await terminal.printed("epoch 6  step 42  validation");
  terminal.type(controlC);
  expect(await terminal.end()).toBe(0);
  const lines = await terminal.lines();
  expect(lines.filter((line) => line.includes("SIGINT"))).toEqual(["SIGINT: stopping; once more to end at once"]);
  const bars = lines.flatMap((line, y) => (/[━─]/.test(line) ? [y] : []));
  const summary = lines.findIndex((line) => line.startsWith("stopped after"));
  expect(bars).toEqual([summary - 2]); // the last one stays, an empty line below it
  const steps = Number(/: ([\d,]+) steps/.exec(lines[summary]!)![1]!.replaceAll(",", ""));
  const validated = lines.flatMap((line) => /^epoch \d+ {2}step ([\d,]+) {2}validation: loss /.exec(line)?.[1] ?? []);
  const expected = Array.from({ length: Math.floor(steps / 14) }, (_, i) => ((i + 1) * 14).toLocaleString("en-US"));
  expect(validated).toEqual(expected);
  expect(terminal.isCursorShown).toBe(true);
});

test.skipIf(reason !== undefined)("gives the cursor back when a second Ctrl-C ends it at once", async () => {
  const terminal = new OnTerminal(
    `${process.execPath} ${bin} train examples/digits.ts --set batchSize=all --workers 1 --out ${temporaryFolder()}`,
  );
  await terminal.printed("starting"); // its only step takes seconds: all 60,000 digits
  terminal.type(controlC);
  await terminal.printed("SIGINT: stopping");
  terminal.type(controlC);
  expect(await terminal.end()).toBe(130);
  expect(terminal.raw).toContain("\x1b[?25l");
  expect(terminal.isCursorShown).toBe(true);
});

test.skipIf(reason !== undefined)("says where the run can be watched, unless no page is wanted", async () => {
  const command = (out: string): string => train(out).replace("epochs=10000", "epochs=1");
  const shown = new OnTerminal(command(temporaryFolder()));
  expect(await shown.end()).toBe(0);
  const said = (await shown.lines()).filter((line) => line.includes("http://"));
  expect(said).toEqual([expect.stringMatching(/^watch and steer it: http:\/\/127\.0\.0\.1:\d+\/#[\w-]{43}$/)]);
  const silent = new OnTerminal(`${command(temporaryFolder())} --no-dashboard`);
  expect(await silent.end()).toBe(0);
  expect((await silent.lines()).join("\n")).not.toContain("http://");
});
