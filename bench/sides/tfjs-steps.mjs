// The MLP of bench/steps.mjs in TensorFlow.js on its wasm backend, a slice at a time: tfjs-steps.mjs BATCH. Run with bench/peers as
// the working folder's packages. Each line {"steps": n} is answered by {"ms": of n steps}.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../peers/package.json", import.meta.url));
const tf = require("@tensorflow/tfjs");
const wasm = require("@tensorflow/tfjs-backend-wasm");

const batch = Number(process.argv[2]);
const rows = 4096;
wasm.setThreadsCount(1);
await tf.setBackend("wasm");
await tf.ready();

const model = tf.sequential({
  layers: [
    tf.layers.dense({ inputShape: [784], units: 512, activation: "relu" }),
    tf.layers.dense({ units: 512, activation: "relu" }),
    tf.layers.dense({ units: 10 }),
  ],
});
const optimizer = tf.train.rmsprop(1e-3, 0.99);
const weights = model.trainableWeights.map((weight) => weight.val);
const x = tf.randomUniform([rows, 784]);
const y = tf.oneHot(
  tf.tensor1d(
    Int32Array.from({ length: rows }, (_, i) => i % 10),
    "int32",
  ),
  10,
);
let position = 0;

/** One step; nothing is read back. */
function step() {
  tf.tidy(() => {
    const images = x.slice([position, 0], [batch, 784]);
    const labels = y.slice([position, 0], [batch, 10]);
    optimizer.minimize(() => tf.losses.softmaxCrossEntropy(labels, model.apply(images)), false, weights);
  });
  position = (position + batch) % rows;
}

step();
console.log(JSON.stringify({ ready: true, backend: tf.getBackend(), version: tf.version.tfjs }));
for await (const line of createInterface({ input: process.stdin })) {
  const { steps } = JSON.parse(line);
  step();
  const startMs = performance.now();
  for (let i = 0; i < steps; i++) step();
  await weights[0].data(); // wasm computes at once; a backend that did not would have to be done here
  console.log(JSON.stringify({ ms: performance.now() - startMs }));
}
