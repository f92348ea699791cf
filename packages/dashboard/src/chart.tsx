import { useEffect, useId, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { plotted, sampledRows, valueAt } from "./chart-data.ts";
import type { Line } from "./curve.ts";
import { DataTable } from "./data-table.tsx";
import { count, figure } from "./format.ts";
import { type Theme, useTheme } from "./theme.ts";

export interface ChartLine {
  readonly label: string;
  /** Place in the theme's colours. */
  readonly color: number;
  readonly line: Line;
  readonly isValidation: boolean;
}

export interface ChartProps {
  readonly title: string;
  readonly lines: readonly ChartLine[];
  readonly isLog: boolean;
  /** Weight of the past in the moving average, 0 to below 1. */
  readonly smoothing: number;
}

const height = 220;

/**
 * Curves of one name. The cursor moves with the pointer or, once focused, with the arrow keys (it is a slider over steps, so
 * a screen reader says the values); a table beneath has the same in figures. Dragging zooms, a double click or the button
 * shows all again.
 */
export function Chart({ title, lines, isLog, smoothing }: ChartProps) {
  const theme = useTheme();
  const id = useId();
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const isVisible = useIsVisible(place);
  const [cursorStep, setCursorStep] = useState<number | undefined>();
  const [isZoomed, setIsZoomed] = useState(false);
  const { data, columns } = plotted(lines, smoothing);
  const steps = data[0];
  const shape = JSON.stringify([columns, isLog, lines.map(({ color, isValidation }) => [color, isValidation])]);

  useEffect(() => {
    if (!isVisible || place.current === null) return;
    const made = new uPlot(
      optionsOf(lines, columns, isLog, theme, place.current.clientWidth, {
        cursor: setCursorStep,
        zoom: setIsZoomed,
      }),
      data,
      place.current,
    );
    plot.current = made;
    setIsZoomed(false);
    const resized = new ResizeObserver(([entry]) => {
      if (entry !== undefined) made.setSize({ width: Math.floor(entry.contentRect.width), height });
    });
    resized.observe(place.current);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = undefined;
    };
    // `data` follows below without a new plot
  }, [shape, theme, isVisible]);
  useEffect(() => plot.current?.setData(data, !isZoomed), [data, isZoomed]);

  const step = cursorStep ?? steps.at(-1) ?? 0;
  const moveTo = (index: number): void => {
    const made = plot.current;
    const to = Math.min(steps.length - 1, Math.max(0, index));
    const at = steps[to];
    if (made === undefined || at === undefined) return;
    made.setCursor({ left: made.valToPos(at, "x"), top: 0 });
    setCursorStep(at);
  };
  const key = (event: KeyboardEvent): void => {
    const here = steps.findIndex((at) => at >= step);
    const page = Math.max(1, Math.round(steps.length / 20));
    const moves: Readonly<Record<string, number>> = {
      ArrowLeft: here - 1,
      ArrowDown: here - 1,
      ArrowRight: here + 1,
      ArrowUp: here + 1,
      PageDown: here - page,
      PageUp: here + page,
      Home: 0,
      End: steps.length - 1,
    };
    const to = moves[event.key];
    if (to === undefined) return;
    event.preventDefault();
    moveTo(to);
  };
  const texts = lines.map(({ label, line }) => `${label} ${figure(valueAt(line, step))}`);
  return (
    <figure class="chart" aria-labelledby={`${id}-title`}>
      <figcaption>
        <h3 id={`${id}-title`}>{title}</h3>
        {isZoomed && (
          <button type="button" class="small" onClick={() => plot.current?.setData(data, true)}>
            Show all
          </button>
        )}
      </figcaption>
      <div
        ref={place}
        class="plot"
        style={{ minHeight: `${height}px` }}
        role="slider"
        tabIndex={0}
        aria-label={`${title} by step`}
        aria-valuemin={steps[0] ?? 0}
        aria-valuemax={steps.at(-1) ?? 0}
        aria-valuenow={step}
        aria-valuetext={`step ${count(step)}: ${texts.join(", ")}`}
        onKeyDown={key}
        onBlur={() => setCursorStep(undefined)}
      />
      <p class="legend" aria-hidden="true">
        <span class="at">step {count(step)}</span>
        {lines.map(({ label, color, line, isValidation }) => (
          <span key={label}>
            <i class={isValidation ? "dashed" : ""} style={{ borderColor: theme.lines[color % theme.lines.length] }} />
            {label} <b>{figure(valueAt(line, step))}</b>
          </span>
        ))}
      </p>
      <ChartTable title={title} lines={lines} />
    </figure>
  );
}

