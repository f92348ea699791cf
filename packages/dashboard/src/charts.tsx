import { useState } from "preact/hooks";
import { Chart, type ChartLine } from "./chart.tsx";
import { titleOf } from "./format.ts";
import type { RunView } from "./run-view.ts";

/** A run with its colour; `label` tells it from others. */
export interface ChartedRun {
  readonly run: RunView;
  readonly color: number;
  readonly label: string;
}

/** Curves in the order one looks for them; metrics follow the loss. */
const order = ["loss", "lr", "gradientNorm", "samplesPerSecond", "wallMs"];

/** Every curve of one or several runs, over each other by name. */
export function Charts({ runs }: { readonly runs: readonly ChartedRun[] }) {
  const [isRecent, setIsRecent] = useState(false);
  const [isLog, setIsLog] = useState(false);
  const [smoothing, setSmoothing] = useState(0);
  const isLive = runs.some(({ run }) => run.status.isLive);
  const names = namesOf(runs.map(({ run }) => run));
  return (
    <section class="card" aria-labelledby="curves">
      <div class="head">
        <h2 id="curves">Curves</h2>
        <fieldset class="options" aria-label="How curves are drawn">
          {isLive && (
            <label class="check">
              <input
                type="checkbox"
                checked={isRecent}
                onChange={(event) => setIsRecent(event.currentTarget.checked)}
              />
              Last 512 steps
            </label>
          )}
          <label class="check">
            <input type="checkbox" checked={isLog} onChange={(event) => setIsLog(event.currentTarget.checked)} />
            Logarithmic loss
          </label>
          <label class="check">
            Smoothing
            <input
              type="range"
              min="0"
              max="0.99"
              step="0.01"
              value={smoothing}
              onInput={(event) => setSmoothing(Number(event.currentTarget.value))}
            />
            <output>{smoothing.toFixed(2)}</output>
          </label>
        </fieldset>
      </div>
      {names.length === 0 ? (
        <p class="none">No step has been committed yet.</p>
      ) : (
        <div class="charts">
          {names.map((name) => (
            <Chart
              key={name}
              title={titleOf(name)}
              lines={linesOf(name, runs, isRecent)}
              isLog={isLog && name === "loss"}
              smoothing={name === "lr" ? 0 : smoothing}
            />
          ))}
        </div>
      )}
    </section>
  );
}

function namesOf(runs: readonly RunView[]): readonly string[] {
  const names = new Set(runs.flatMap(({ training, validation }) => [...training.names, ...validation.names]));
  const metrics = [...names].filter((name) => !order.includes(name));
  const [first = "", ...others] = order.filter((name) => names.has(name));
  return names.size === 0 ? [] : [first, ...metrics, ...others];
}

function linesOf(name: string, runs: readonly ChartedRun[], isRecent: boolean): readonly ChartLine[] {
  const lines: ChartLine[] = [];
  for (const { run, color, label } of runs) {
    const training = (isRecent && run.status.isLive ? run.recent : run.training).line(name);
    const of = label === "" ? "" : `${label}, `;
    if (training !== undefined)
      lines.push({ label: label === "" ? "training" : label, color, line: training, isValidation: false });
    const validation = run.validation.line(name);
    if (validation === undefined) continue;
    const firstStep = isRecent ? (training?.steps[0] ?? 0) : 0;
    const from = validation.steps.findIndex((step) => step >= firstStep);
    if (from < 0) continue;
    const cut =
      from === 0
        ? validation
        : { steps: validation.steps.slice(from), mean: validation.mean.slice(from), min: undefined, max: undefined };
    lines.push({
      label: `${of}validation`,
      color: label === "" ? color + 1 : color,
      line: { ...cut, min: undefined, max: undefined },
      isValidation: true,
    });
  }
  return lines;
}
