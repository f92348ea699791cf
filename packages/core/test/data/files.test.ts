import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkFileNames, type FileNames, findFiles } from "../../src/data/files.ts";
import { rejection } from "./read-all.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tutti-files-"));
  await mkdir(join(folder, "deep", "er"), { recursive: true });
  const names = ["b.csv", "a.csv", "Z.csv", "é.csv", "part-10.csv", "part-2.csv", ".hidden.csv", "c[1].csv", "c1.csv"];
  for (const name of [...names, "deep/a.csv", "deep/er/a.csv", "a.txt"]) await writeFile(join(folder, name), name);
});
afterAll(() => rm(folder, { recursive: true }));

async function found(names: FileNames): Promise<readonly string[]> {
  return (await findFiles(folder, names)).map(({ given }) => given);
}

test("sorts the files of a pattern by code units, which no locale changes", async () => {
  const sorted = ["Z.csv", "a.csv", "b.csv", "c1.csv", "c[1].csv", "part-10.csv", "part-2.csv", "é.csv"];
  expect(await found("*.csv")).toEqual(sorted);
  expect(await found("**/a.csv")).toEqual(["a.csv", "deep/a.csv", "deep/er/a.csv"]);
  expect(await found("{b,a}.{csv,txt}")).toEqual(["a.csv", "a.txt", "b.csv"]);
  expect(await found(join(folder, "part-?.csv"))).toHaveLength(1);
});

test("keeps the order of a list, patterns in place", async () => {
  expect(await found(["b.csv", "part-*.csv", "a.csv"])).toEqual(["b.csv", "part-10.csv", "part-2.csv", "a.csv"]);
});

test("takes the path of a file as that file, whatever characters it has", async () => {
  expect(await found("c[1].csv")).toEqual(["c[1].csv"]);
  expect((await findFiles(folder, "deep/a.csv"))[0]).toEqual({
    given: "deep/a.csv",
    resolved: join(folder, "deep/a.csv"),
  });
});

test("says which pattern matches nothing and which two name the same file", async () => {
  const nothing = await rejection(findFiles(folder, ["a.csv", "train-*.csv"]));
  expect(nothing.code).toBe("DATA_MISSING");
  expect(nothing.message).toContain(`train-*.csv: no file matches this pattern (looked in ${folder})`);
  expect(await rejection(findFiles(folder, ["a.csv", "?.csv"]))).toEqual({
    code: "DATA_INVALID",
    message: 'a.csv: is named twice, by "a.csv" and by "?.csv": its rows would count twice; name it once',
  });
});

test("refuses names that are none", () => {
  for (const names of ["", [], ["a.csv", ""], 7, undefined]) {
    expect(() => checkFileNames("csv", names), String(names)).toThrow(/^data\.csv: expected the path of a file, a pat/);
  }
});
