import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { lockDirectory } from "@tutti/core/checkpoint";
import { afterEach, beforeEach, expect, test } from "vitest";
import { builtEntry } from "./samples.ts";

let folder = "";
let children: ChildProcess[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tutti-lock-"));
});
afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  children = [];
  await rm(folder, { recursive: true });
});

/** A process that tries to lock `directory` when told, says "held" or the error, and holds until it is told or killed. */
const holderScript = (entry: string, directory: string) => `
  import { lockDirectory } from ${JSON.stringify(entry)};
  let lock;
  process.stdin.setEncoding("utf8").on("data", (text) => {
    for (const word of text.trim().split(/\\s+/)) {
      if (word === "exit") process.exit(0);
      if (word === "release") { lock.release(); console.log("released"); continue; }
      try { lock = lockDirectory(${JSON.stringify(directory)}); console.log("held"); }
      catch (error) { console.log(error.code + " " + error.message); }
    }
  });
  console.log("ready");`;

class Holder {
  readonly process: ChildProcess;
  #lines: string[] = [];
  #listener: (() => void) | undefined;

  constructor(entry: string, directory: string) {
    this.process = spawn(process.execPath, ["--input-type=module", "-e", holderScript(entry, directory)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    children.push(this.process);
    let text = "";
    this.process.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
      const parts = (text + chunk).split("\n");
      text = parts.pop()!;
      this.#lines.push(...parts);
      this.#listener?.();
    });
  }

  say(word: string): void {
    this.process.stdin!.write(`${word}\n`);
  }

