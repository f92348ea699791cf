import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { data } from "@tutti/core/data";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readAll, readRows, rejection } from "./read-all.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tutti-text-"));
});
afterAll(() => rm(folder, { recursive: true }));

const context = () => ({ baseDirectory: folder });
const fromDisk = () => ({ baseDirectory: folder, memoryBytes: 0 });
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

test("cuts the bytes of files into windows, each with the same one byte on", async () => {
  await writeFile(join(folder, "1.txt"), "abcde");
  await writeFile(join(folder, "2.txt"), "fghijk");
  for (const open of [context(), fromDisk()]) {
    const dataset = await data.text("?.txt", { tokens: "bytes", length: 4, stride: 3 }).open(open);
    expect(dataset.columns).toEqual({ text: { dtype: "uint8", shape: [4] }, next: { dtype: "uint8", shape: [4] } });
    expect(dataset.size).toBe(3);
    const { text, next } = await readAll(dataset);
    expect(textOf(text!)).toBe("abcddefgghij");
    expect(textOf(next!)).toBe("bcdeefghhijk");
    expect(textOf((await readRows(dataset, [2, 0])).next!)).toBe("hijkbcde");
    await dataset.close();
  }
});

test("has the fingerprint of its rows, wherever the tokens lie", async () => {
  const content = "the quick brown fox ".repeat(200_000);
  const source = data.text({ text: content }, { tokens: "bytes", length: 1_000, stride: 999 });
  const inMemory = await source.open(context());
  const onDisk = await source.open({ baseDirectory: folder, memoryBytes: 1_500_000 });
  const bytes = Buffer.from(content);
  const windows = (shift: number): Uint8Array =>
    Buffer.concat(
      Array.from({ length: inMemory.size }, (_, row) => bytes.subarray(row * 999 + shift, row * 999 + shift + 1_000)),
    );
  const arrays = data.arrays({
    text: { dtype: "uint8", shape: [1_000], values: Uint8Array.from(windows(0)) },
    next: { dtype: "uint8", shape: [1_000], values: Uint8Array.from(windows(1)) },
  });
  expect(inMemory.fingerprint).toBe((await arrays.open(context())).fingerprint);
  expect(onDisk.fingerprint).toBe(inMemory.fingerprint);
  expect(await readRows(onDisk, [3_000, 5, 1_049])).toEqual(await readRows(inMemory, [3_000, 5, 1_049]));
  await onDisk.close();
});

test("reads a long file piece by piece, whose ends may be within a character", async () => {
  const characters = "aé𝄞\n";
  const content = `a${"é".repeat(140_000)}\n${"𝄞a".repeat(100_000)}`;
  await writeFile(join(folder, "long.txt"), content);
  const dataset = await data.text("long.txt", { tokens: { characters }, length: 1000 }).open(fromDisk());
  const expected = [...content].map((character) => [...characters].indexOf(character));
  expect(dataset.size).toBe(Math.floor((expected.length - 1) / 1000));
  const { text } = await readAll(dataset);
  expect(Buffer.compare(text!, Uint8Array.from(expected.slice(0, 1000 * dataset.size)))).toBe(0);
  await dataset.close();
  const bad = data.text("long.txt", { tokens: { characters: "aé\n" }, length: 1000 }).open(context());
  expect((await rejection(bad)).message).toContain('long.txt line 2, column 1: "𝄞" (U+1D11E)');
  await writeFile(join(folder, "cut.txt"), Buffer.from("aé").subarray(0, 2));
  const cut = data.text("cut.txt", { tokens: { characters }, length: 1 }).open(context());
  expect((await rejection(cut)).message).toContain("cut.txt: is no UTF-8 text");
});

test("numbers characters by their places, and uses a part of the text", async () => {
  const source = data.text(
    { text: "héllo\nwörld" },
    { tokens: { characters: "\nhelowrdéö" }, length: 2, range: [0.5, 1] },
  );
  expect(source.vocabulary).toBe(10);
  const { text, next } = await readAll(await source.open(context()));
  // "\nwörld" from token 5 on; the last window needs a token after it.
  expect([...text!]).toEqual([0, 5, 9, 6]);
  expect([...next!]).toEqual([5, 9, 6, 3]);
  const skipping = data.text({ text: "a-b-c" }, { tokens: { characters: "abc", unknown: "skip" }, length: 2 });
  expect([...(await readAll(await skipping.open(context()))).text!]).toEqual([0, 1]);
});

