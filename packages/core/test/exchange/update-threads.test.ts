import { UpdateThreads } from "@tutti/core/exchange";
import { computeMemory } from "@tutti/core/kernels";
import { compileOptimizer, initialPlateau, type OptimizerDefinition, optim } from "@tutti/core/optim";
import { randomStream } from "@tutti/core/random";
import { flatLayout } from "@tutti/core/step";
import { afterEach, expect, test } from "vitest";
import { type RangeTools, type RangeWork, type WorkKind, workOnRange } from "../../src/exchange/range-work.ts";

const layout = flatLayout([
  { name: "a.weight", shape: [333, 77] },
  { name: "a.bias", shape: [1001] },
  { name: "b.weight", shape: [97, 401] },
]);
const normBlockFloats = 16 * 21;
const begin = 3 * normBlockFloats;

const opened: UpdateThreads[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((threads) => threads.close()));
});

/** Updates one after the other, by the calling thread alone and with `count` others, each from the state before. */
function bench(definition: OptimizerDefinition, count: number, entry?: URL) {
  const { arena, kernels } = computeMemory();
  const optimizer = compileOptimizer(definition, layout);
  const { totalFloats } = layout;
  const vector = (): number => arena.allocate(totalFloats * 4);
  const generation = () => ({ parameters: vector(), slots: optimizer.slots.map(vector) });
  const [current, alone, together] = [generation(), generation(), generation()];
  const gradientSum = vector();
  randomStream(1, "parameters", 0).fillNormal(arena.floats(current.parameters, totalFloats), 0, 1);
  for (const [i, slot] of current.slots.entries())
    randomStream(1, "slot", i).fillUniform(arena.floats(slot, totalFloats), 0, 2);
  const threads = new UpdateThreads({
    ...{ memory: arena.memory, optimizer, layout, normBlockFloats, count, leastFloats: 1, startAfter: 1 },
    ...(entry === undefined ? {} : { entry }),
  });
  opened.push(threads);
  const tools: RangeTools = { kernels, optimizer, normBlockFloats, blockSquares: threads.blockSquares };
  const blocks = threads.blockSquares.length;
  const bits = ({ parameters, slots }: ReturnType<typeof generation>): Buffer =>
    Buffer.concat([parameters, ...slots].map((address) => arena.buffer(address, 4 * totalFloats)));

  /** One job in both ways, on another gradient each time. */
  function once(step: number, kinds: readonly WorkKind[]) {
    randomStream(step, "gradient", 0).fillUniform(arena.floats(gradientSum, totalFloats), -3, 3);
    for (const { parameters, slots } of [alone, together])
      for (const address of [parameters, ...slots]) arena.floats(address, totalFloats).fill(0);
    const work: RangeWork = {
      ...{ kinds, step, divisor: 6, clipScale: kinds.length === 1 ? 0.5 : 1, gradientSum },
      ...{ from: current, to: alone, plateau: { ...initialPlateau, scale: 0.25 } },
    };
    const blockSquares = new Float64Array(blocks);
    workOnRange({ ...tools, blockSquares }, work, begin, totalFloats);
    threads.blockSquares.fill(0);
    threads.run(tools, { ...work, to: together }, begin, totalFloats);
    expect(bits(together).equals(bits(alone))).toBe(true);
    expect(threads.blockSquares).toEqual(blockSquares);
  }
  return { threads, once };
}

const ready = (threads: UpdateThreads) => expect.poll(() => threads.isReady, { timeout: 20_000 }).toBe(true);

const shared = { weightDecay: 1e-3, l1: 1e-4 };
const groups = [
  { match: "*.bias", weightDecay: 0, lrScale: 2 },
  { match: "b.*", lr: 0.3 },
];
const definitions: Readonly<Record<string, OptimizerDefinition>> = {
  sgd: optim.sgd({ lr: 0.1 }),
  "sgd with momentum, decay and groups": optim.sgd({ lr: 0.1, momentum: 0.9, ...shared, groups }),
  adagrad: optim.adagrad({ lrDecay: 0.1 }),
  rmsprop: optim.rmsprop(),
  "rmsprop, all of it": optim.rmsprop({ centered: true, momentum: 0.5, ...shared, groups, ema: { decay: 0.9 } }),
  adadelta: optim.adadelta(),
  "adam, clipped": optim.adam({ clipNorm: 1, clipValue: 0.1 }),
  "adamW with an average of the weights": optim.adamW({ ema: { decay: 0.99, warmUp: true }, amsgrad: true, groups }),
  nadam: optim.nadam(),
  lion: optim.lion({ reduceOnPlateau: optim.reduceOnPlateau({ minLr: 1e-9 }) }),
};

test.each(Object.entries(definitions))(
  "threads and the calling one give the bits of the calling one alone: %s",
  async (_, definition) => {
    const { threads, once } = bench(definition, 2);
    once(1, ["quickSquares", "update"]);
    expect(threads.rangesByOthers).toBe(0);
    await ready(threads);
    let step = 2;
    for (const wanted = Date.now() + 20_000; threads.rangesByOthers < 10 && Date.now() < wanted; step++)
      for (const kinds of [["quickSquares", "update"], ["exactSquares"], ["update"]] as const) once(step, kinds);
    expect(threads.rangesByOthers).toBeGreaterThanOrEqual(10);
    expect(threads.ending).toBeUndefined();
  },
);

const script = (text: string): URL => new URL(`data:text/javascript,${encodeURIComponent(text)}`);
const awkward = (how: string): URL =>
  script(`globalThis.howToFail = "${how}"; await import("${new URL("awkward-thread.mjs", import.meta.url).href}")`);

test.each(["stuck", "failing"])("a %s thread costs no bit, is ended, and not asked again", async (how) => {
  const { threads, once } = bench(optim.rmsprop(), 1, awkward(how));
  once(1, ["quickSquares", "update"]);
  await ready(threads);
  let step = 2;
  for (const wanted = Date.now() + 20_000; threads.isReady && Date.now() < wanted; step++)
    once(step, ["quickSquares", "update"]);
  expect(threads.rangesByOthers).toBeGreaterThan(0);
  expect(threads.ending).toBeInstanceOf(Promise);
  await threads.ending;
  expect(threads.ending).toBeUndefined();
  const before = threads.rangesByOthers;
  once(step, ["quickSquares", "update"]);
  expect(threads.isReady).toBe(false);
  expect(threads.rangesByOthers).toBe(before);
});

test("a thread that cannot start leaves all to the calling one", async () => {
  const { threads, once } = bench(optim.sgd({ lr: 0.1, momentum: 0.5 }), 1, script("throw new Error()"));
  once(1, ["quickSquares", "update"]);
  await expect.poll(() => threads.isOver, { timeout: 20_000 }).toBe(true);
  once(2, ["quickSquares", "update"]);
  expect(threads.isReady).toBe(false);
});

test("ranges are separate but for optimizers that limit rows", () => {
  expect(
    compileOptimizer(optim.adam({ clipNorm: 1, groups: [{ match: "b.*", lr: 1 }] }), layout).areRangesSeparate,
  ).toBe(true);
  expect(compileOptimizer(optim.adam({ maxNorm: 1 }), layout).areRangesSeparate).toBe(false);
  expect(compileOptimizer(optim.adam({ groups: [{ match: "b.*", maxNorm: 1 }] }), layout).areRangesSeparate).toBe(
    false,
  );
});
