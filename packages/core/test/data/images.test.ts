import { mkdir, mkdtemp, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { alignedCategories, data } from "@tutti/core/data";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readAll, readRows, rejection } from "./read-all.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tutti-images-"));
});
afterAll(() => rm(folder, { recursive: true }));

const context = () => ({ baseDirectory: folder });
const [height, width] = [4, 6];

/** Interleaved red, green, blue: every pixel another colour. */
function pixels(salt: number): Uint8Array {
  return Uint8Array.from({ length: height * width * 3 }, (_, i) => (i * 37 + salt * 101) % 256);
}

async function writeImage(path: string, content: Uint8Array, channels: 1 | 3 | 4 = 3): Promise<void> {
  await mkdir(join(folder, path, ".."), { recursive: true });
  const image = sharp(content, { raw: { width, height, channels } });
  await image.toFile(join(folder, path));
}

beforeAll(async () => {
  await writeImage("pets/cat/b.png", pixels(1));
  await writeImage("pets/cat/a.webp", pixels(9)); // lossy: only its place matters
  await writeImage("pets/dog/10.png", pixels(2));
  await writeImage("pets/dog/2.png", pixels(3));
  await writeFile(join(folder, "pets/dog/notes.txt"), "not an image");
  await writeFile(join(folder, "pets/.DS_Store"), "");
});

test("reads a folder for each class, names sorted, pixels exact", async () => {
  const dataset = await data.images("pets", { layout: "NHWC" }).open(context());
  expect(dataset.size).toBe(4);
  expect(dataset.columns).toEqual({
    image: { dtype: "uint8", shape: [height, width, 3] },
    label: { dtype: "int32", shape: [] },
  });
  const { image, label } = await readRows(dataset, [1, 2, 3]);
  expect([...new Int32Array(label!.buffer)]).toEqual([0, 1, 1]);
  expect([...image!]).toEqual([...pixels(1), ...pixels(2), ...pixels(3)]);
});

test("puts channels first by default", async () => {
  const dataset = await data.images({ files: "pets/dog/2.png" }).open(context());
  expect(dataset.columns).toEqual({ image: { dtype: "uint8", shape: [3, height, width] } });
  const { image } = await readAll(dataset);
  const source = pixels(3);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < height * width; i++) expect(image![channel * height * width + i]).toBe(source[i * 3 + channel]);
  }
});

test("resizes, applies the EXIF orientation, and puts transparent parts on black", async () => {
  const red = await sharp({ create: { width: 20, height: 10, channels: 3, background: { r: 200, g: 10, b: 30 } } })
    .png()
    .toBuffer();
  await writeFile(join(folder, "red.png"), red);
  const small = await data.images({ files: "red.png" }, { size: [3, 2] }).open(context());
  expect([...(await readAll(small)).image!]).toEqual([
    ...Array(6).fill(200),
    ...Array(6).fill(10),
    ...Array(6).fill(30),
  ]);
  // "contain": a wide image in a square has black above and below.
  const square = await data
    .images({ files: "red.png" }, { size: [4, 4], fit: "contain", channels: 1, layout: "NHWC" })
    .open(context());
  const grey = (await readAll(square)).image!;
  expect([...grey.subarray(0, 4), ...grey.subarray(12)]).toEqual(Array(8).fill(0));
  expect(new Set(grey.subarray(4, 12)).size).toBe(1);
  expect(grey[4]).toBeGreaterThan(30);
  await sharp(red).withMetadata({ orientation: 6 }).png().toFile(join(folder, "turned.png"));
  const turned = await data.images({ files: "turned.png" }).open(context());
  expect(turned.columns.image!.shape).toEqual([3, 20, 10]);
  const clear = Uint8Array.from({ length: height * width * 4 }, (_, i) => (i % 4 === 3 ? 0 : 255));
  await writeImage("clear.png", clear, 4);
  const black = await readAll(await data.images({ files: "clear.png" }).open(context()));
  expect(black.image!.every((value) => value === 0)).toBe(true);
  const alpha = await data.images({ files: "clear.png" }, { channels: 4 }).open(context());
  expect(alpha.columns.image!.shape).toEqual([4, height, width]);
});

test("takes files and classes from tables and from names", async () => {
  await writeFile(join(folder, "pets/list.csv"), "file,label\ndog/2.png,dog\ncat/b.png,cat\n");
  await writeFile(join(folder, "pets/list.jsonl"), '{"path":"cat/b.png","kind":7}\n\n{"path":"dog/2.png","kind":3}\n');
  const csv = await data.images({ manifest: "pets/list.csv" }, { layout: "NHWC" }).open(context());
  const rows = await readAll(csv);
  expect([...new Int32Array(rows.label!.buffer)]).toEqual([1, 0]);
  expect([...rows.image!]).toEqual([...pixels(3), ...pixels(1)]);
  const jsonl = data.images({ manifest: "pets/list.jsonl", file: "path", label: "kind" });
  expect([...new Int32Array((await readAll(await jsonl.open(context()))).label!.buffer)]).toEqual([7, 3]);
  const named = data.images({ files: "pets/dog/*.png", label: "^(\\d+)\\." }, { classes: ["2", "5", "10"] });
  expect([...new Int32Array((await readAll(await named.open(context()))).label!.buffer)]).toEqual([2, 0]);
});