  async nextLine(): Promise<string> {
    while (this.#lines.length === 0) await new Promise<void>((resolve) => (this.#listener = resolve));
    return this.#lines.shift()!;
  }

  async end(signal: "SIGKILL" | "exit"): Promise<void> {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    if (signal === "exit") this.say("exit");
    else this.process.kill(signal);
    await ended;
  }
}

async function holder(directory = folder): Promise<Holder> {
  const started = new Holder(pathToFileURL(await builtEntry("index.js")).href, directory);
  expect(await started.nextLine()).toBe("ready");
  return started;
}

const staleRecord = (pid: number, started: string, host = hostname()) =>
  JSON.stringify({ host, pid, started, token: "123e4567-e89b-42d3-a456-426614174000" });

test("locks a directory once, makes it when missing, and frees it on release", async () => {
  const directory = join(folder, "a", "b");
  const lock = lockDirectory(directory);
  expect(() => lockDirectory(directory)).toThrow(
    expect.objectContaining({
      code: "OUTPUT_LOCKED",
      message: expect.stringContaining(`process ${process.pid} on ${hostname()}`),
    }),
  );
  lock.release();
  lock.release();
  expect(await readdir(directory)).toEqual([]);
  lockDirectory(directory).release();
});

test("refuses the directory of a live process and names its pid", async () => {
  const other = await holder();
  other.say("lock");
  expect(await other.nextLine()).toBe("held");
  expect(() => lockDirectory(folder)).toThrow(
    expect.objectContaining({ code: "OUTPUT_LOCKED", details: expect.objectContaining({ pid: other.process.pid }) }),
  );
  other.say("release");
  expect(await other.nextLine()).toBe("released");
  lockDirectory(folder).release();
});

test("frees the directory when the process ends by itself", async () => {
  const other = await holder();
  other.say("lock");
  expect(await other.nextLine()).toBe("held");
  await other.end("exit");
  expect(await readdir(folder)).toEqual([]);
});

test("takes over the lock of a killed process and tidies up", async () => {
  const other = await holder();
  other.say("lock");
  expect(await other.nextLine()).toBe("held");
  await other.end("SIGKILL");
  expect(await readdir(folder)).toEqual(["tutti.lock"]);
  const lock = lockDirectory(folder);
  expect(JSON.parse(await readFile(lock.path, "utf8"))).toMatchObject({ pid: process.pid });
  expect(await readdir(folder)).toEqual(["tutti.lock"]);
  lock.release();
  expect(await readdir(folder)).toEqual([]);
});

test("takes over after a process that died while it took over", async () => {
  const gone = await holder();
  await gone.end("SIGKILL");
  await writeFile(join(folder, "tutti.lock"), staleRecord(gone.process.pid!, "x"));
  const next = { host: hostname(), pid: gone.process.pid, started: "x", token: "123e4567-e89b-42d3-a456-426614174001" };
  await writeFile(join(folder, "tutti.lock.123e4567-e89b-42d3-a456-426614174000"), JSON.stringify(next));
  const lock = lockDirectory(folder);
  expect(await readdir(folder)).toEqual(["tutti.lock"]);
  lock.release();
});

test("is not fooled by a reused pid, where the system tells start times", async () => {
  await writeFile(join(folder, "tutti.lock"), staleRecord(process.pid, "another boot/1"));
  if (process.platform === "linux") lockDirectory(folder).release();
  else expect(() => lockDirectory(folder)).toThrow(expect.objectContaining({ code: "OUTPUT_LOCKED" }));
});

test("never takes over from another host or from a file it does not understand", async () => {
  await writeFile(join(folder, "tutti.lock"), staleRecord(1, "x", "elsewhere.example"));
  expect(() => lockDirectory(folder)).toThrow("process 1 on elsewhere.example uses this output directory");
  await writeFile(join(folder, "tutti.lock"), "{}");
  expect(() => lockDirectory(folder)).toThrow("cannot be read as a lock; delete it if no run uses this directory");
  expect(await readdir(folder)).toEqual(["tutti.lock"]);
});

test("lets exactly one of racing processes take over a dead lock", async () => {
  const racers = await Promise.all([holder(), holder(), holder(), holder()]);
  const gone = await holder();
  await gone.end("SIGKILL");
  for (let round = 0; round < 50; round++) {
    await writeFile(join(folder, "tutti.lock"), staleRecord(gone.process.pid!, "x"));
    for (const racer of racers) racer.say("lock");
    const answers = await Promise.all(racers.map((racer) => racer.nextLine()));
    expect(answers.filter((answer) => answer === "held").length, answers.join("\n")).toBe(1);
    expect(answers.filter((answer) => answer.startsWith("OUTPUT_LOCKED")).length).toBe(3);
    const winner = racers[answers.indexOf("held")]!;
    expect(JSON.parse(await readFile(join(folder, "tutti.lock"), "utf8"))).toMatchObject({ pid: winner.process.pid });
    winner.say("release");
    expect(await winner.nextLine()).toBe("released");
  }
});

test("never lets two processes hold at once while they lock and release", async () => {
  const { execFile } = await import("node:child_process");
  const entry = pathToFileURL(await builtEntry("index.js")).href;
  // Each holder makes a file that must not exist, and removes it: a second holder would find it there.
  const script = `
    import { closeSync, openSync, unlinkSync } from "node:fs";
    import { lockDirectory } from ${JSON.stringify(entry)};
    let held = 0;
    while (held < 300) {
      let lock;
      try { lock = lockDirectory(${JSON.stringify(folder)}); } catch (error) { if (error.code === "OUTPUT_LOCKED") continue; throw error; }
      closeSync(openSync(${JSON.stringify(join(folder, "inside"))}, "wx"));
      unlinkSync(${JSON.stringify(join(folder, "inside"))});
      held++;
      lock.release();
    }
    console.log(held);`;
  const run = () =>
    new Promise<string>((resolve) => {
      execFile(process.execPath, ["--input-type=module", "-e", script], (error, stdout) =>
        resolve(error ? String(error) : stdout),
      );
    });
  expect(await Promise.all([run(), run(), run()])).toEqual(["300\n", "300\n", "300\n"]);
  expect(await readdir(folder)).toEqual([]);
});

test("says when a directory cannot be made", async () => {
  await writeFile(join(folder, "file"), "");
  expect(() => lockDirectory(join(folder, "file", "out"))).toThrow(
    expect.objectContaining({
      code: "OUTPUT_NOT_WRITABLE",
      message: expect.stringMatching(/file\/out: cannot be made or written: ENOTDIR/),
    }),
  );
});
