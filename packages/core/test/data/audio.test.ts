import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { data } from "@tutti/core/data";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readAll, rejection } from "./read-all.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tutti-audio-"));
  await mkdir(join(folder, "words/no"), { recursive: true });
  await mkdir(join(folder, "words/yes"));
  await writeWave("words/no/1.wav", [1, -2, 3, -4, 5]);
  await writeWave("words/yes/1.wav", [32_767, -32_768]);
});
afterAll(() => rm(folder, { recursive: true }));

const context = () => ({ baseDirectory: folder });

/** A .wav file as the format's description has it (RIFF, "Multimedia Programming Interface and Data Specifications 1.0", 1991). */
async function writeWave(
  path: string,
  samples: readonly number[],
  { rate = 8_000, channels = 1, bits = 16, format = 1 } = {},
): Promise<void> {
  const bytes = Buffer.alloc(44 + (samples.length * bits) / 8);
  bytes.write("RIFF", 0, "latin1");
  bytes.writeUInt32LE(bytes.length - 8, 4);
  bytes.write("WAVEfmt ", 8, "latin1");
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(format, 20);
  bytes.writeUInt16LE(channels, 22);
  bytes.writeUInt32LE(rate, 24);
  bytes.writeUInt32LE((rate * channels * bits) / 8, 28);
  bytes.writeUInt16LE((channels * bits) / 8, 32);
  bytes.writeUInt16LE(bits, 34);
  bytes.write("data", 36, "latin1");
  bytes.writeUInt32LE((samples.length * bits) / 8, 40);
  for (const [i, sample] of samples.entries()) {
    const at = 44 + (i * bits) / 8;
    if (format === 3) bytes.writeFloatLE(sample, at);
    else if (bits === 8) bytes.writeUInt8(sample, at);
    else bytes.writeIntLE(sample, at, bits / 8);
  }
  await writeFile(join(folder, path), bytes);
}

test("cuts long recordings and follows short ones with silence", async () => {
  const dataset = await data.audio("words", { length: 4 }).open(context());
  expect(dataset.columns).toEqual({ sound: { dtype: "int16", shape: [4] }, label: { dtype: "int32", shape: [] } });
  const { sound, label } = await readAll(dataset);
  expect([...new Int16Array(sound!.buffer)]).toEqual([1, -2, 3, -4, 32_767, -32_768, 0, 0]);
  expect([...new Int32Array(label!.buffer)]).toEqual([0, 1]);
});

test("takes channels apart, and every depth exactly as float32", async () => {
  await writeWave("stereo.wav", [1, 2, 3, 4, 5, 6], { channels: 2 });
  const stereo = await data.audio({ files: "stereo.wav" }, { length: 4, channels: 2 }).open(context());
  expect(stereo.columns.sound!.shape).toEqual([2, 4]);
  expect([...new Int16Array((await readAll(stereo)).sound!.buffer)]).toEqual([1, 3, 5, 0, 2, 4, 6, 0]);
  const cases: readonly [object, readonly number[], readonly number[]][] = [
    [{ bits: 8 }, [0, 128, 255], [-1, 0, 127 / 128]],
    [{ bits: 16 }, [-32_768, 1, 16_384], [-1, 1 / 32_768, 0.5]],
    [{ bits: 24 }, [-(2 ** 23), 1, 2 ** 22], [-1, 2 ** -23, 0.5]],
    [{ bits: 32, format: 3 }, [-1.5, 0.25, 0], [-1.5, 0.25, 0]],
  ];
  for (const [format, samples, expected] of cases) {
    await writeWave("depth.wav", samples, format);
    const { sound } = await readAll(
      await data.audio({ files: "depth.wav" }, { length: 3, dtype: "float32" }).open(context()),
    );
    expect([...new Float32Array(sound!.buffer)]).toEqual(expected);
  }
});

test("refuses mixed sample rates, other channels and more bits, naming the file and what to do", async () => {
  await writeWave("words/yes/2.wav", [1], { rate: 16_000 });
  expect(await rejection(data.audio("words", { length: 4 }).open(context()))).toEqual({
    code: "DATA_INVALID",
    message:
      "words/yes/2.wav: expected 8000 samples a second as in words/no/1.wav, found 16000: resample it, for example with ffmpeg -i in.wav -ar 8000 out.wav",
  });
  expect((await rejection(data.audio("words", { length: 4, rate: 11_025 }).open(context()))).message).toMatch(
    /^words\/no\/1\.wav: expected 11025 samples a second, found 8000/,
  );
  await writeWave("words/yes/2.wav", [1, 1], { channels: 2 });
  expect((await rejection(data.audio("words", { length: 4 }).open(context()))).message).toMatch(
    /^words\/yes\/2\.wav: expected 1 channel, found 2: convert it, .*ffmpeg -i in\.wav -ac 1 out\.wav/,
  );
  await writeWave("words/yes/2.wav", [1], { bits: 24 });
  expect((await rejection(data.audio("words", { length: 4 }).open(context()))).message).toBe(
    'words/yes/2.wav: has samples of 24 bits, which int16 does not hold: give dtype: "float32"',
  );
  const whole = await readFile(join(folder, "words/no/1.wav"));
  await writeFile(join(folder, "words/yes/2.wav"), whole.subarray(0, 30));
  expect((await rejection(data.audio("words", { length: 4 }).open(context()))).message).toMatch(
    /^words\/yes\/2\.wav: no \.wav file that can be decoded \(.+\): fetch or export it again, or remove it$/,
  );
  await writeFile(join(folder, "words/yes/2.wav"), whole.subarray(0, -3));
  expect((await rejection(data.audio("words", { length: 4 }).open(context()))).message).toMatch(
    /^words\/yes\/2\.wav: no \.wav file that can be decoded \(it is cut off: its header says 54 bytes, found 51\)/,
  );
  await rm(join(folder, "words/yes/2.wav"));
  await mkdir(join(folder, "words/maybe"));
  expect((await rejection(data.audio("words", { length: 4 }).open(context()))).message).toMatch(
    /^words\/maybe: the folder of class "maybe" holds no file/,
  );
  expect(() => data.audio("words", {} as never)).toThrow("length: expected a positive integer, found none");
});
