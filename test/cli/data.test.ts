import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { PartFacts } from "../../packages/tutti/src/cli/data/data.ts";
import { temporaryFolder } from "../system/tutti-process.ts";
import { jsonLines, runFile, runText, tutti } from "./command.ts";

function tableRun(folder: string, columns: string): string {
  return runFile(
    folder,
    runText({
      source: `const train = data.csv("table.csv", { columns: ${columns} });`,
      model: "const model = nn.linear(1, 1);",
      step: "step: ({ x }) => ({ loss: model(x.unsqueeze(1)).squeeze(1) }),",
    }),
  );
}

/** The lines of `--json` that are about data. */
const parts = (stdout: string): readonly PartFacts[] =>
  stdout
    .split("\n")
    .filter((line) => line.startsWith('{"type":"data"'))
    .map((line) => JSON.parse(line) as PartFacts);

test("shows columns, ranges, words, missing cells and rows of both parts of an example", async () => {
  const { status, stdout, stderr } = await tutti(["data", "examples/penguins.ts", "--json", "--rows", "2"]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const [train, validation] = parts(stdout);
  expect([train!.part, train!.rows, validation!.part, validation!.rows]).toEqual(["train", 275, "validation", 69]);
  expect(train!.columns.map(({ name, dtype, shape }) => [name, dtype, shape])).toEqual([
    ["species", "int32", []],
    ["island", "int32", []],
    ["sex", "int32", []],
    ["measured", "float32", [4]],
  ]);
  // Counted in the file with awk: two penguins are not measured, one of them in each part; 152, 68 and 124 of each species.
  const { values } = train!.columns[3]!;
  expect(values.map(({ missing, count }) => [missing, count])).toEqual(Array.from({ length: 4 }, () => [1, 274]));
  const both = [...train!.columns[0]!.counts!, ...validation!.columns[0]!.counts!];
  const species = (word: string) => both.filter(({ value }) => value === word).reduce((sum, { rows }) => sum + rows, 0);
  expect(["Adelie", "Chinstrap", "Gentoo"].map(species)).toEqual([152, 68, 124]);
  expect(validation!.head[0]).toEqual({
    ...{ file: "penguins.csv", row: 1 },
    values: {
      ...{ species: "Adelie", island: "Torgersen", sex: "male" },
      measured: [Math.fround(39.1), Math.fround(18.7), 181, 3750],
    },
  });
  const text = await tutti(["data", "examples/penguins.ts"]);
  expect(text.stdout).toContain("train: split, 275 rows");
  expect(text.stdout).toMatch(/island {4}category {4}0 .* Biscoe 137, Dream 96, Torgersen 42/);
});

test("finds all problems by file and row, and exits with 2", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "table.csv"), "x,w\n1,a\nold,a\n3\n,b\n5,c\n");
  const path = tableRun(folder, '{ x: "float32", w: { dtype: "category", categories: ["a", "b"] } }');
  const { status, stdout, stderr } = await tutti(["data", path, "--json", "--problems", "3"]);
  expect(status).toBe(2);
  const [facts] = parts(stdout);
  expect(facts).toMatchObject({ rows: 1, rowsLeftOut: 4, problemCount: 4 });
  expect(facts!.problems.map(({ file, row, column }) => [file, row, column])).toEqual([
    ["table.csv", 2, "x"],
    ["table.csv", 3, undefined],
    ["table.csv", 4, "x"],
  ]);
  const error = jsonLines(stdout).at(-1);
  expect(error).toMatchObject({ type: "error", code: "DATA_INVALID" });
  expect(stderr).toContain(
    'error[DATA_INVALID]: 4 problems, the first: table.csv row 2, column "x": expected a number',
  );
  const text = await tutti(["data", path]);
  expect(text.stdout).toContain(
    '    table.csv row 5, column "w": expected one of "a", "b", found "c" (line 6); add it to the categories',
  );
});

test("says what is wrong with rows when without them there are too few", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "table.csv"), "x\nold\n,\n");
  const { status, stderr } = await tutti(["data", tableRun(folder, '{ x: "float32" }')]);
  expect(status).toBe(2);
  expect(stderr).toMatch(
    /error\[DATA_INVALID\]: 2 problems, the first: table\.csv row 1, column "x": expected a number/,
  );
});

test("says before training that a column cannot be scaled, and that a file is not there", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "table.csv"), "x\n2\n2\n");
  const path = tableRun(folder, '{ x: { dtype: "float32", normalize: "standard" } }');
  for (const command of ["data", "train"]) {
    const { status, stderr } = await tutti([command, path]);
    expect(status).toBe(2);
    expect(stderr).toContain('error[DATA_INVALID]: column "x": normalize: "standard" needs different values');
  }
  const missing = await tutti(["data", path, "--set", "data.train.path=none-*.csv"]);
  expect(missing.status).toBe(2);
  expect(missing.stderr).toContain("error[DATA_MISSING]: none-*.csv: no file matches this pattern");
});
