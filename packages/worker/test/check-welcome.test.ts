import { type MessageOf, protocolVersion, type ToWorker } from "@tutti/core/wire";
import { expect, test } from "vitest";
import { checkWelcome } from "../src/check-welcome.ts";
import { KnownRun } from "../src/coordinator-rules.ts";

const welcome: MessageOf<ToWorker, "welcome"> = {
  type: "welcome",
  protocol: protocolVersion,
  run: "r",
  generation: 5,
  worker: "w1",
  seed: 1,
  parameterFloats: 160,
  updatedFloats: 160,
  sumsFloats: 160,
  averageFloats: 0,
  chunkFloats: 64,
  inlineBytes: 128,
  programs: 1,
  heartbeatMs: 500,
  silenceMs: 2250,
};

test("works for the coordinators of one run, each of a later generation than the one before", () => {
  const known = new KnownRun();
  checkWelcome(welcome, known);
  known.run = "r";
  known.generation = 5;
  checkWelcome(welcome, known); // it was only the connection that was lost
  checkWelcome({ ...welcome, generation: 6 }, known);
});

test.each([
  ["a stale coordinator, once a newer one is known", { generation: 4 }, /of generation 4, a newer one \(5\) is known/],
  ["another run", { run: "s" }, /belongs to run r, the coordinator has run s/],
  ["another protocol", { protocol: protocolVersion + 1 }, /it speaks protocol/],
])("refuses %s", (_name, change, reason) => {
  const known = new KnownRun();
  known.run = "r";
  known.generation = 5;
  expect(() => checkWelcome({ ...welcome, ...change }, known)).toThrow(reason);
});
