// Where does the time of a shard's gradients go? Every node of the CNN's shard program as a lane opens it, by the engine's own profiler, against the
// best matrix product of this machine, and PyTorch's operators for the same samples. Not part of the whole bench:
// npm run bench -- nodes [--case cnn|mlp|mlp512|gpt128|gpt256].
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { blockedProgram } from "../packages/core/dist/engine/blocked-program.js";
import { loadEngine } from "../packages/core/dist/engine/runtime.js";
import { Graph, writeOnnx } from "../packages/core/dist/graph/index.js";
import { compileRun } from "../packages/core/dist/run/index.js";
import * as tutti from "../packages/tutti/dist/index.js";
import { Contestant } from "./harness/contestant.mjs";
import { python, torchEnvironment } from "./harness/machine.mjs";
import { figure } from "./harness/report.mjs";
import { median } from "./harness/rounds.mjs";
import { modelNamed } from "./sides/models.mjs";

const { InferenceSession, Tensor } = createRequire(new URL("../packages/core/package.json", import.meta.url))(
  "onnxruntime-node",
);
/** Samples of a shard: half a batch, as both lanes of two cores get. */
const cases = {
  cnn: ["cnn", 64],
  mlp: ["mlp", 128],
  mlp512: ["mlp", 512],
  gpt128: ["gpt128", 16],
  gpt256: ["gpt256", 16],
};
/** Less is one line together. */
const leastMs = 0.05;
const count = (shape) => shape.reduce((product, size) => product * size, 1);

/** The program that computes the gradients of half a batch. */
async function programOf(name) {
  const [modelName, batchSize] = cases[name];
  const { train, model, step, optimizer } = modelNamed(modelName, tutti);
  const run = { data: { train }, model, step, optimizer, batchSize, steps: 1, shards: 2 };
  const dataset = await train.open({ folder: "." });
  try {
    const compiled = compileRun(tutti.defineRun(run), { train: dataset });
    return [...compiled.training.programs.values()][0];
  } finally {
    await dataset.close();
  }
}

/** Numbers of both signs, small as parameters are; labels and pixels are whole. */
function feed({ type, shape }) {
  const length = count(shape);
  if (type !== "float32")
    return new Tensor(
      type,
      Uint8Array.from({ length }, (_, i) => (i * 7919) % 10),
      shape,
    );
  return new Tensor(
    "float32",
    Float32Array.from({ length }, (_, i) => (((i * 7919) % 1009) - 504) / 5040),
    shape,
  );
}

/** Work of a node in GFLOP from its shapes; undefined for what is no product. */
function workOf(type, [first, second], [result]) {
  if (/^(Fused)?Conv$/.test(type)) return (2e-9 * count(result) * count(second)) / second[0];
  if (type === "ConvTranspose") return (2e-9 * count(first) * count(second)) / second[0];
  if (!/Gemm|MatMul/.test(type)) return undefined;
  // Rows of the result times columns times what is summed over; the sides may be transposed.
  return 2e-9 * Math.sqrt(count(first) * count(second) * count(result));
}

