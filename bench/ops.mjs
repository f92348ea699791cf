// How is an operator's gradient best written for the engine? Forward and backward on one thread: the gradients that the operator
// table writes, other ways to write them, and PyTorch's. Not part of the whole bench: npm run bench -- ops [--case TEXT].
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { blockedProgram } from "../packages/core/dist/engine/blocked-program.js";
import { loadEngine } from "../packages/core/dist/engine/runtime.js";
import { Graph, gradients, lower, simplify, writeOnnx } from "../packages/core/dist/graph/index.js";
import { Contestant } from "./harness/contestant.mjs";
import { python, torchEnvironment } from "./harness/machine.mjs";
import { figure, times } from "./harness/report.mjs";
import { alternate, median, repetitionsFor } from "./harness/rounds.mjs";
import { convolutionCases } from "./ops/convolution.mjs";
import { normalizationCases } from "./ops/normalization.mjs";
import { pointwiseCases } from "./ops/pointwise.mjs";

const { InferenceSession, Tensor } = createRequire(new URL("../packages/core/package.json", import.meta.url))(
  "onnxruntime-node",
);

/**
 * A case: float32 `inputs` (shapes) and perhaps `indices`, `build` of them in our graph, the same in PyTorch, and `ways`: what
 * other than the operator table could make of (...inputs, y, dy), all gradients or some.
 */
const cases = [...convolutionCases, ...normalizationCases, ...pointwiseCases];

/** Version of ai.onnx that programs are written in. */
const opset = 23;

function numbers(shape) {
  const count = shape.reduce((product, size) => product * size, 1);
  return Float32Array.from({ length: count }, (_, i) => (((i * 7919) % 1009) - 504) / 504);
}

/**
 * The result and what `backward` makes of (inputs, y, dy), in one session; handed over as sums, since images stay inside.
 * Undefined where a way does not apply.
 */
async function prepare({ inputs, indices, build }, backward) {
  const graph = new Graph();
  const tensors = inputs.map((shape, i) => graph.input("parameter", `x${i}`, { dtype: "float32", shape }));
  const fed =
    indices === undefined
      ? tensors
      : [...tensors, graph.input("column", "i", { dtype: "int64", shape: indices.shape })];
  const y = build(...fed);
  const dy = graph.input("column", "dy", { dtype: "float32", shape: y.shape });
  const made = backward(fed, tensors, y, dy);
  if (made.includes(undefined)) return undefined;
  const lowered = lower(graph, opset);
  const all = [y, ...made].map((tensor) => lowered?.map[tensor.id] ?? tensor);
  const simple = simplify(lowered?.graph ?? graph, all);
  const outputs = Object.fromEntries(all.map((tensor, i) => [`y${i}`, simple.map[tensor.id].sum()]));
  const engine = await loadEngine();
  const onnx = await blockedProgram(engine, writeOnnx(simple.graph, { outputs, opset, name: "bench" }));
  const session = await InferenceSession.create(onnx, engine.sessionOptions);
  const shapes = Object.fromEntries([...inputs.map((shape, i) => [`x${i}`, shape]), ["dy", y.shape]]);
  const feeds = Object.fromEntries(
    session.inputNames.map((name) => [
      name,
      name === "i" ? indexTensor(indices) : new Tensor("float32", numbers(shapes[name]), shapes[name]),
    ]),
  );
  return async (steps) => {
    const startMs = performance.now();
    for (let i = 0; i < steps; i++) await session.run(feeds);
    return performance.now() - startMs;
  };
}

function indexTensor({ shape, below }) {
  const values = BigInt64Array.from({ length: shape[0] }, (_, i) => BigInt((i * 7919) % below));
  return new Tensor("int64", values, shape);
}

async function measureCase(item, { rounds, sliceMs, peer, log }) {
  log(`ops: ${item.name}`);
  const all = await prepare(item, (_, inputs, y, dy) => gradients(y.mul(dy), inputs));
  const contestants = { forward: await prepare(item, () => []), all };
  for (const [way, build] of Object.entries(item.ways ?? {})) {
    const made = await prepare(item, (every, _, y, dy) => build(...every, y, dy));
    if (made !== undefined) contestants[way] = made;
  }
  if (peer !== undefined) {
    const { inputs, indices, torch } = item;
    contestants.torch = async (steps) => (await peer.ask({ inputs, indices, torch, steps })).ms;
  }
  const measures = {};
  for (const [name, ms] of Object.entries(contestants)) {
    const steps = await repetitionsFor(sliceMs / 5, ms, 2);
    measures[name] = async () => (await ms(steps)) / steps;
  }
  const found = await alternate(measures, rounds);
  return { name: item.name, ms: Object.fromEntries(Object.entries(found).map(([how, list]) => [how, median(list)])) };
}

export async function measure({ rounds, sliceMs, only, hasTorch, log }) {
  const chosen = cases.filter(({ name }) => only.length === 0 || only.some((text) => name.includes(text)));
  const script = fileURLToPath(new URL("sides/torch_ops.py", import.meta.url));
  const peer = hasTorch ? await Contestant.start(python, [script], { env: torchEnvironment(1) }) : undefined;
  const results = [];
  try {
    for (const item of chosen) results.push(await measureCase(item, { rounds, sliceMs, peer, log }));
  } finally {
    await peer?.end();
  }
  return {
    results,
    tables: [
      {
        title: "Operators forward and backward, one thread, ms (time against PyTorch's: below 1, ours is faster)",
        columns: ["", "forward", "and gradients", "PyTorch", "ratio", "other ways, with the forward result"],
        rows: results.map(({ name, ms: { forward, all, torch, ...ways } }) => [
          name,
          figure(forward),
          figure(all),
          figure(torch),
          times(all / torch),
          Object.entries(ways)
            .map(([way, ms]) => `${way}: ${figure(ms)}`)
            .join("; "),
        ]),
      },
    ],
  };
}
