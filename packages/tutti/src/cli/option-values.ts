import { TuttiError } from "@tutti/core/errors";

/** Reads the text of an option that counts something. Throws BAD_OPTION. */
export function wholeNumber(
  option: string,
  minimum: number,
  maximum = Number.MAX_SAFE_INTEGER,
): (found: unknown) => number | undefined {
  return (found) => {
    if (found === undefined) return undefined;
    const value = typeof found === "string" && /^\d+$/.test(found) ? Number(found) : Number.NaN;
    if (value >= minimum && value <= maximum) return value;
    const range = maximum === Number.MAX_SAFE_INTEGER ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`;
    throw new TuttiError("BAD_OPTION", `--${option}: expected one whole number ${range}, found ${shown(found)}`);
  };
}

/** Reads a share from 0 to 1. Throws BAD_OPTION. */
export function share(option: string): (found: unknown) => number | undefined {
  return (found) => {
    if (found === undefined) return undefined;
    const value = typeof found === "string" && /^(\d+(\.\d+)?|\.\d+)$/.test(found) ? Number(found) : Number.NaN;
    if (value >= 0 && value <= 1) return value;
    throw new TuttiError(
      "BAD_OPTION",
      `--${option}: expected one share from 0 to 1, such as 0.01, found ${shown(found)}`,
    );
  };
}

/** Reads the text of an option that measures something above zero; decimals are fine. Throws BAD_OPTION. */
export function positiveNumber(option: string): (found: unknown) => number | undefined {
  return (found) => {
    if (found === undefined) return undefined;
    const value = typeof found === "string" && /^\d+(\.\d+)?$/.test(found) ? Number(found) : Number.NaN;
    if (value > 0 && Number.isFinite(value)) return value;
    throw new TuttiError("BAD_OPTION", `--${option}: expected one number above zero, found ${shown(found)}`);
  };
}

/** Reads an option that may be given once. Throws BAD_OPTION. */
export function oneText(option: string): (found: unknown) => string | undefined {
  return (found) => {
    if (found === undefined) return undefined;
    if (typeof found === "string" && found !== "") return found;
    throw new TuttiError("BAD_OPTION", `--${option}: expected one value, found ${shown(found)}`);
  };
}

/** Reads "gpu1,me@10.0.0.3": names that `ssh` cannot take for options. Throws BAD_OPTION. */
export function hostNames(found: unknown): readonly string[] | undefined {
  if (found === undefined) return undefined;
  const names = typeof found === "string" ? found.split(",") : [];
  if (names.length > 0 && names.every((name) => /^[A-Za-z0-9_[][\w.@:%[\]-]*$/.test(name))) return names;
  throw new TuttiError("BAD_OPTION", `--hosts: expected names such as gpu1,me@10.0.0.3, found ${shown(found)}`);
}

/** Reads "1,2,5". Throws BAD_OPTION. */
export function numberList(option: string): (found: unknown) => readonly number[] {
  return (found) => {
    const parts = typeof found === "string" ? found.split(",") : [];
    if (parts.length > 0 && parts.every((part) => /^\d+$/.test(part))) return parts.map(Number);
    throw new TuttiError("BAD_OPTION", `--${option}: expected whole numbers such as 1,2,3, found ${shown(found)}`);
  };
}

function shown(found: unknown): string {
  return Array.isArray(found) ? `${found.length} of them` : JSON.stringify(found);
}
