// What bounds everything on this machine: how fast is memory copied, a loopback socket, and the best matrix product at hand?
import { fileURLToPath } from "node:url";
import { Contestant } from "./harness/contestant.mjs";
import { python, torchEnvironment } from "./harness/machine.mjs";
import { figure } from "./harness/report.mjs";
import { alternate, median, repetitionsFor } from "./harness/rounds.mjs";

const sides = fileURLToPath(new URL("sides/", import.meta.url));

/** What one repetition amounts to, in billions. */
const cases = [
  { what: "copy", title: "copy of 40 MB", unit: "GB/s", amount: 0.04, who: ["node", "torch"] },
  { what: "loopback", title: "40 MB through a loopback socket", unit: "GB/s", amount: 0.04, who: ["node"] },
  {
    what: "gemm512",
    title: "product of 512x512",
    unit: "GFLOP/s",
    amount: (2 * 512 ** 3) / 1e9,
    who: ["node", "torch"],
  },
  {
    what: "gemm1024",
    title: "product of 1024x1024",
    unit: "GFLOP/s",
    amount: (2 * 1024 ** 3) / 1e9,
    who: ["node", "torch"],
  },
];

export async function measure({ rounds, sliceMs, nodes, hasTorch }) {
  const contestants = { node: await Contestant.start(nodes[0].path, [`${sides}ours-limits.mjs`]) };
  try {
    if (hasTorch) {
      contestants.torch = await Contestant.start(python, [`${sides}torch_limits.py`], { env: torchEnvironment(1) });
    }
    const results = [];
    for (const { what, title, unit, amount, who } of cases) {
      const measures = {};
      for (const name of who) {
        const contestant = contestants[name];
        if (contestant === undefined) continue;
        const ms = async (steps) => (await contestant.ask({ what, steps })).ms;
        const steps = await repetitionsFor(sliceMs / 3, ms, 2);
        measures[name] = async () => (amount * steps * 1000) / (await ms(steps));
      }
      const found = await alternate(measures, rounds);
      const rates = Object.fromEntries(Object.entries(found).map(([name, all]) => [name, median(all)]));
      results.push({ what, title, unit, ...rates });
    }
    return {
      results,
      tables: [
        {
          title: "Limits of this machine, one thread",
          columns: ["", "unit", "Node, ONNX Runtime", "PyTorch, its BLAS"],
          rows: results.map(({ title, unit, node, torch }) => [title, unit, figure(node), figure(torch)]),
        },
      ],
    };
  } finally {
    await Promise.all(Object.values(contestants).map((contestant) => contestant.end()));
  }
}
