// Trains on one file and prints how long steps waited for their rows: node ours-epochs.mjs csv|idx PATH WORKERS STEPS [MEMORY BYTES]
import { dirname } from "node:path";
import { data, defineRun, nn, optim, train } from "tutti";

const [, , kind, path, workers, steps, memory] = process.argv;
const numbers = Array.from({ length: 20 }, (_, i) => `x${i}`);
const runs = {
  csv: () => {
    const model = nn.sequential([nn.linear(20, 256), nn.relu(), nn.linear(256, 3)]);
    const columns = { x: { dtype: "float32", from: numbers, normalize: "standard" }, label: "uint8" };
    return {
      model,
      source: data.csv(path, { columns }),
      step: ({ x, label }) => ({ loss: nn.crossEntropy(model(x), label) }),
    };
  },
  idx: () => {
    const model = nn.sequential([nn.linear(784, 256), nn.relu(), nn.linear(256, 10)]);
    const files = { image: `${path}/train-images-idx3-ubyte`, label: `${path}/train-labels-idx1-ubyte` };
    return {
      model,
      source: data.idx(files),
      step: ({ image, label }) => ({
        loss: nn.crossEntropy(model(image.cast("float32").div(255).flatten(1)), label),
      }),
    };
  },
};
const { model, source, step } = runs[kind]();
const definition = defineRun({
  ...{ data: { train: source }, model, step, optimizer: optim.rmsprop({ lr: 1e-4 }) },
  ...{ batchSize: 256, shards: 4, steps: Number(steps), onNonFinite: "skip" },
});
const bound = memory === undefined ? {} : { dataMemoryBytes: Number(memory) };
const run = train(definition, { workers: Number(workers), baseDirectory: dirname(path), ...bound });
const [waits, walls] = [[], []];
for await (const event of run) {
  if (event.type !== "step") continue;
  waits.push(event.time.dataMs);
  walls.push(event.wallMs);
}
await run;
const sum = (list) => list.reduce((total, value) => total + value, 0);
// The first step waits for the first batch; there is nothing to hide that behind.
const [first, ...rest] = waits;
const share = sum(rest) / sum(walls.slice(1));
console.log(JSON.stringify({ share, firstMs: first, worstMs: Math.max(...rest), stepMs: sum(walls) / walls.length }));
process.exit(0);
