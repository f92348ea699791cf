import type { StepTimes } from "@tutti/core/events";
import { useEffect, useRef, useState } from "preact/hooks";
import { DataTable } from "./data-table.tsx";
import { count, duration } from "./format.ts";
import { type Theme, useTheme } from "./theme.ts";

const labelWidth = 56;
const axisHeight = 22;

/** The last steps by worker: what it computed, exchanged and waited. */
export function Timeline({ steps }: { readonly steps: readonly StepTimes[] }) {
  const theme = useTheme();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const shown = steps.slice(-16);
  const workers = workersOf(shown);
  const rowHeight = workers.length > 40 ? 8 : workers.length > 12 ? 14 : 26;
  const height = workers.length * rowHeight + axisHeight;
  useEffect(() => {
    if (canvas.current === null) return;
    const resized = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    resized.observe(canvas.current);
    return () => resized.disconnect();
  }, []);
  useEffect(() => {
    if (canvas.current !== null && width > 0) draw(canvas.current, shown, workers, rowHeight, width, height, theme);
  });
  const first = shown[0]?.step ?? 0;
  const last = shown.at(-1)?.step ?? 0;
  return (
    <section class="card" aria-labelledby="timeline">
      <div class="head">
        <h2 id="timeline">
          Steps {count(first)} to {count(last)}
        </h2>
        <p class="legend" aria-hidden="true">
          <span>
            <i class="key compute" />
            compute
          </span>
          <span>
            <i class="key exchange" />
            exchange
          </span>
          <span>
            <i class="key wait" />
            wait
          </span>
        </p>
      </div>
      <canvas
        ref={canvas}
        class="timeline"
        style={{ height: `${height}px` }}
        role="img"
        aria-label={`The last ${shown.length} steps of ${workers.length} workers; the table below has their mean times`}
      />
      <details>
        <summary>
          Table<span class="unseen"> of mean times by worker</span>
        </summary>
        <DataTable
          caption={`Mean times by worker over steps ${count(first)} to ${count(last)}`}
          label="Mean times by worker, scrollable"
          columns={[
            { name: "Worker" },
            { name: "Compute", isFigure: true },
            { name: "Exchange", isFigure: true },
            { name: "Wait", isFigure: true },
          ]}
          rows={workers.map((worker) => ({ key: worker, cells: [worker, ...meansOf(worker, shown).map(duration)] }))}
        />
      </details>
    </section>
  );
}

function workersOf(steps: readonly StepTimes[]): readonly string[] {
  const ids = new Set(steps.flatMap(({ workers }) => workers.map(({ worker }) => worker)));
  return [...ids].sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
}

/** Computing, exchanging, waiting: milliseconds. */
function meansOf(worker: string, steps: readonly StepTimes[]): readonly number[] {
  const times = steps.flatMap(({ workers }) => workers.filter((of) => of.worker === worker));
  const mean = (part: "computeMs" | "exchangeMs" | "waitMs"): number =>
    times.reduce((sum, of) => sum + of[part], 0) / Math.max(1, times.length);
  return [mean("computeMs"), mean("exchangeMs"), mean("waitMs")];
}

/** Steps side by side as wide as they were long, a row for each worker. */
function draw(
  canvas: HTMLCanvasElement,
  steps: readonly StepTimes[],
  workers: readonly string[],
  rowHeight: number,
  width: number,
  height: number,
  theme: Theme,
): void {
  const context = canvas.getContext("2d");
  if (context === null) return;
  const scale = devicePixelRatio;
  canvas.width = width * scale;
  canvas.height = height * scale;
  context.scale(scale, scale);
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  const totalMs = steps.reduce((sum, { wallMs }) => sum + wallMs, 0);
  const perMs = (width - labelWidth) / Math.max(totalMs, 1e-9);
  const rows = new Map(workers.map((worker, row) => [worker, row]));
  let left = labelWidth;
  let labelEnd = 0;
  for (const { step, wallMs, workers: times } of steps) {
    const stepWidth = wallMs * perMs;
    for (const { worker, computeMs, exchangeMs, waitMs } of times) {
      const top = (rows.get(worker) ?? 0) * rowHeight + 1;
      let x = left;
      for (const [ms, color] of [
        [computeMs, theme.compute],
        [exchangeMs, theme.exchange],
        [waitMs, theme.wait],
      ] as const) {
        context.fillStyle = color;
        context.fillRect(x, top, Math.max(0, ms * perMs - 0.25), rowHeight - (rowHeight > 8 ? 4 : 1));
        x += ms * perMs;
      }
    }
    context.fillStyle = theme.grid;
    context.fillRect(left - 0.5, 0, 1, height - axisHeight);
    const label = count(step);
    if (left > labelEnd) {
      context.fillStyle = theme.text;
      context.fillText(label, left + 2, height - axisHeight / 2 + 2);
      labelEnd = left + context.measureText(label).width + 12;
    }
    left += stepWidth;
  }
  context.fillStyle = theme.text;
  const every = Math.ceil(14 / rowHeight);
  for (const [worker, row] of rows)
    if (row % every === 0) context.fillText(worker, 0, row * rowHeight + rowHeight / 2 - 1);
}