/** Milliseconds of every node, in the order in which they are computed. */
async function profile(engine, onnx, rounds, runs) {
  const folder = mkdtempSync(join(tmpdir(), "tutti-nodes-"));
  try {
    const session = await InferenceSession.create(onnx, {
      ...engine.sessionOptions,
      enableProfiling: true,
      profileFilePrefix: join(folder, "profile"),
    });
    const feeds = Object.fromEntries(session.inputMetadata.map((input) => [input.name, feed(input)]));
    for (let i = 0; i < rounds * runs; i++) await session.run(feeds);
    session.endProfiling();
    const [file] = readdirSync(folder);
    const nodes = new Map();
    for (const { cat, name, dur, args } of JSON.parse(readFileSync(join(folder, file), "utf8"))) {
      if (cat !== "Node" || !name.endsWith("_kernel_time")) continue;
      const key = name.replace(/_kernel_time$/, "");
      const shapes = (list) => list.flatMap((type) => Object.values(type));
      if (!nodes.has(key)) {
        const [inputs, outputs] = [shapes(args.input_type_shape), shapes(args.output_type_shape)];
        nodes.set(key, { name: key, type: args.op_name, inputs, outputs, all: [] });
      }
      nodes.get(key).all.push(dur / 1000);
    }
    return [...nodes.values()].map(({ all, ...node }) => ({
      ...node,
      ms: median(all),
      work: workOf(node.type, node.inputs, node.outputs),
    }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** GFLOP/s of a product of 512x512 matrices, which fit into a core's cache. */
async function productRate(engine, rounds) {
  const graph = new Graph();
  const [a, b] = ["a", "b"].map((name) => graph.input("parameter", name, { dtype: "float32", shape: [512, 512] }));
  const onnx = writeOnnx(graph, { outputs: { y: a.matmul(b) }, opset: 23, name: "product" });
  const [node] = await profile(engine, onnx, rounds, 40);
  return (2e-6 * 512 ** 3) / node.ms;
}

export async function measure({ rounds, quick, only, hasTorch, log }) {
  const name = Object.keys(cases).find((key) => only.includes(key)) ?? "cnn";
  log(`nodes: ${name}`);
  const program = await programOf(name);
  const engine = await loadEngine();
  const limit = await productRate(engine, rounds);
  const nodes = await profile(engine, await blockedProgram(engine, program.onnx), rounds, quick ? 20 : 40);
  const total = nodes.reduce((sum, { ms }) => sum + ms, 0);
  const shown = nodes.filter(({ ms }) => ms >= leastMs);
  const rest = total - shown.reduce((sum, { ms }) => sum + ms, 0);
  const atLimit = nodes.reduce((sum, { ms, work }) => sum + (work === undefined ? ms : (1000 * work) / limit), 0);
  const shape = (list) => list.map((sizes) => sizes.join("x")).join(" ");
  const tables = [
    {
      title: `${name}, gradients of ${program.samples} samples on one thread: nodes by the engine's profiler`,
      columns: ["node", "shapes", "ms", "share", "GFLOP/s", "of a product's"],
      rows: [
        ...shown.map(({ name: key, inputs, outputs, ms, work }) => [
          key,
          `${shape(inputs)} -> ${shape(outputs)}`,
          figure(ms),
          `${((100 * ms) / total).toFixed(1)} %`,
          work === undefined ? "" : figure((1000 * work) / ms),
          work === undefined ? "" : `${((1e5 * work) / ms / limit).toFixed(0)} %`,
        ]),
        [`${nodes.length - shown.length} others`, "", figure(rest), `${((100 * rest) / total).toFixed(1)} %`, "", ""],
        ["all", "", figure(total), "100 %", "", ""],
      ],
      notes: [`A product of 512x512: ${figure(limit)} GFLOP/s. With all products at that rate: ${figure(atLimit)} ms.`],
    },
  ];
  const torch = hasTorch ? await torchOperators(name, program.samples) : undefined;
  if (torch !== undefined) {
    tables.push({
      title: `PyTorch's operators for the same: ${figure(torch.ms)} ms`,
      columns: ["operator", "shapes", "ms"],
      rows: torch.operators.filter(({ ms }) => ms >= leastMs).map((op) => [op.name, shape(op.inputs), figure(op.ms)]),
    });
  }
  return { results: { name, samples: program.samples, limit, total, atLimit, nodes, torch }, tables };
}

async function torchOperators(name, samples) {
  const script = fileURLToPath(new URL("sides/torch_nodes.py", import.meta.url));
  const peer = await Contestant.start(python, [script, cases[name][0], String(samples)], { env: torchEnvironment(1) });
  try {
    return await peer.ask({ steps: 20 });
  } finally {
    await peer.end();
  }
}
