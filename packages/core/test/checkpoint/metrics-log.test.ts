import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MetricsLog } from "@tutti/core/checkpoint";
import { afterEach, beforeEach, expect, test } from "vitest";

let folder = "";
let path = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tutti-metrics-"));
  path = join(folder, "metrics.jsonl");
});
afterEach(() => rm(folder, { recursive: true }));

const lines = async () => (await readFile(path, "utf8")).split("\n");

async function logOf(text: string): Promise<MetricsLog> {
  await writeFile(path, text);
  return MetricsLog.open(path);
}

test("writes what was appended, in order, one object a line", async () => {
  const log = await MetricsLog.open(path);
  for (let step = 1; step <= 2000; step++) log.append({ type: "step", step });
  await log.flush();
  log.append({ type: "done" });
  await log.close();
  expect(await lines()).toEqual([
    ...Array.from({ length: 2000 }, (_, index) => `{"type":"step","step":${index + 1}}`),
    '{"type":"done"}',
    "",
  ]);
});

test("cuts back to a step, keeps what belongs to it, and goes on from there", async () => {
  const kept = '{"type":"run"}\n{"type":"step","step":1}\n{"type":"step","step":2}\n{"type":"validation","step":2}\n';
  const log = await logOf(`${kept}{"type":"step","step":3}\n{"type":"run"}\n{"type":"step","step":2}\n`);
  await log.cutBackTo(2);
  expect(await readFile(path, "utf8")).toBe(kept);
  log.append({ type: "step", step: 3 });
  await log.close();
  expect(await readFile(path, "utf8")).toBe(`${kept}{"type":"step","step":3}\n`);
});

test("drops a torn last line, and nothing else when no line is later", async () => {
  const log = await logOf('{"step":1}\nno json\n{"step":2}\n{"ste');
  await log.cutBackTo(9);
  expect(await readFile(path, "utf8")).toBe('{"step":1}\nno json\n{"step":2}\n');
  await log.close();
});

test("cuts lines that lie across the chunks it reads", async () => {
  const filler = "é".repeat(20_000);
  const line = (step: number) => `{"text":"${filler}","step":${step}}\n`;
  const log = await logOf([1, 2, 3, 4, 5].map(line).join(""));
  await log.cutBackTo(3);
  await log.close();
  expect(await readFile(path, "utf8")).toBe([1, 2, 3].map(line).join(""));
});

test("waits for lines under way before it cuts", async () => {
  const log = await MetricsLog.open(path);
  for (const step of [1, 2, 3]) log.append({ type: "step", step });
  await log.cutBackTo(1);
  expect(await lines()).toEqual(['{"type":"step","step":1}', ""]);
  await log.close();
});

test("appends to a file another run has written", async () => {
  const log = await logOf('{"step":1}\n');
  log.append({ type: "step", step: 2 });
  await log.close();
  await appendFile(path, "");
  expect(await lines()).toEqual(['{"step":1}', '{"type":"step","step":2}', ""]);
});

test("reports a log that cannot be opened or written", async () => {
  await writeFile(join(folder, "file"), "");
  await expect(MetricsLog.open(join(folder, "file", "metrics.jsonl"))).rejects.toMatchObject({
    code: "OUTPUT_NOT_WRITABLE",
    message: expect.stringMatching(/metrics\.jsonl: cannot be made or written: ENOTDIR/),
  });
  const full = await MetricsLog.open("/dev/full");
  full.append({ type: "step", step: 1 });
  await expect(full.flush()).rejects.toMatchObject({
    code: "OUTPUT_NOT_WRITABLE",
    message: expect.stringContaining("ENOSPC"),
  });
  await expect(full.close()).rejects.toMatchObject({ code: "OUTPUT_NOT_WRITABLE" });
});