test("names the file that is damaged, of another size, or of no class", async () => {
  const whole = await readFile(join(folder, "pets/dog/2.png"));
  await mkdir(join(folder, "bad/a"), { recursive: true });
  await writeFile(join(folder, "bad/a/1.png"), whole);
  await writeFile(join(folder, "bad/a/2.png"), whole.subarray(0, whole.length - 30));
  const damaged = await rejection(data.images("bad").open(context()));
  expect(damaged.code).toBe("DATA_INVALID");
  expect(damaged.message).toMatch(
    /^bad\/a\/2\.png: no image that can be decoded \(.+\): fetch or export it again, or remove it$/,
  );
  await writeFile(join(folder, "bad/a/2.png"), "GIF89a");
  expect((await rejection(data.images("bad").open(context()))).message).toMatch(/^bad\/a\/2\.png: no image/);
  await writeFile(join(folder, "bad/a/2.png"), await readFile(join(folder, "red.png")));
  expect((await rejection(data.images("bad").open(context()))).message).toBe(
    "bad/a/2.png: expected 4 x 6 pixels as in the first file, found 10 x 20: give size: [height, width] to resize all",
  );
  await mkdir(join(folder, "bad/b"));
  expect((await rejection(data.images("bad").open(context()))).message).toMatch(
    /^bad\/b: the folder of class "b" holds no file that is read \(.*png.*\): put some there, or remove the folder$/,
  );
  expect((await rejection(data.images("pets", { classes: ["cat", "fish"] }).open(context()))).message).toBe(
    `pets/dog/10.png: class "dog" is none of data.images's classes (cat, fish); add it there, or remove the files`,
  );
  expect((await rejection(data.images("pets/cat").open(context()))).message).toMatch(
    /expected a folder for each class, found none/,
  );
  expect(await rejection(data.images("none").open(context()))).toMatchObject({ code: "DATA_MISSING" });
  await writeFile(join(folder, "pets/short.csv"), "file,label\ndog/2.png,dog\ncat/none.png,cat\n");
  expect((await rejection(data.images({ manifest: "pets/short.csv" }).open(context()))).message).toMatch(
    /^pets\/short\.csv row 2: cat\/none\.png: no such file/,
  );
  expect((await rejection(data.images({ manifest: "pets/list.csv", file: "path" }).open(context()))).message).toMatch(
    /^pets\/list\.csv row 1, column "path": expected a text, no such column; it has file, label$/,
  );
});

test("counts the classes of validation as those of training, whatever folders it has", async () => {
  await writeImage("held-out/dog/1.png", pixels(4));
  const [train, validation] = [
    await data.images("pets").open(context()),
    await data.images("held-out").open(context()),
  ];
  const aligned = await alignedCategories(train, validation);
  expect([...new Int32Array((await readAll(aligned)).label!.buffer)]).toEqual([1]);
  expect(aligned.table?.columns.label?.categories).toEqual(["cat", "dog"]);
  expect(train.table?.locate(2)).toEqual({ file: "pets/dog/10.png", row: 1 });
  await writeImage("held-out/fish/1.png", pixels(4));
  const other = await data.images("held-out").open(context());
  expect((await rejection(alignedCategories(train, other))).message).toMatch(
    /^held-out\/fish\/1\.png row 1, column "label": expected a category of the training data, .*found "fish"/,
  );
});

test("refuses options that it does not have", () => {
  expect(() => data.images("pets", { size: [0, 4] })).toThrow("size: expected [height, width], found [0,4]");
  expect(() => data.images("pets", { channels: 2 as never })).toThrow("channels: expected 1, 3 or 4, found 2");
  expect(() => data.images("pets", { resize: 3 } as never)).toThrow('unknown option "resize"');
  expect(() => data.images({ files: "x", label: "(" })).toThrow("label: expected a regular expression with one group");
  expect(() => data.images({ folder: "x" } as never)).toThrow("expected a folder with a folder for each class");
});

test("keeps what it decoded in a cache until a file or an option changes", async () => {
  const source = data.images("pets", { size: [2, 2], cache: "pets.safetensors" });
  const first = await source.open(context());
  const { mtimeMs } = await stat(join(folder, "pets.safetensors"));
  const again = await source.open(context());
  expect((await stat(join(folder, "pets.safetensors"))).mtimeMs).toBe(mtimeMs);
  expect(again.fingerprint).toBe(first.fingerprint);
  expect(again.place).toBe(join(folder, "pets.safetensors"));
  expect(again.fingerprint).toBe((await data.images("pets", { size: [2, 2] }).open(context())).fingerprint);
  const grey = await data.images("pets", { size: [2, 2], channels: 1, cache: "pets.safetensors" }).open(context());
  expect(grey.columns.image!.shape).toEqual([1, 2, 2]);
  const before = await source.open(context());
  await writeImage("pets/cat/b.png", pixels(5));
  await utimes(join(folder, "pets/cat/b.png"), 1, 1);
  expect((await source.open(context())).fingerprint).not.toBe(before.fingerprint);
});
