import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { data, openPlaces, parsePlaces, saveDataset } from "@tutti/core/data";
import { expect, onTestFinished, test } from "vitest";
import { readAll } from "./read-all.ts";

test("reads names, columns and files from the command line", () => {
  expect(parsePlaces(["train=a=b.safetensors", "validation.x=x.npy", "validation.y=y.npy"])).toEqual({
    train: "a=b.safetensors",
    validation: { x: "x.npy", y: "y.npy" },
  });
  for (const bad of ["train", "=x", "train=", ".x=y"]) {
    expect(() => parsePlaces([bad])).toThrow(`expected NAME=FILE or NAME.COLUMN=FILE`);
  }
  expect(() => parsePlaces(["train=a.npz", "train=b.npz"])).toThrow("train has its file already");
  expect(() => parsePlaces(["train.x=a.npy", "train.x=b.npy"])).toThrow("train has its file already");
  expect(() => parsePlaces(["train.x=a.npy", "train=b.npz"])).toThrow("train has its file already");
});

test("writes a data set that reads back with the same fingerprint, whatever the columns' order and widths", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tutti-places-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const source = data.arrays({
    label: Uint8Array.of(1, 2, 3),
    wide: BigInt64Array.of(5n, -6n, 7n),
    mask: { dtype: "bool", shape: [2], values: [true, false, false, true, true, true] },
  });
  const dataset = await source.open({ baseDirectory: folder });
  const path = join(folder, "rows.safetensors");
  await saveDataset(dataset, path);
  const opened = await openPlaces({ train: path }, { baseDirectory: "/", memoryBytes: 0 });
  const read = opened.get("train")!;
  expect(read.fingerprint).toBe(dataset.fingerprint);
  expect(await readAll(read)).toEqual(await readAll(dataset));
  await read.close();
  await expect(openPlaces({ train: "rows.csv" }, { baseDirectory: folder })).rejects.toThrow(
    "--data train=rows.csv: expected a .safetensors or .npz file",
  );
  await expect(openPlaces({ train: { x: "a.npy", y: "b" } }, { baseDirectory: folder })).rejects.toThrow(
    "expected .npy files or idx files for all its columns, not both",
  );
});

test("refuses to write sequences of different lengths", async () => {
  const source = data.arrays({ t: { dtype: "uint8", shape: ["length"], values: [[1], [2, 3]] } }, { padTo: [4] });
  const dataset = await source.open({ baseDirectory: "/" });
  await expect(saveDataset(dataset, "/none/x.safetensors")).rejects.toThrow(
    "sequences of different lengths cannot be written",
  );
});
