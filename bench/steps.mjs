// How long is a whole training step (data, forward, backward, reduce, update), ours and PyTorch's, on the same cores?
import { fileURLToPath } from "node:url";
import { Contestant } from "./harness/contestant.mjs";
import { python, torchEnvironment } from "./harness/machine.mjs";
import { figure, times } from "./harness/report.mjs";
import { alternate, median, repetitionsFor, warmUp } from "./harness/rounds.mjs";

const sides = fileURLToPath(new URL("sides/", import.meta.url));

/** Targets of a row: at least so many times DDP's throughput, and PyTorch's fastest. */
const cases = [
  { name: "linear", model: "linear", batch: 32, title: "linear 10-1, SGD, batch 32", targets: [10, 2] },
  { name: "mlp-128", model: "mlp", batch: 128, title: "MLP 784-512-512-10, RMSprop, batch 128", targets: [2, 1.5] },
  { name: "mlp-512", model: "mlp", batch: 512, title: "the same, batch 512", targets: [1.6, 1.6] },
  {
    name: "cnn",
    model: "cnn",
    batch: 64,
    title: "CNN conv32-conv64-pool-fc128, RMSprop, batch 64",
    targets: [1.3, 1.3],
    scaling: true,
  },
  {
    name: "gpt-128",
    model: "gpt128",
    batch: 16,
    title: "GPT d=128, 4 layers, T=64, AdamW, batch 16",
    targets: [1.3, 1.3],
    scaling: true,
  },
  {
    name: "gpt-256",
    model: "gpt256",
    batch: 16,
    title: "GPT d=256, 4 layers, T=64, AdamW, batch 16",
    targets: [1.1, 1.1],
    scaling: true,
  },
];

/** Both of two shards are computed at the same time; a run in one process has no sockets. */
const ours = [
  { name: "1 process x 2 lanes", workers: 0, lanes: 2, shards: 2 },
  { name: "1 worker x 2 lanes", workers: 1, lanes: 2, shards: 2 },
  { name: "2 workers x 1 lane", workers: 2, lanes: 1, shards: 2 },
  { name: "2 workers, mesh", workers: 2, lanes: 1, shards: 2, exchange: "mesh" },
  { name: "1 process x 2 lanes, 8 shards", workers: 0, lanes: 2, shards: 8 },
  { name: "1 lane", workers: 0, lanes: 1, shards: 1 },
];

/** The same runs on one core: what two are compared with. */
const halves = [
  { name: "1 lane, 2 shards", workers: 0, lanes: 1, shards: 2 },
  { name: "1 worker, 2 shards", workers: 1, lanes: 1, shards: 2 },
];

const theirs = [
  { name: "DDP 2 ranks x 1 thread", ranks: 2, threads: 1 },
  { name: "1 rank x 1 thread", ranks: 1, threads: 1 },
  { name: "1 rank x 2 threads", ranks: 1, threads: 2 },
];

export const names = cases.map(({ name }) => name);

/** @param context.nodes { name, path }: lanes share memory only where the runtime allows, so other versions get rows of their own. */
export async function measure({ rounds, sliceMs, warmUpMs, only, nodes, hasTorch, log }) {
  const chosen = cases.filter(({ name }) => only.length === 0 || only.includes(name));
  const results = [];
  for (const one of chosen) results.push(await measureCase(one, { rounds, sliceMs, warmUpMs, nodes, hasTorch, log }));
  return { tables: tablesOf(results), results };
}

let nextPort = 29_600 + (process.pid % 300);

async function measureCase({ name, model, batch, title, targets, scaling = false }, context) {
  const { rounds, sliceMs, warmUpMs, nodes, hasTorch, log } = context;
  const starts = new Map();
  for (const [i, node] of nodes.entries()) {
    // Further versions only differ where lanes share memory.
    const own = i === 0 ? [...ours, ...(scaling ? halves : [])] : ours.filter(({ lanes }) => lanes > 1);
    for (const { name: how, ...options } of own) {
      const label = i === 0 ? how : `${how}, Node ${node.name}`;
      starts.set(label, () =>
        Contestant.start(node.path, [`${sides}ours-steps.mjs`, JSON.stringify({ model, batch, ...options })]),
      );
    }
  }
  if (hasTorch) {
    for (const { name: how, ranks, threads } of theirs) {
      const env = { ...torchEnvironment(threads), MASTER_PORT: String(nextPort++) };
      const args = [`${sides}torch_steps.py`, model, batch, ranks, threads].map(String);
      starts.set(`PyTorch ${how}`, () => Contestant.start(python, args, { env }));
    }
  }
  log(`${name}: ${starts.size} contestants`);
  const contestants = new Map();
  try {
    const measures = {};
    for (const [label, start] of starts) {
      const contestant = await start();
      contestants.set(label, contestant);
      const stepsMs = async (n) => (await contestant.ask({ steps: n })).ms;
      await warmUp(warmUpMs, stepsMs);
      const steps = await repetitionsFor(sliceMs, stepsMs);
      measures[label] = async () => {
        const { ms, split } = await contestant.ask({ steps });
        return { msPerStep: ms / steps, split };
      };
    }
    const found = await alternate(measures, rounds);
    const figures = Object.entries(found).map(([label, slices]) => {
      const all = slices.map(({ msPerStep }) => msPerStep);
      return {
        how: label,
        msPerStep: median(all),
        least: Math.min(...all),
        most: Math.max(...all),
        split: medianSplit(slices),
      };
    });
    return { name, title, batch, targets, scaling, figures };
  } finally {
    await Promise.all([...contestants.values()].map((contestant) => contestant.end()));
  }
}