test("names file, line and column of a character that is unknown", async () => {
  await writeFile(join(folder, "bad.txt"), "abc\nab—c");
  const source = data.text("bad.txt", { tokens: { characters: "abc\n" }, length: 2 });
  expect(await rejection(source.open(context()))).toEqual({
    code: "DATA_INVALID",
    message:
      'bad.txt line 2, column 3: "—" (U+2014) is none of the 4 characters; add it, or leave such characters out with unknown: "skip"',
  });
  await writeFile(join(folder, "latin.txt"), Uint8Array.of(0x61, 0xe9, 0x62));
  expect(
    (await rejection(data.text("latin.txt", { tokens: { characters: "ab" }, length: 1 }).open(context()))).message,
  ).toBe('latin.txt: is no UTF-8 text; convert it, or use tokens: "bytes"');
  expect((await rejection(data.text("bad.txt", { tokens: "bytes", length: 99 }).open(context()))).message).toBe(
    "bad.txt: expected at least 100 tokens, for one window of 99 and the token after it, found 10; give more text or a smaller length",
  );
});

/** A byte-pair tokenizer as Hugging Face's tokenizers write it: words split at spaces, "l l" and "h e" merged. */
const tokenizer = {
  version: "1.0",
  added_tokens: [
    { id: 7, content: "<end>", special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
  ],
  normalizer: { type: "Lowercase" },
  pre_tokenizer: { type: "Whitespace" },
  post_processor: null,
  decoder: null,
  model: {
    type: "BPE",
    dropout: null,
    unk_token: "?",
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    vocab: { "?": 0, h: 1, e: 2, l: 3, o: 4, ll: 5, he: 6 },
    merges: ["l l", "h e"],
  },
};

test("encodes with a Hugging Face tokenizer", async () => {
  await writeFile(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
  const source = data.text(
    { text: "Hello hell<end> x" },
    { tokens: { tokenizer: join(folder, "tokenizer.json") }, length: 6 },
  );
  expect(source.vocabulary).toBe(8);
  const { text, next } = await readAll(await source.open(context()));
  expect([...text!]).toEqual([6, 5, 4, 6, 5, 7]);
  expect([...next!]).toEqual([5, 4, 6, 5, 7, 0]);
});

test("says what is wrong with a tokenizer where the run file names it", async () => {
  const path = join(folder, "config.json");
  const named = () => data.text({ text: "abc" }, { tokens: { tokenizer: path }, length: 1 });
  expect(named).toThrow("no such file");
  await writeFile(path, "{ not json");
  expect(named).toThrow("no tokenizer that can be used: it is no JSON; expected the tokenizer.json");
  await writeFile(path, JSON.stringify({ hidden_size: 768 }));
  expect(named).toThrow("no tokenizer that can be used: it has no model with a vocabulary");
  await writeFile(path, JSON.stringify({ ...tokenizer, pre_tokenizer: { type: "Magic" } }));
  const { code, message } = await rejection(named().open(context()));
  expect(code).toBe("DATA_INVALID");
  expect(message).toMatch(/config\.json: no tokenizer that can be used: .*Magic/);
});

test("refuses options that make no windows", () => {
  const text = { text: "abc" };
  expect(() => data.text(text, { tokens: "words" as never, length: 2 })).toThrow(
    'tokens: expected "bytes", { characters',
  );
  expect(() => data.text(text, { tokens: "bytes", length: 0 })).toThrow("length: expected a positive integer, found 0");
  expect(() => data.text(text, { tokens: "bytes", length: 2, range: [0.9, 0.1] })).toThrow(
    "range: expected two ascending",
  );
  expect(() => data.text(text, { tokens: { characters: "aa" }, length: 2 })).toThrow('characters: "a" is there twice');
  expect(() => data.text(text, { tokens: "bytes", length: 2, size: 3 } as never)).toThrow('unknown option "size"');
});