/** The same in figures, made when it is opened. */
function ChartTable({ title, lines }: Pick<ChartProps, "title" | "lines">) {
  const [isOpen, setIsOpen] = useState(false);
  return (
    <details onToggle={(event) => setIsOpen(event.currentTarget.open)}>
      <summary>
        Table<span class="unseen"> of {title}</span>
      </summary>
      {isOpen && (
        <DataTable
          caption={`${title} by step`}
          label={`${title}, table`}
          columns={[{ name: "Step", isFigure: true }, ...lines.map(({ label }) => ({ name: label, isFigure: true }))]}
          rows={sampledRows(lines, 24).map(({ step, values }) => ({
            key: step,
            cells: [count(step), ...values.map(figure)],
          }))}
        />
      )}
    </details>
  );
}

function optionsOf(
  lines: readonly ChartLine[],
  columns: ReturnType<typeof plotted>["columns"],
  isLog: boolean,
  theme: Theme,
  width: number,
  on: { cursor: (step: number | undefined) => void; zoom: (isZoomed: boolean) => void },
): uPlot.Options {
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  for (const [i, { color, isValidation }] of lines.entries()) {
    const stroke = theme.lines[color % theme.lines.length]!;
    const { mean, hasBand } = columns[i]!;
    // Beside its own validation, which has the same colour, training steps back.
    const isBehind = !isValidation && lines.some((line) => line.isValidation && line.color === color);
    series.push({
      stroke: isBehind ? `${stroke}73` : stroke,
      width: isValidation ? 2 : 1.75,
      spanGaps: true,
      ...(isValidation ? { dash: [6, 4], points: { show: true, size: 6, fill: stroke } } : { points: { show: false } }),
    });
    if (!hasBand) continue;
    const edge: uPlot.Series = { stroke: `${stroke}66`, width: 0.5, points: { show: false }, spanGaps: true };
    series.push(edge, edge);
    bands.push({ series: [mean + 2, mean + 1], fill: `${stroke}2e` });
  }
  const axis: uPlot.Axis = {
    stroke: theme.text,
    font: "12px system-ui, sans-serif",
    grid: { stroke: theme.grid, width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height,
    series,
    bands,
    legend: { show: false },
    scales: { x: { time: false }, y: isLog ? { distr: 3 } : {} },
    axes: [
      {
        ...axis,
        size: 30,
        space: 76,
        values: (_plot, values) => values.map((value) => (Number.isInteger(value) ? count(value) : "")),
      },
      { ...axis, size: 62, values: (_plot, values) => values.map((value) => (value === null ? "" : figure(value))) },
    ],
    cursor: { y: false, drag: { x: true, y: false }, sync: { key: "steps" }, points: { size: 6 } },
    hooks: {
      setCursor: [
        (plot) => {
          const { idx } = plot.cursor;
          on.cursor(idx === null || idx === undefined ? undefined : plot.data[0][idx]);
        },
      ],
      setScale: [
        (plot, scale) => {
          const { min, max } = plot.scales.x ?? {};
          if (scale !== "x" || min === undefined || max === undefined) return;
          on.zoom(min > (plot.data[0][0] ?? 0) || max < (plot.data[0].at(-1) ?? 0));
        },
      ],
    },
  };
}

/** Charts out of sight draw nothing. */
function useIsVisible(place: { readonly current: HTMLDivElement | null }): boolean {
  const [isVisible, setIsVisible] = useState(false);
  useEffect(() => {
    if (place.current === null) return;
    const seen = new IntersectionObserver(([entry]) => setIsVisible(entry?.isIntersecting === true), {
      rootMargin: "200px",
    });
    seen.observe(place.current);
    return () => seen.disconnect();
  }, [place]);
  return isVisible;
}
