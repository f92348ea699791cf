import { existsSync, readFileSync } from "node:fs";
import { expect } from "vitest";

const page = new URL("../../../docs/parity.md", import.meta.url);

/** The sections of docs/parity.md in their order: what each is about and how its errors are measured. */
const sections = {
  "Kinks and ties":
    "What PyTorch 1.13 does at kinks, ties, zeros and infinities (`test/parity/ties.py`). Error of an entry: |Δ| / (1e-31 + |PyTorch's|); equal infinities and NaN are no difference.",
  Operators:
    "Operators of layers, forward and backward, from PyTorch 1.13 (`test/parity/layers.py`). Error of a tensor: ‖Δ‖ / ‖PyTorch's‖.",
  "Modules and losses":
    "Modules as users call them, with PyTorch's parameters, and losses, from PyTorch 1.13 (`test/parity/modules.py`). Error of a tensor: ‖Δ‖ / ‖PyTorch's‖, absolute below 1e-6; of a mean loss: |Δ| / max(1, |PyTorch's|).",
  Optimizers:
    "50 steps on the same gradients, from PyTorch 1.13 (`test/parity/optimizers.py`). Error of a parameter: |Δ| / max(1, |PyTorch's|).",
  "Parameter groups and averaged weights":
    "50 steps on the same gradients, from PyTorch 1.13 (`test/parity/optimizers-extras.py`). Error as for optimizers.",
  Schedules:
    "From PyTorch 1.13 (`test/parity/optimizers-schedules.py`), whose rates are float64. Error of a rate: |Δ| / PyTorch's; rates are rounded to float32 once.",
  "Keras's formulas and Lion":
    "Update rules in float64, written from their definitions. Error of a parameter: |Δ| / max(1, |formula's|).",
  "RMS normalisation": "Its formula in float64; gradients by the quotient rule. Error of a tensor: ‖Δ‖ / ‖formula's‖.",
  "Small models":
    "Whole batches through the program that workers run, from PyTorch 1.13 (`test/parity/mlp.py`). Error of the loss: |Δ| / |PyTorch's|; of a gradient: ‖Δ‖ / ‖PyTorch's‖.",
  "Whole models":
    "LeNet, a residual net with batch norm, a character LSTM and a 2-layer GPT at each of 20 states of PyTorch's own training (`test/parity/models.py`). Error of the loss: |Δ| / |PyTorch's|; of a gradient: ‖Δ‖ / ‖PyTorch's‖, the worst tensor of all states. Trained freely: the largest |loss − loss in float64|, in multiples of PyTorch's own.",
  "Models exported by PyTorch":
    "`torch.onnx.export` of PyTorch 1.13, imported by `onnx.load` (`test/parity/onnx-models.py`). Error of an output: |Δ| / (0.2 + |PyTorch's|); of a gradient: ‖Δ‖ / ‖PyTorch's‖.",
  "Models in the manner of tf2onnx and skl2onnx":
    "Imported by `onnx.load`; the oracle is ONNX Runtime on the file itself. Error of an output: |Δ| / (0.1 + |ONNX Runtime's|), 1 in place of 0.1 for regressors; of labels: how many differ.",
  Weights:
    "safetensors files to and from PyTorch 1.13 (`test/parity/weights.py`). Error of an output: |Δ| / (0.1 + |PyTorch's|).",
} as const;

/** Errors below that of one rounding of float32 are not told apart. */
const roundingUnit = 2 ** -24;

interface Row {
  readonly name: string;
  readonly compared: string;
  readonly error: number;
  readonly tolerance: number;
}

/**
 * One section of docs/parity.md, filled by the comparisons of one test file: each is asserted and listed. A machine with
 * other instructions rounds otherwise, so that the page is up to date while every error is within ten times of what it says.
 */
export class ParitySection {
  readonly #title: keyof typeof sections;
  readonly #rows = new Map<string, Row>();

  constructor(title: keyof typeof sections) {
    this.#title = title;
  }

  /** Asserts error <= tolerance. Several comparisons of a case under the same words make one row, the worst. */
  compare(name: string, compared: string, error: number, tolerance: number): void {
    const key = `${name}\n${compared}`;
    const earlier = this.#rows.get(key);
    if (earlier === undefined || !(error <= earlier.error)) this.#rows.set(key, { name, compared, error, tolerance });
    expect(error, `error of ${compared} of ${name}`).toBeLessThanOrEqual(tolerance);
  }

