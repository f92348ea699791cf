import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { data } from "@tutti/core/data";
import { errorCodes } from "@tutti/core/errors";
import { betweenWorkersSchema, toCoordinatorSchema, toWorkerSchema } from "@tutti/core/wire";
import { expect, test } from "vitest";
import { exitStatusOf } from "../../packages/tutti/src/cli/exit-status.ts";
import { hintFor } from "../../packages/tutti/src/cli/hints.ts";
import definition from "../fixtures/blobs.ts";
import { root } from "../system/tutti-process.ts";

const read = (path: string): string => readFileSync(join(root, path), "utf8");

/** The rows of all tables in a text, cell by cell, without backticks. */
function tableRows(text: string): readonly (readonly string[])[] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => line.slice(2, -2).split(" | "))
    .map(([first, ...cells]) => [first!.replaceAll("`", ""), ...cells]);
}

test("docs/errors.md lists every code with its meaning and exit status", () => {
  const table = tableRows(read("docs/errors.md"));
  const rows = table.map(([code, exit, meaning]) => [code, exit, meaning]);
  const codes = Object.keys(errorCodes) as (keyof typeof errorCodes)[];
  expect(rows).toEqual(codes.toSorted().map((code) => [code, `${exitStatusOf(code)}`, errorCodes[code]]));
  const advice = new Map(table.map(([code, , , whatToDo]) => [code, whatToDo]));
  for (const code of codes) expect(hintFor(code) ?? advice.get(code), code).toBe(advice.get(code));
});

test("the protocol's page lists every message by direction, with its fields", () => {
  const page = read("packages/core/src/wire/README.md");
  const [, toWorker = "", toCoordinator = "", betweenWorkers = ""] = page.split(
    /^## (?:Coordinator to worker|Worker to coordinator|Between workers)$/m,
  );
  for (const [text, schema] of [
    [toWorker, toWorkerSchema],
    [toCoordinator, toCoordinatorSchema],
    [betweenWorkers, betweenWorkersSchema],
  ] as const) {
    const listed = tableRows(text).map(([type, fields]) => [
      type,
      [...fields!.matchAll(/`(\w+)`/g)].map(([, name]) => name),
    ]);
    const defined = schema.options.map(({ entries }) => [
      entries.type.literal,
      Object.keys(entries).filter((name) => name !== "type"),
    ]);
    expect(Object.fromEntries(listed)).toEqual(Object.fromEntries(defined));
  }
});

test("docs/run-file.md lists every plain option of a definition and every data source", () => {
  const page = read("docs/run-file.md");
  const options = Object.entries(definition.plain).flatMap(([name, value]) =>
    ["validation", "checkpoint"].includes(name) ? Object.keys(value as object).map((own) => `${name}.${own}`) : [name],
  );
  for (const option of options.filter((name) => name !== "data")) expect(page).toContain(`\`${option}\``);
  for (const source of Object.keys(data)) expect(page).toContain(`\`data.${source}(`);
});

const pages = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
  "packages/core/src/wire/README.md",
];

test("links between pages lead somewhere", () => {
  for (const page of pages) {
    for (const [, target] of read(page).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      expect(existsSync(join(root, dirname(page), target!)), `${page}: ${target}`).toBe(true);
    }
  }
});

test("the README's tree names what is there", () => {
  const tree = /## What is where\n\n```\n([\s\S]*?)```/.exec(read("README.md"))?.[1] ?? "";
  let parent = "";
  for (const line of tree.trimEnd().split("\n")) {
    const [, indent, path] = /^(\s*)(\S+)/.exec(line)!;
    if (indent === "") parent = path!;
    expect(existsSync(join(root, indent === "" ? path! : join(parent, path!))), line).toBe(true);
  }
  const folders = readdirSync(join(root, "packages/core/src"));
  for (const folder of folders) expect(tree).toContain(`src/${folder}/`);
});
