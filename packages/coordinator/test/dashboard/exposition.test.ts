import { readFileSync } from "node:fs";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { expect, test } from "vitest";
import { exposition } from "../../src/dashboard/exposition.ts";
import { RunHistory } from "../../src/dashboard/run-history.ts";
import { metricFamilies, runMetrics } from "../../src/dashboard/run-metrics.ts";
import { stepSecondsBounds } from "../../src/dashboard/step-totals.ts";
import { SyntheticRun } from "./synthetic-run.ts";

/** The samples of a text, without order: prom-client writes some of them in another. */
const lines = (text: string): readonly string[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .sort();

test("writes what prom-client writes, also for labels and help that need escapes", async () => {
  const registry = new Registry();
  const hosts = ["plain", 'a "quoted" one', "back\\slash", "two\nlines", "ünïcode {}=,"];
  const gauge = new Gauge({
    name: "t_gauge",
    help: 'one\\two\nthree "four"',
    labelNames: ["host"],
    registers: [registry],
  });
  const values = [0, -1.5, Number.NaN, Number.POSITIVE_INFINITY, 1e-300];
  for (const [i, host] of hosts.entries()) gauge.set({ host }, values[i]!);
  new Counter({ name: "t_total", help: "counts", registers: [registry] }).inc(12_345_678_901);
  const ours = exposition([
    {
      name: "t_gauge",
      type: "gauge",
      help: 'one\\two\nthree "four"',
      samples: hosts.map((host, i) => ({ labels: { host }, value: values[i]! })),
    },
    { name: "t_total", type: "counter", help: "counts", samples: [{ value: 12_345_678_901 }] },
    { name: "t_none", type: "gauge", help: "has no samples", samples: [] },
  ]);
  const theirs = (await registry.metrics()).replaceAll(" Nan\n", " NaN\n"); // the format's own spelling
  expect(lines(ours)).toEqual(lines(theirs));
});

test("counts step durations as prom-client's histogram does", async () => {
  const registry = new Registry();
  const name = "tutti_step_duration_seconds";
  const [, help] = metricFamilies[name];
  const histogram = new Histogram({ name, help, buckets: [...stepSecondsBounds], registers: [registry] });
  const history = new RunHistory({ id: "run", name: "run" });
  const run = new SyntheticRun(1);
  for (const [i, wallMs] of [0.5, 1, 1.01, 7, 2500, 2500.5, 90_000].entries()) {
    history.event({ ...run.step(i + 1), wallMs });
    histogram.observe(wallMs / 1000);
  }
  const ours = exposition(runMetrics(history).filter((family) => family.name === name));
  expect(lines(ours)).toEqual(lines(await registry.metrics()));
});

test("tells of a run what its events said, under the names that docs/dashboard.md lists", () => {
  const run = new SyntheticRun(3);
  const history = new RunHistory({ id: "run", name: "run", live: run });
  history.event(run.started);
  for (let step = 1; step <= 50; step++) history.event(run.step(step));
  history.event({
    type: "validation",
    step: 50,
    epoch: 0,
    loss: 0.5,
    metrics: { accuracy: 0.75 },
    samples: 10,
    wallMs: 1,
  });
  history.event({ type: "checkpoint", step: 50, path: "runs/x/step.safetensors", best: false });
  const text = exposition(runMetrics(history));
  for (const line of [
    'tutti_run_state{state="training"} 1',
    "tutti_step 50",
    "tutti_steps 100000",
    `tutti_loss ${run.step(50).loss}`,
    'tutti_validation_metric{name="accuracy"} 0.75',
    "tutti_samples_total 204800",
    "tutti_checkpoint_step 50",
    'tutti_workers{state="active"} 3',
    "tutti_step_duration_seconds_count 50",
    'tutti_worker_silence_seconds{worker="w2",host="node-01.lab.example"} 0.08',
  ]) {
    expect(text.split("\n")).toContain(line);
  }
  expect(text).not.toContain("runs/x"); // paths of this machine are nobody's business
  const phases = [...text.matchAll(/^tutti_step_phase_seconds_total\{phase="\w+"\} (.*)$/gm)];
  const wall = Number(/^tutti_step_duration_seconds_sum (.*)$/m.exec(text)![1]);
  expect(phases).toHaveLength(8);
  expect(phases.reduce((sum, [, seconds]) => sum + Number(seconds), 0)).toBeCloseTo(wall, 9);

  const documented = [
    ...readFileSync(new URL("../../../../docs/dashboard.md", import.meta.url), "utf8").matchAll(
      /^\| `(tutti_\w+)` \| (\w+) \| (.*) \|$/gm,
    ),
  ];
  expect(documented.map(([, name, type, help]) => [name, [type, help]])).toEqual(
    Object.entries(metricFamilies).map(([name, [type, help]]) => [name, [type, help]]),
  );
});