/** The title once, above its rows. */
const under = (title, rows) => rows.map((row, i) => [i === 0 ? title : "", ...row]);

function medianSplit(slices) {
  if (slices[0]?.split === undefined) return undefined;
  return Object.fromEntries(
    Object.keys(slices[0].split).map((part) => [part, median(slices.map(({ split }) => split[part] ?? 0))]),
  );
}

function tablesOf(results) {
  const of = ({ figures }, how) => figures.find((one) => one.how === how)?.msPerStep ?? Number.NaN;
  const split = results.flatMap(({ title, figures }) =>
    under(
      title,
      figures
        .filter((one) => one.split !== undefined)
        .map((one) => [one.how, figure(one.msPerStep), ...Object.values(one.split).map(figure)]),
    ),
  );
  const parts = results.flatMap(({ figures }) =>
    figures.flatMap(({ split: one }) => (one ? [Object.keys(one)] : [])),
  )[0];
  const whole = results.map((result) => {
    const peers = result.figures.filter(({ how }) => how.startsWith("PyTorch"));
    const ddp = of(result, `PyTorch ${theirs[0].name}`);
    const fastest = Math.min(...peers.map(({ msPerStep }) => msPerStep), Number.POSITIVE_INFINITY);
    // Of those that compute two shards on two cores, on any version of Node that was asked for.
    const two = result.figures.filter(({ how }) => /x 2 lanes|2 workers/.test(how) && !/8 shards/.test(how));
    const best = two.reduce((a, b) => (b.msPerStep < a.msPerStep ? b : a));
    return { result, ddp, fastest, peers, best };
  });
  const comparison = {
    title: "Whole steps: ratio of throughputs, ours to PyTorch's (above 1: ours is faster)",
    columns: [
      "",
      "best of ours, ms",
      "against DDP",
      "wanted",
      "against its fastest",
      "wanted",
      "2 lanes / DDP",
      "2 workers / DDP",
      "their mesh / DDP",
      "8 shards / DDP",
    ],
    rows: whole.map(({ result, ddp, fastest, best }) => [
      result.title,
      `${figure(best.msPerStep)} (${best.how})`,
      times(ddp / best.msPerStep),
      `${result.targets[0]}x`,
      times(fastest / best.msPerStep),
      `${result.targets[1]}x`,
      times(ddp / Math.min(of(result, ours[0].name), of(result, ours[1].name))),
      times(ddp / of(result, ours[2].name)),
      times(ddp / of(result, "2 workers, mesh")),
      times(ddp / of(result, "1 process x 2 lanes, 8 shards")),
    ]),
    notes: [
      "One run of ours cuts every batch into 2 shards (8 where the column says so), which both lanes or workers compute at the same time.",
    ],
  };
  const oneCore = {
    title: "One core each: our 1 lane against PyTorch's 1 thread",
    columns: ["", "ours, ms", "PyTorch, ms", "ratio", "wanted"],
    rows: results.map((result) => {
      const [own, peer] = [of(result, "1 lane"), of(result, `PyTorch ${theirs[1].name}`)];
      return [result.title, figure(own), figure(peer), times(peer / own), "1x"];
    }),
  };
  const scaled = results.filter(({ scaling }) => scaling);
  const scalingTable = {
    title: "Strong scaling: the same run of 2 shards on one core and on two",
    columns: ["", "1 → 2 lanes", "wanted", "1 → 2 workers", "wanted", "PyTorch 1 → 2 ranks"],
    rows: scaled.map((result) => [
      result.title,
      times(of(result, halves[0].name) / of(result, ours[0].name)),
      "1.9x",
      times(of(result, halves[1].name) / of(result, ours[2].name)),
      "1.7x",
      times(of(result, `PyTorch ${theirs[1].name}`) / of(result, `PyTorch ${theirs[0].name}`)),
    ]),
  };
  return [
    comparison,
    oneCore,
    ...(scaled.length > 0 ? [scalingTable] : []),
    {
      title: "All of it, ms a step: median of the rounds, least and most",
      columns: ["", "how", "ms", "least", "most"],
      rows: results.flatMap(({ title, figures }) =>
        under(
          title,
          figures.map(({ how, msPerStep, least, most }) => [how, figure(msPerStep), figure(least), figure(most)]),
        ),
      ),
    },
    ...(parts === undefined
      ? []
      : [
          {
            title: "Where a step of ours goes, ms",
            columns: ["", "how", "wall", ...parts.map((part) => part.replace(/Ms$/, ""))],
            rows: split,
          },
        ]),
  ];
}
