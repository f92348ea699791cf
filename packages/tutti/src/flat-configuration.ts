import type { PlainData, PlainObject } from "@tutti/core/data";

/** The plain values of a definition's record by dotted path, as JSON; programs, which nobody reads, are left out. */
export function flatConfiguration(record: PlainObject): Readonly<Record<string, string>> {
  const flat: Record<string, string> = {};
  const visit = (path: string, value: PlainData): void => {
    const entries = typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
    if (entries.length === 0) flat[path] = JSON.stringify(value);
    for (const [key, inner] of entries) visit(`${path}.${key}`, inner);
  };
  for (const [key, value] of Object.entries(record)) if (key !== "programs") visit(key, value);
  return flat;
}
