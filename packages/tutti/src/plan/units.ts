import { TuttiError } from "@tutti/core/errors";

const bitUnits = { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9, tbit: 1e12 } as const;
const timeUnits = { us: 1e-3, ms: 1, s: 1e3 } as const;

/** Reads "10gbit" or "100mbit": bytes a second. Throws BAD_OPTION. */
export function bandwidth(found: unknown): number | undefined {
  const bits = quantity("bandwidth", found, bitUnits, "100mbit or 10gbit");
  return bits === undefined ? undefined : bits / 8;
}

/** Reads "1ms", "50us" or "0.2s": milliseconds. Throws BAD_OPTION. */
export function latency(found: unknown): number | undefined {
  return quantity("latency", found, timeUnits, "50us, 1ms or 0.1s", 0);
}

function quantity(
  option: string,
  found: unknown,
  units: Readonly<Record<string, number>>,
  examples: string,
  least = Number.MIN_VALUE,
): number | undefined {
  if (found === undefined) return undefined;
  const [, digits, unit] = /^(\d+(?:\.\d+)?)([a-z]+)$/.exec(String(found).toLowerCase()) ?? [];
  const value = Number(digits) * (units[unit ?? ""] ?? Number.NaN);
  if (typeof found === "string" && value >= least && Number.isFinite(value)) return value;
  throw new TuttiError(
    "BAD_OPTION",
    `--${option}: expected a value such as ${examples}, found ${JSON.stringify(found)}`,
  );
}
