import { checkGraph, Graph, gradients, readOnnx, simplify, type Tensor, writeOnnx } from "@tutti/core/graph";
import { beforeAll, describe, expect, test } from "vitest";
import { blockSize } from "../../src/engine/blocked-program.ts";
import { loadEngine } from "../../src/engine/runtime.ts";
import { blockConvolutions } from "../../src/graph/block-convolutions.ts";
import { openBytes } from "./run-graph.ts";

let block = 0;
beforeAll(async () => {
  // x64 has blocks from AVX on; an engine without them would leave nothing to test here.
  block = (await blockSize(await loadEngine())) ?? 0;
  expect([8, 16]).toContain(block);
});

type Build = (input: (...shape: number[]) => Tensor) => readonly Tensor[];

/** The graph as written plainly and in blocks, and what both give on small whole numbers, of which all sums are exact. */
async function both(build: Build): Promise<{
  readonly types: readonly string[];
  readonly bytes: Uint8Array;
  readonly plain: readonly unknown[];
  readonly blocked: readonly unknown[];
}> {
  const graph = new Graph();
  let inputs = 0;
  const made = build((...shape) => graph.input("column", `x${inputs++}`, { dtype: "float32", shape }));
  const { graph: simple, map } = simplify(graph, made);
  const results = made.map(({ id }) => map[id]!);
  const write = (of: Graph, tensors: readonly Tensor[]): Uint8Array =>
    writeOnnx(of, { outputs: Object.fromEntries(tensors.map((t, i) => [`y${i}`, t])), opset: 23, name: "test" });
  const feeds = Object.fromEntries(
    [...simple.inputs].map(([name, id], input) => {
      const count = simple.value(id).type.shape.reduce<number>((product, size) => product * Number(size), 1);
      return [name, Float32Array.from({ length: count }, (_, i) => ((i * 5 + input * 3) % 7) - 3)];
    }),
  );
  const run = async (bytes: Uint8Array) => Object.values(await (await openBytes(bytes, simple, "all"))(feeds));
  const copy = blockConvolutions(simple, results, block);
  const bytes =
    copy === undefined
      ? write(simple, results)
      : write(
          copy.graph,
          results.map(({ id }) => copy.map[id]!),
        );
  return {
    types: readOnnx(bytes).nodes.map(({ domain, type }) => (domain === "" ? type : `${domain}.${type}`)),
    bytes,
    plain: await run(write(simple, results)),
    blocked: await run(bytes),
  };
}

const blockedConv = "com.microsoft.nchwc.Conv";

describe("convolutions over channels in blocks give the same whole numbers:", () => {
  const networks: Readonly<Record<string, { readonly build: Build; readonly blocked: number }>> = {
    "with padding, bias and ReLU": {
      build: (input) => [
        input(4, 32, 24, 23)
          .conv(input(16, 32, 3, 2), { pads: [1, 0, 2, 1], bias: input(16) })
          .relu(),
      ],
      blocked: 1,
    },
    "with stride and dilation": {
      build: (input) => [
        input(8, 16, 36, 37).conv(input(32, 16, 3, 3), { strides: [2, 1], dilations: [2, 3], pads: [1, 2, 1, 2] }),
      ],
      blocked: 1,
    },
    "a ReLU, and another that sees what is below zero": {
      build: (input) => {
        const y = input(8, 16, 24, 24).conv(input(16, 16, 3, 3));
        return [y.relu(), y.neg()];
      },
      blocked: 1,
    },
    "a result that is asked for before its ReLU": {
      build: (input) => {
        const y = input(8, 16, 24, 24).conv(input(16, 16, 3, 3));
        return [y, y.relu().sum(1)];
      },
      blocked: 1,
    },
    "one after the other": {
      build: (input) => [
        input(4, 16, 26, 26)
          .conv(input(32, 16, 3, 3), { bias: input(32) })
          .relu()
          .conv(input(16, 32, 1, 3)),
      ],
      blocked: 2,
    },
    "a transposed convolution": {
      build: (input) => [
        input(8, 32, 24, 24).convTranspose(input(32, 16, 3, 2), { pads: [1, 0, 2, 1], bias: input(16) }),
      ],
      blocked: 1,
    },
    "each channel by itself, with stride": {
      build: (input) => [
        input(2, 32, 9, 8).conv(input(32, 1, 3, 3), {
          groups: 32,
          strides: [2, 1],
          pads: [1, 1, 1, 1],
          bias: input(32),
        }),
      ],
      blocked: 1,
    },
    "all gradients of two layers": {
      build: (input) => {
        const [x, w, v] = [input(4, 16, 26, 26), input(32, 16, 3, 3), input(32, 1, 3, 3)];
        const y = x
          .conv(w)
          .relu()
          .conv(v, { groups: 32, pads: [1, 1, 1, 1] });
        return [y, ...gradients(y.mul(input(4, 32, 24, 24)), [x, w, v]).map((tensor) => tensor!)];
      },
      blocked: 5,
    },
  };
  for (const [name, { build, blocked: count }] of Object.entries(networks)) {
    test(name, async () => {
      const { types, plain, blocked } = await both(build);
      expect(types.filter((type) => type === blockedConv)).toHaveLength(count);
      expect(blocked).toEqual(plain);
    });
  }
});

describe("left as they are:", () => {
  const networks: Readonly<Record<string, Build>> = {
    "channels that do not divide by a block": (input) => [input(8, 16, 24, 24).conv(input(12, 16, 3, 3))],
    "few places": (input) => [input(4, 16, 9, 9).conv(input(16, 16, 3, 3))],
    "kernels of one entry": (input) => [input(8, 16, 24, 24).conv(input(16, 16, 1, 1))],
    "groups of several channels": (input) => [input(8, 32, 24, 24).conv(input(32, 16, 3, 3), { groups: 2 })],
    "one spatial axis": (input) => [input(40, 16, 64).conv(input(16, 16, 3))],
    "a transposed convolution with stride": (input) => [
      input(8, 16, 24, 24).convTranspose(input(16, 16, 3, 3), { strides: [2, 2] }),
    ],
    "a transposed convolution with more padding than its kernel reaches": (input) => [
      input(8, 16, 26, 26).convTranspose(input(16, 16, 2, 2), { pads: [2, 2, 2, 2] }),
    ],
  };
  for (const [name, build] of Object.entries(networks)) {
    test(name, async () => expect((await both(build)).types.filter((type) => type.includes("nchwc"))).toEqual([]));
  }
});

test("a graph from the network must not hold such operators", async () => {
  const { bytes } = await both((input) => [input(8, 16, 24, 24).conv(input(16, 16, 3, 3))]);
  expect(() => checkGraph(bytes, { maxBytes: 1e6, maxNodes: 100 })).toThrow(
    expect.objectContaining({ code: "GRAPH_INVALID", message: expect.stringContaining("com.microsoft.nchwc") }),
  );
});
