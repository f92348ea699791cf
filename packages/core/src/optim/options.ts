import { TuttiError } from "../errors/index.ts";

/** Returns `found` as it is, or throws TuttiError BAD_OPTION; `where` names the option. */
export type OptionReader<Value> = (where: string, found: unknown) => Value;

/** A reader for every option. */
export type Readers<Options> = { readonly [Name in keyof Options]-?: OptionReader<Options[Name]> };

/**
 * Reads every option of `found` and returns a copy without `kind` and `others`, options which the caller reads elsewhere.
 * Nothing is coerced. Throws TuttiError BAD_OPTION for an option that is unknown, missing or out of range, with its name,
 * what was expected and what was found.
 */
export function readOptions<Options extends object>(
  where: string,
  found: object,
  readers: Readers<Options>,
  others: readonly string[] = [],
): Options {
  const given = new Map<string, unknown>(Object.entries(found));
  const names = [...Object.keys(readers), ...others];
  for (const name of given.keys()) {
    if (name === "kind" || names.includes(name)) continue;
    throw new TuttiError("BAD_OPTION", `${where} has no option ${name}; its options are ${names.join(", ")}.`, {
      option: name,
    });
  }
  const read = Object.entries<OptionReader<unknown>>(readers).map(([name, reader]) => [
    name,
    reader(`${where}: ${name}`, given.get(name)),
  ]);
  return Object.fromEntries(read) as Options;
}

export function refuse(where: string, expected: string, found: unknown): never {
  const inWords = typeof found === "number" ? String(found) : (JSON.stringify(found) ?? String(found));
  throw new TuttiError("BAD_OPTION", `${where} must be ${expected}, found ${inWords}.`, { where, expected, found });
}

export const nonNegative: OptionReader<number> = (where, found) =>
  isFloat(found) && found >= 0 ? found : refuse(where, "a number of at least 0", found);

/** Positive also after rounding to float32. */
export const positive: OptionReader<number> = (where, found) =>
  isFloat(found) && Math.fround(found) > 0 ? found : refuse(where, "a number above 0 (as a float32)", found);

export const positiveOrNull: OptionReader<number | null> = (where, found) =>
  found === null || (isFloat(found) && Math.fround(found) > 0)
    ? found
    : refuse(where, "a number above 0 (as a float32), or null for none", found);

export const fraction: OptionReader<number> = (where, found) =>
  isFloat(found) && found >= 0 && found <= 1 ? found : refuse(where, "a number of 0 to 1", found);

export const fractionBelowOne: OptionReader<number> = (where, found) =>
  isFloat(found) && found >= 0 && Math.fround(found) < 1
    ? found
    : refuse(where, "a number of at least 0 and below 1 (as a float32)", found);

export const positiveCount: OptionReader<number> = (where, found) =>
  typeof found === "number" && Number.isSafeInteger(found) && found >= 1
    ? found
    : refuse(where, "an integer of at least 1", found);

export const text: OptionReader<string> = (where, found) =>
  typeof found === "string" && found !== "" ? found : refuse(where, "a text that is not empty", found);

export const count: OptionReader<number> = (where, found) =>
  typeof found === "number" && Number.isSafeInteger(found) && found >= 0
    ? found
    : refuse(where, "an integer of at least 0", found);

export const flag: OptionReader<boolean> = (where, found) =>
  typeof found === "boolean" ? found : refuse(where, "true or false", found);

export function oneOf<const Choice extends string>(...choices: readonly Choice[]): OptionReader<Choice> {
  const expected = choices.map((choice) => JSON.stringify(choice)).join(" or ");
  return (where, found) => choices.find((choice) => choice === found) ?? refuse(where, expected, found);
}

/** Finite also as a float32, which the update computes with. */
function isFloat(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(Math.fround(value));
}
