// What bounds everything on this machine: copies of memory, bytes over a loopback socket, and the engine's matrix product on
// one thread. Each line {"what", "steps"} is answered by { ms } of so many.
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { Graph, writeOnnx } from "../../packages/core/dist/graph/index.js";

const { InferenceSession, Tensor } = createRequire(new URL("../../packages/core/package.json", import.meta.url))(
  "onnxruntime-node",
);
const bytes = 40_000_000;
const from = new Uint8Array(bytes).fill(1);
const to = new Uint8Array(bytes);

async function product(size) {
  const graph = new Graph();
  const [a, b] = ["a", "b"].map((name) => graph.input("parameter", name, { dtype: "float32", shape: [size, size] }));
  const model = writeOnnx(graph, { outputs: { y: a.matmul(b) }, opset: 23, name: "product" });
  const session = await InferenceSession.create(model, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  const tensor = () => new Tensor("float32", Float32Array.from({ length: size * size }, Math.random), [size, size]);
  const feeds = { a: tensor(), b: tensor() };
  return () => session.run(feeds);
}

/** Sends `bytes` to a process of its own kind: a thread would share this one's loop. */
async function loopback() {
  const { Worker } = await import("node:worker_threads");
  const server = createServer();
  const accepted = new Promise((resolve) => server.once("connection", resolve));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const source = `
    const { connect } = require("node:net");
    const { workerData } = require("node:worker_threads");
    const socket = connect(workerData.port, "127.0.0.1");
    let left = workerData.bytes;
    socket.on("data", (data) => {
      left -= data.byteLength;
      if (left > 0) return;
      left += workerData.bytes;
      socket.write("1");
    });`;
  new Worker(source, { eval: true, workerData: { port: server.address().port, bytes } }).unref();
  const socket = await accepted;
  socket.setNoDelay(true);
  return () =>
    new Promise((resolve) => {
      socket.once("data", resolve);
      for (let at = 0; at < bytes; at += 1 << 20) socket.write(from.subarray(at, at + (1 << 20)));
    });
}

const work = {
  copy: async () => to.set(from),
  loopback: await loopback(),
  gemm512: await product(512),
  gemm1024: await product(1024),
};
console.log(JSON.stringify({ ready: true, bytes }));
for await (const line of createInterface({ input: process.stdin })) {
  const { what, steps } = JSON.parse(line);
  await work[what]();
  const startMs = performance.now();
  for (let i = 0; i < steps; i++) await work[what]();
  console.log(JSON.stringify({ ms: performance.now() - startMs }));
}
process.exit(0);
