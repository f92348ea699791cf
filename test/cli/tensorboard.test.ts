import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { crc32c } from "@node-rs/crc32";
import protobuf from "protobufjs";
import { expect, test } from "vitest";
import { temporaryFolder } from "../system/tutti-process.ts";
import { jsonLines, tutti } from "./command.ts";

// The fields that matter of tensorboard/compat/proto/event.proto and summary.proto.
const Event = protobuf
  .parse(`syntax = "proto3";
    message Event {
      double wall_time = 1;
      int64 step = 2;
      oneof what { string file_version = 3; Summary summary = 5; SessionLog session_log = 7; }
    }
    message Summary {
      message Value { string tag = 1; float simple_value = 2; }
      repeated Value value = 1;
    }
    message SessionLog { enum Status { STATUS_UNSPECIFIED = 0; START = 1; STOP = 2; } Status status = 1; }`)
  .root.lookupType("Event");

interface ReadEvent {
  readonly wallTime: number;
  readonly step?: number;
  readonly fileVersion?: string;
  readonly sessionLog?: { readonly status: string };
  readonly summary?: { readonly value: readonly { readonly tag: string; readonly simpleValue: number }[] };
}

/** "Masked" as TFRecord files have it: turned right by 15 bits, plus a constant. */
function masked(data: Buffer): number {
  const sum = BigInt(crc32c(data));
  return Number((((sum >> 15n) | (sum << 17n)) + 0xa282ead8n) & 0xffffffffn);
}

/** All events of the folder's files, oldest file first, their checksums compared. */
function eventsOf(folder: string): readonly ReadEvent[] {
  return readdirSync(folder)
    .toSorted()
    .flatMap((name) => {
      expect(name).toContain(".tfevents.");
      const file = readFileSync(join(folder, name));
      const events: ReadEvent[] = [];
      for (let at = 0; at < file.byteLength; ) {
        const length = Number(file.readBigUInt64LE(at));
        expect(file.readUInt32LE(at + 8)).toBe(masked(file.subarray(at, at + 8)));
        const data = file.subarray(at + 12, at + 12 + length);
        expect(file.readUInt32LE(at + 12 + length)).toBe(masked(data));
        events.push(Event.toObject(Event.decode(data), { longs: Number, enums: String }) as ReadEvent);
        at += length + 16;
      }
      return events;
    });
}

/** Values by step of every curve. */
function curves(events: readonly ReadEvent[]): Readonly<Record<string, readonly (readonly [number, number])[]>> {
  const found: Record<string, [number, number][]> = {};
  for (const { step = 0, summary } of events) {
    for (const { tag, simpleValue } of summary?.value ?? []) {
      found[tag] ??= [];
      found[tag].push([step, simpleValue]);
    }
  }
  return found;
}

test("writes the figures of every step and validation as event files, and hides what a resumed run does again", async () => {
  const folder = temporaryFolder();
  const [out, logs] = [join(folder, "run"), join(folder, "logs")];
  const train = (...more: readonly string[]) =>
    tutti([
      ...["train", "test/fixtures/blobs.ts", "--workers", "0", "--json", "--out", out],
      ...["--tensorboard", logs, ...more],
    ]);
  const { status, stdout } = await train();
  expect(status).toBe(0);
  const lines = jsonLines(stdout);
  const rounded = (type: string, figure: (line: Readonly<Record<string, unknown>>) => unknown) =>
    lines.filter((line) => line.type === type).map((line) => [line.step, Math.fround(Number(figure(line)))]);
  const metric = (name: string) => (line: Readonly<Record<string, unknown>>) =>
    (line.metrics as Record<string, number>)[name];

  const trained = eventsOf(join(logs, "train"));
  expect(trained[0]).toMatchObject({ fileVersion: "brain.Event:2" });
  expect(trained[1]).toMatchObject({ step: 1, sessionLog: { status: "START" } });
  for (const { wallTime } of trained) expect(Math.abs(wallTime - Date.now() / 1000)).toBeLessThan(120);
  const steps = lines.find(({ type }) => type === "run")!.totalSteps;
  const train1 = curves(trained);
  expect(train1.loss).toHaveLength(Number(steps));
  expect(train1.loss).toEqual(rounded("step", ({ loss }) => loss));
  expect(train1.lr).toEqual(rounded("step", ({ lr }) => lr));
  expect(train1.gradient_norm).toEqual(rounded("step", ({ gradientNorm }) => gradientNorm));
  expect(train1.accuracy).toEqual(rounded("step", metric("accuracy")));
  const validated = curves(eventsOf(join(logs, "validation")));
  expect(validated.loss).toEqual(rounded("validation", ({ loss }) => loss));
  expect(validated.accuracy).toEqual(rounded("validation", metric("accuracy")));
  expect(validated.loss!.length).toBeGreaterThan(0);

  const resumed = await train("--resume");
  expect(resumed.status).toBe(0);
  const sessions = eventsOf(join(logs, "train")).filter(({ sessionLog }) => sessionLog !== undefined);
  expect(sessions.map(({ step }) => step)).toEqual([1, Number(steps) + 1]);
});

test("refuses a folder that cannot be made", async () => {
  const folder = temporaryFolder();
  const { status, stderr } = await tutti([
    ...["train", "test/fixtures/blobs.ts", "--workers", "0", "--out", join(folder, "run")],
    ...["--tensorboard", "/dev/null/logs"],
  ]);
  expect(status).toBe(2);
  expect(stderr).toMatch(/^error\[OUTPUT_NOT_WRITABLE\]: \/dev\/null\/logs: no folder for event files/);
});
