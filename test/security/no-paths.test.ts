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
  // Each opens files of its own choice: the page that ships with the package, the runtime's own build and the machine's
  // C library, and a nameless file that a local worker inherits.
  const allowed = new Map([
    ["packages/coordinator/src/dashboard/page-files.ts: node:fs", "readFileSync"],
    ["packages/core/src/engine/engine-choice.ts: node:fs", "existsSync, readFileSync"],
    [
      "packages/core/src/wire/shared-file.ts: node:fs",
      "closeSync, openSync, readSync, statfsSync, unlinkSync, writeSync",
    ],
  ]);
  const imports = (name: string): string | undefined =>
    /import \{ ([^}]*) \} from "node:fs"/.exec(handlers.find(([file]) => name.startsWith(`${file}:`))![1])?.[1];
  expect(offenders.filter((offender) => allowed.get(offender) !== imports(offender))).toEqual([]);
  const [, text] = handlers.find(([file]) => file.endsWith("wire/shared-file.ts"))!;
  expect(text.match(/openSync\([^)]*\)/g)).toEqual(['openSync(path, "wx+", 0o600)']);
  expect(text).toMatch(/const path = `\$\{folder\}\/tutti-\$\{randomUUID\(\)\}`;/);
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
