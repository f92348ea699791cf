import { engineInfo, engineVersion, inlineLane, type Lanes, numericClass, openLanes } from "@tutti/core/engine";
import { computeMemory } from "@tutti/core/kernels";
import { expect, test } from "vitest";
import { canonicalBytes } from "../../src/engine/canonical-bytes.ts";
import { laneThreadUrl } from "../../src/engine/thread-lane.ts";
import { classifierStep } from "./classifier-step.ts";
import { mlpProgram } from "./mlp-program.ts";

const sizes = [20, 16, 4];
const train = mlpProgram(sizes, 5);
const evaluate = mlpProgram(sizes, 5, "evaluate");
const step = classifierStep([train, evaluate]);

async function classOn(lanes: Lanes, pixel = 7): Promise<string> {
  const programs = [train, evaluate].map((program, shard) => ({
    program,
    columns: step.shards.get(shard)?.columns ?? 0,
  }));
  for (const program of [train, evaluate]) await lanes.load(program);
  step.arena.bytes(programs[1]?.columns ?? 0, 1)[0] = pixel;
  step.arena.floats(step.parameters, 64).fill(pixel); // the canary must not depend on what was there
  const found = await numericClass({
    lanes,
    memory: computeMemory(step.arena),
    programs,
    parameters: step.parameters,
    generation: pixel,
  });
  await lanes.close();
  return found;
}

test("the numeric class is the same on any lanes and depends on one pixel of one program's batch", async () => {
  const { arena } = step;
  const inline = await classOn(await inlineLane({ arena }));
  expect(inline).toMatch(/^[0-9a-f]{64}$/);
  expect(await classOn(await openLanes({ arena, count: 2 }))).toBe(inline);
  expect(await classOn(await openLanes({ arena, count: 1, zeroCopy: false }))).toBe(inline);
  expect(await classOn(await inlineLane({ arena }), 8)).not.toBe(inline);
});

test("NaNs of all payloads and signs have the same bytes, other values keep theirs", () => {
  const words = Uint32Array.of(0x7fc00000, 0xffc00001, 0x7f800001, 0x80000000, 0x7f800000);
  const bytes = canonicalBytes(new Float32Array(words.buffer));
  expect([...new Uint32Array(bytes.buffer)]).toEqual([0x7fc00000, 0x7fc00000, 0x7fc00000, 0x80000000, 0x7f800000]);
  expect(words[1]).toBe(0xffc00001);
  const wide = BigUint64Array.of(0xfff8000000000123n, 0x8000000000000000n);
  expect([...new BigUint64Array(canonicalBytes(new Float64Array(wide.buffer)).buffer)]).toEqual([
    0x7ff8000000000000n,
    0x8000000000000000n,
  ]);
});

test("the engine says what it is", async () => {
  const info = await engineInfo();
  expect(info).toMatchObject({ name: "onnxruntime-node", node: process.version, arch: process.arch });
  expect(info.version).toBe(engineVersion());
  expect(info.version).toMatch(/^1\.\d+\.\d+$/);
});

test("a lane's thread starts from the built entry, beside the built caller or in the build of a source", () => {
  expect(laneThreadUrl("file:///app/core/dist/engine/thread-lane.js").href).toBe(
    "file:///app/core/dist/engine/lane-thread.js",
  );
  expect(laneThreadUrl("file:///app/core/src/engine/thread-lane.ts").href).toBe(
    "file:///app/core/dist/engine/lane-thread.js",
  );
});
