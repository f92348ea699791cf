const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A figure of the run: JSON has no NaN and no infinities, so they come as text. */
export type Figure = number | string | null | undefined;

/** 1234567 → "1,234,567"; "–" where there is none. */
export function count(value: Figure): string {
  return isKnown(value) ? whole.format(Number(value)) : "–";
}

/** A loss, a metric or a rate: four significant digits. */
export function figure(value: Figure): string {
  if (!isKnown(value)) return "–";
  const number = Number(value);
  if (!Number.isFinite(number)) return Number.isNaN(number) ? "NaN" : number > 0 ? "∞" : "−∞";
  const size = Math.abs(number);
  if (size >= 10_000) return whole.format(number);
  if (size !== 0 && size < 0.0001) return number.toExponential(2);
  return String(Number(number.toPrecision(4)));
}

/** "850 ms", "12.3 s", "2 min 5 s", "3 h 12 min" */
export function duration(ms: Figure): string {
  if (!isKnown(ms)) return "–";
  const value = Number(ms);
  if (value < 10) return `${value.toFixed(2)} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  if (value < 60_000) return `${(value / 1000).toFixed(1)} s`;
  const seconds = Math.round(value / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** What a curve is called on the page. */
export function titleOf(curve: string): string {
  const titles: Readonly<Record<string, string>> = {
    loss: "Loss",
    lr: "Learning rate",
    gradientNorm: "Gradient norm",
    samplesPerSecond: "Samples per second",
    wallMs: "Step time (ms)",
  };
  return titles[curve] ?? curve.replace(/^metric\//, "");
}

function isKnown(value: Figure): value is number | string {
  return value !== null && value !== undefined;
}