  /** Asserts that the page lists what was compared: for the last test of a file. */
  async expectListed(): Promise<void> {
    const rows = [...this.#rows.values()];
    expect(rows.length, "the comparisons of this file; it must run as a whole").toBeGreaterThan(0);
    expect(rows.filter(({ error, tolerance }) => !(error <= tolerance))).toEqual([]);
    const listed = sectionsOf(existsSync(page) ? readFileSync(page, "utf8") : "");
    const fresh = this.#text(rows);
    const old = listed.get(this.#title);
    if (old === undefined || !agree(old, fresh)) listed.set(this.#title, fresh);
    const parts = Object.keys(sections).flatMap((title) => listed.get(title) ?? []);
    await expect([introduction, summaryOf(listed), ...parts].join("\n")).toMatchFileSnapshot(page.pathname);
  }

  #text(rows: readonly Row[]): string {
    return [
      `## ${this.#title}`,
      "",
      sections[this.#title],
      "",
      line(["Case", "Compared", "Worst error", "Tolerance"]),
      line(["---", "---", "--:", "--:"]),
      ...rows.map(({ name, compared, error, tolerance }) =>
        line([name, compared, figure(error, 0), figure(tolerance)]),
      ),
      "",
    ].join("\n");
  }
}

const introduction = [
  "# Parity",
  "",
  "Every comparison with an oracle that knows nothing of Tutti's rules: what was found and what is tolerated. Written by the tests that",
  "compare, with `npx vitest run --project unit parity --no-file-parallelism -u`; a test fails when the page is out of date. Worst errors",
  "are of one machine, to one digit: others round otherwise, and the tests there accept ten times the figure, but never more than the tolerance.",
  "",
  "What each operator's gradient is checked against is in [operators.md](operators.md), the ONNX project's own test models in [onnx.md](onnx.md).",
  "",
].join("\n");

/** How many comparisons each listed section has, and which comes nearest to its tolerance. */
function summaryOf(listed: ReadonlyMap<string, string>): string {
  const rows = Object.keys(sections).flatMap((title) => {
    const found = (listed.get(title) ?? "").split("\n").map(cells);
    const compared = found.filter((row) => row.length === 4 && !Number.isNaN(Number(row[2])));
    const share = ([, , error, tolerance]: readonly string[]) =>
      Number(error) / Math.max(Number(tolerance), Number.MIN_VALUE);
    const [nearest] = compared.toSorted((a, b) => share(b) - share(a));
    if (nearest === undefined) return [];
    const [name, what, error, tolerance] = nearest;
    const link = `[${title}](#${title
      .toLowerCase()
      .replace(/[^a-z0-9 ]/g, "")
      .replaceAll(" ", "-")})`;
    return [
      line([
        link,
        `${compared.length}`,
        share(nearest) === 0 ? "none differs" : `${name}: ${what}, ${error} of ${tolerance}`,
      ]),
    ];
  });
  return [line(["Section", "Comparisons", "Nearest to its tolerance"]), line(["---", "--:", "---"]), ...rows, ""].join(
    "\n",
  );
}

function sectionsOf(text: string): Map<string, string> {
  const parts = text.split(/^(?=## )/m).slice(1);
  return new Map(parts.map((part) => [/^## (.*)$/m.exec(part)![1]!, part.replace(/\n+$/, "\n")]));
}

/** Whether two sections are the same but for errors that another machine might find. */
function agree(old: string, fresh: string): boolean {
  const [a, b] = [old.split("\n"), fresh.split("\n")];
  return a.length === b.length && a.every((own, i) => own === b[i] || agreeInLine(cells(own), cells(b[i]!)));
}

function agreeInLine(old: readonly string[], fresh: readonly string[]): boolean {
  if (old.length !== 4 || fresh.length !== 4 || old.some((cell, i) => i !== 2 && cell !== fresh[i])) return false;
  const [a, b] = [Number(old[2]), Number(fresh[2])].map((error) => Math.max(error, roundingUnit));
  return a! <= 10 * b! && b! <= 10 * a!;
}

function cells(row: string): readonly string[] {
  return row.startsWith("| ") ? row.slice(2, -2).split(" | ") : [];
}

function line(texts: readonly string[]): string {
  return `| ${texts.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
}

function figure(value: number, digits?: number): string {
  if (value === 0) return "0";
  if (value < 0.01) return value.toExponential(digits);
  return `${digits === undefined ? value : Number(value.toPrecision(digits + 1))}`;
}

/** The largest |actual − expected| / (atol / rtol + |expected|), which is <= rtol where `toBeAllclose` holds. */
export function allcloseError(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { rtol, atol }: { readonly rtol: number; readonly atol: number },
): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i]!, expected[i]!];
    if (Object.is(a, b) || a === b) continue;
    const error = Math.abs(a - b) / (atol / rtol + Math.abs(b));
    worst = Math.max(worst, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
  }
  return worst;
}

/** ‖actual − expected‖ / ‖expected‖ in float64; Infinity for another length. */
export function normError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i]! - expected[i]!) ** 2;
    norm += expected[i]! ** 2;
  }
  return Math.sqrt(difference / norm);
}
