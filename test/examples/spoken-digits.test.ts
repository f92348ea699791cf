import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { expect, test } from "vitest";
import { writeSyntheticDigits } from "../../examples/spoken-digits-synthetic.ts";
import { temporaryFolder } from "../system/tutti-process.ts";
import { trainedExample } from "./trained-example.ts";

test("learns digits from a folder of wav files, and the model computes the spectrogram", async () => {
  const folder = join(temporaryFolder(), "wavs");
  writeSyntheticDigits(folder, 60);
  const { figures, out } = await trainedExample("examples/spoken-digits.ts", [], { SPOKEN_DIGITS: folder });
  expect(figures.accuracy).toBeGreaterThan(0.9);

  const sound = Int16Array.from(
    { length: 6_400 },
    (_, i) => 9_000 * Math.sin(i * i * 1e-4) + ((i * 7_919) % 601) - 300,
  );
  const session = await InferenceSession.create(join(out, "model.onnx"));
  const { loudness } = await session.run({ sound: new Tensor("int16", sound, [1, 6_400]) });
  await session.release();
  expect(loudness?.dims).toEqual([1, 49, 24]);
  const values = loudness?.data as Float32Array;
  const expected = loudnessOf(sound);
  for (const [i, value] of expected.entries()) expect(Math.abs(values[i]! - value)).toBeLessThan(2e-3);
});

/** Logarithms of the power in 24 mel bands for each frame, by the definition of the Fourier transform in float64. */
function loudnessOf(sound: Int16Array): readonly number[] {
  const mel = (hertz: number): number => 2_595 * Math.log10(1 + hertz / 700);
  const hertz = (place: number): number => 700 * (10 ** (place / 2_595) - 1);
  const [low, high] = [mel(60), mel(4_000)];
  const edges = Array.from({ length: 26 }, (_, i) => Math.round(hertz(low + ((high - low) * i) / 25) / 31.25));
  return Array.from({ length: 49 }, (_, t) => {
    const frame = Array.from(sound.subarray(t * 128, t * 128 + 256), (value, i) => {
      return (value / 32_768) * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / 256));
    });
    const power = Array.from({ length: 129 }, (_, bin) => {
      const sum = (part: (angle: number) => number): number =>
        frame.reduce((total, value, i) => total + value * part((2 * Math.PI * bin * i) / 256), 0);
      return sum(Math.cos) ** 2 + sum(Math.sin) ** 2;
    });
    return Array.from({ length: 24 }, (_, band) => {
      const [from, middle, to] = [edges[band]!, edges[band + 1]!, edges[band + 2]!];
      const share = (bin: number): number =>
        bin <= middle ? (bin - from) / (middle - from) : (to - bin) / (to - middle);
      const total = power.reduce((sum, value, bin) => (bin > from && bin < to ? sum + value * share(bin) : sum), 0);
      return Math.log(total + 1e-5);
    });
  }).flat();
}
