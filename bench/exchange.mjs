// How long does it take to add up a gradient over all processes and give everybody the result, ours and gloo's all-reduce?
// Ours is whole steps of the product without the computing, so it includes an SGD update and the commit. Cases: 2x1KB … 4x40MB.
import { fileURLToPath } from "node:url";
import { Contestant } from "./harness/contestant.mjs";
import { python, torchEnvironment } from "./harness/machine.mjs";
import { figure, times } from "./harness/report.mjs";
import { alternate, median, repetitionsFor, warmUp } from "./harness/rounds.mjs";

const sides = fileURLToPath(new URL("sides/", import.meta.url));

const sizes = [
  { title: "1 KB", floats: 256 },
  { title: "100 KB", floats: 25_600 },
  { title: "4 MB", floats: 1_000_000 },
  { title: "40 MB", floats: 10_000_000 },
];
/** How `tutti train` and its worker processes do it, how those of other machines would, and directly between workers. */
const exchanges = [
  { name: "star", options: { exchange: "star", sharesFile: true } },
  { name: "star, sockets", options: { exchange: "star", sharesFile: false } },
  { name: "mesh", options: { exchange: "mesh", sharesFile: true } },
];

let nextPort = 29_000 + (process.pid % 200);

async function measureCase({ title, floats }, processes, { rounds, sliceMs, warmUpMs, nodes, hasTorch, log }) {
  log(`exchange: ${title} between ${processes}`);
  const starts = new Map(
    exchanges.map(({ name, options }) => [
      name,
      () =>
        Contestant.start(nodes[0].path, [
          `${sides}ours-exchange.mjs`,
          JSON.stringify({ workers: processes, floats, ...options }),
        ]),
    ]),
  );
  if (hasTorch) {
    const env = { ...torchEnvironment(1), MASTER_PORT: String(nextPort++) };
    const args = [`${sides}torch_allreduce.py`, String(processes), String(floats)];
    starts.set("gloo", () => Contestant.start(python, args, { env }));
  }
  const contestants = [];
  try {
    const measures = {};
    for (const [name, start] of starts) {
      const contestant = await start();
      contestants.push(contestant);
      const stepsMs = async (n) => (await contestant.ask({ steps: n })).ms;
      await warmUp(warmUpMs / 2, stepsMs);
      const steps = await repetitionsFor(sliceMs / 2, stepsMs, 2);
      measures[name] = async () => (await contestant.ask({ steps })).ms / steps;
    }
    const found = await alternate(measures, rounds);
    return {
      title,
      processes,
      ...Object.fromEntries(Object.entries(found).map(([name, all]) => [name, median(all)])),
    };
  } finally {
    await Promise.all(contestants.map((contestant) => contestant.end()));
  }
}

export async function measure(context) {
  const results = [];
  for (const processes of [2, 4]) {
    for (const size of sizes) {
      const name = `${processes}x${size.title.replace(" ", "")}`;
      if (context.only.length > 0 && !context.only.includes(name)) continue;
      results.push(await measureCase(size, processes, context));
    }
  }
  const ours = exchanges.map(({ name }) => name);
  return {
    results,
    tables: [
      {
        title: "Summing a gradient over processes of one machine, ms (time against gloo's: below 1, ours is faster)",
        columns: ["", "workers or ranks", ...ours.flatMap((name) => [name, "/ gloo"]), "gloo", "wanted"],
        rows: results.map((result) => [
          result.title,
          result.processes,
          ...ours.flatMap((name) => [figure(result[name]), times(result[name] / result.gloo)]),
          figure(result.gloo),
          "1x",
        ]),
        notes: [
          "Ours is a step without computing: the product's processes, wire and tree, with an SGD update, the hash of the parameters and the commit; gloo's is all_reduce alone. Ours has the coordinator as one process more.",
        ],
      },
    ],
  };
}
