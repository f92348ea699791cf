import { createHash } from "node:crypto";
import type { PlainData, PlainObject } from "../data/index.ts";

/** JSON with sorted keys and without spaces: equal values have equal text. */
export function canonicalJson(value: PlainData): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (isList(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key]!)}`).join(",")}}`;
}

/** SHA-256 (hex) of the canonical JSON. */
export function digestOf(record: PlainObject): string {
  return createHash("sha256").update(canonicalJson(record)).digest("hex");
}

/**
 * What differs between the records of two definitions, one line each: "optimizer.lr: 0.001 → 0.01",
 * "program train/32 differs". Empty when they are the same run.
 */
export function differences(a: PlainObject, b: PlainObject): readonly string[] {
  const lines: string[] = [];
  const visit = (path: readonly string[], left: PlainData | undefined, right: PlainData | undefined): void => {
    if (isObject(left) && isObject(right)) {
      const keys = [...new Set([...Object.keys(left), ...Object.keys(right)])].sort();
      for (const key of keys) visit([...path, key], left[key], right[key]);
    } else if (textOf(left) !== textOf(right)) {
      lines.push(
        path[0] === "programs"
          ? `program ${path.slice(1).join(".")} differs`
          : `${path.join(".")}: ${textOf(left)} → ${textOf(right)}`,
      );
    }
  };
  visit([], a, b);
  return lines;
}

function textOf(value: PlainData | undefined): string {
  return value === undefined ? "absent" : canonicalJson(value);
}

function isList(value: PlainData): value is readonly PlainData[] {
  return Array.isArray(value);
}

function isObject(value: PlainData | undefined): value is PlainObject {
  return typeof value === "object" && value !== null && !isList(value);
}
