// How long does an optimizer's update take, ours (one fused WASM pass) and torch.optim's (foreach or not)? One thread each.
import { fileURLToPath } from "node:url";
import { Contestant } from "./harness/contestant.mjs";
import { python, torchEnvironment } from "./harness/machine.mjs";
import { figure, times } from "./harness/report.mjs";
import { alternate, median, repetitionsFor } from "./harness/rounds.mjs";

const sides = fileURLToPath(new URL("sides/", import.meta.url));

/** Multiples of 16, as layouts are. */
const sizes = [
  { title: "1M", floats: 1_000_000 },
  { title: "10M", floats: 10_000_000 },
];

const cases = [
  { name: "sgd", ours: ["sgd", { lr: 1e-3 }], torch: "SGD(p, lr=1e-3, foreach=FOREACH)" },
  {
    name: "sgd, momentum",
    ours: ["sgd", { lr: 1e-3, momentum: 0.9 }],
    torch: "SGD(p, lr=1e-3, momentum=0.9, foreach=FOREACH)",
  },
  { name: "adagrad", ours: ["adagrad", {}], torch: "Adagrad(p, foreach=FOREACH)" },
  { name: "rmsprop", ours: ["rmsprop", {}], torch: "RMSprop(p, foreach=FOREACH)" },
  { name: "adam", ours: ["adam", {}], torch: "Adam(p, foreach=FOREACH)" },
  { name: "adamW", ours: ["adamW", {}], torch: "AdamW(p, foreach=FOREACH)" },
  { name: "nadam", ours: ["nadam", {}], torch: "NAdam(p, foreach=FOREACH)" },
  { name: "adadelta", ours: ["adadelta", {}], torch: "Adadelta(p, foreach=FOREACH)" },
];

export async function measure({ rounds, sliceMs, quick, only, nodes, hasTorch, log }) {
  const chosen = cases.filter(({ name }) =>
    only.length === 0 ? !quick || /^(rmsprop|adamW)$/.test(name) : only.includes(name),
  );
  const ours = await Contestant.start(nodes[0].path, [`${sides}ours-optimizer.mjs`]);
  const peer = hasTorch
    ? await Contestant.start(python, [`${sides}torch_optimizer.py`], { env: torchEnvironment(1) })
    : undefined;
  const results = [];
  try {
    for (const { title, floats } of sizes) {
      for (const { name, ours: own, torch } of chosen) {
        log(`optimizer: ${name}, ${title}`);
        const questions = { ours: [ours, own] };
        if (peer !== undefined) {
          questions.torch = [peer, torch.replace("FOREACH", "False")];
          questions["torch foreach"] = [peer, torch.replace("FOREACH", "True")];
        }
        const measures = {};
        for (const [how, [contestant, optimizer]] of Object.entries(questions)) {
          const ms = async (steps) => (await contestant.ask({ optimizer, floats, steps })).ms;
          const steps = await repetitionsFor(sliceMs / 5, ms, 2);
          measures[how] = async () => ((await ms(steps)) / steps / floats) * 1e6;
        }
        const found = await alternate(measures, rounds);
        results.push({
          name,
          title,
          ...Object.fromEntries(Object.entries(found).map(([how, all]) => [how, median(all)])),
        });
      }
    }
  } finally {
    await Promise.all([ours.end(), peer?.end()]);
  }
  return {
    results,
    tables: [
      {
        title: "Optimizer updates, ns a parameter, one thread each (above 1: ours is faster)",
        columns: ["", "parameters", "ours", "torch.optim", "with foreach", "ratio to its faster", "wanted"],
        rows: results.map((one) => [
          one.name,
          one.title,
          figure(one.ours),
          figure(one.torch),
          figure(one["torch foreach"]),
          times(Math.min(one.torch, one["torch foreach"]) / one.ours),
          "1.5x",
        ]),
      },
    ],
  };
}
