import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { toCoordinatorSchema, toWorkerSchema } from "@tutti/core/wire";
import { expect, test } from "vitest";
import { root } from "../system/tutti-process.ts";

function sources(folder: string): readonly (readonly [name: string, text: string])[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => [`${folder}/${name}`, readFileSync(join(root, folder, name), "utf8")] as const);
}

/** Everything that handles what came from the wire, on either end. */
const handlers = [
  ...sources("packages/worker/src"),
  ...sources("packages/coordinator/src"),
  ...sources("packages/core/src/wire"),
  ...sources("packages/core/src/engine"),
  ...sources("packages/core/src/step"),
];

test("nothing that handles messages opens files, starts processes or evaluates code", () => {
  expect(handlers.length).toBeGreaterThan(50);
  const offenders = handlers.flatMap(([name, text]) =>
    [
      ...text.matchAll(
        /node:fs|node:child_process|node:vm|\beval\(|new Function\b|\bimport\((?!"(?:@tutti\/|onnxruntime|piscina))[^)]*\)/g,
      ),
    ].map(([found]) => `${name}: ${found}`),
  );
  // The runtime's own package, by its constant name.
  expect(offenders.filter((offender) => !/engine\/runtime\.ts: import\(packageName\)/.test(offender))).toEqual([]);
});

/** Names of a schema's fields, however deep. */
function fieldsOf(schema: unknown): readonly string[] {
  if (typeof schema !== "object" || schema === null) return [];
  if (Array.isArray(schema)) return schema.flatMap(fieldsOf);
  return Object.entries(schema).flatMap(([key, value]) =>
    key === "entries" && typeof value === "object" && value !== null
      ? [...Object.keys(value), ...Object.values(value).flatMap(fieldsOf)]
      : key === "options" || key === "item" || key === "items" || key === "wrapped" || key === "pipe"
        ? fieldsOf(value)
        : [],
  );
}

test("no message has a field for a path, a file, an address or code", () => {
  const fields = new Set([...fieldsOf(toWorkerSchema), ...fieldsOf(toCoordinatorSchema)]);
  for (const known of ["type", "manifest", "parameters", "offset", "host", "payloadBytes"])
    expect(fields).toContain(known);
  const suspicious = [...fields].filter((name) =>
    /path|file|dir|folder|url|script|module|command|location/i.test(name),
  );
  expect(suspicious).toEqual([]);
});
