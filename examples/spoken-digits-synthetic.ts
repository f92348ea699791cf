// A stand-in for recordings of spoken digits: two "vowels" after one another, each a sum of three sines, with pitch, tempo,
// loudness, beginning and noise by chance. Files are named DIGIT_VOICE_NUMBER.wav, 8 kHz, 16 bits.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import wavefile from "wavefile";

const rate = 8_000;

/** Hertz. */
const vowels = [
  [300, 870, 2_240],
  [390, 1_990, 2_550],
  [530, 1_840, 2_480],
  [660, 1_720, 2_410],
  [730, 1_090, 2_440],
] as const;

/** Numbers in [0, 1) that are the same everywhere: Lehmer's generator with Park and Miller's constants (1988). */
function* randomNumbers(seed: number): Generator<number, never> {
  let state = seed;
  for (;;) {
    state = (state * 48_271) % 2_147_483_647;
    yield state / 2_147_483_647;
  }
}

function speak(digit: number, random: () => number): Int16Array {
  const between = (low: number, high: number): number => low + (high - low) * random();
  const first = vowels[digit % 5]!;
  const second = vowels[(digit < 5 ? digit + 1 : digit + 3) % 5]!;
  const silence = Math.floor(between(0, 0.1) * rate);
  const length = Math.floor(between(0.3, 0.6) * rate);
  const [pitch, loudness, noise] = [between(0.9, 1.1), between(1_000, 6_000), between(500, 8_000)];
  return Int16Array.from({ length: silence + length }, (_, i) => {
    const time = (i - silence) / rate;
    const vowel = i - silence < length / 2 ? first : second;
    const voice = vowel.reduce((sum, hertz) => sum + Math.sin(2 * Math.PI * hertz * pitch * time), 0) / vowel.length;
    return Math.round((i < silence ? 0 : loudness * voice) + noise * (random() - random()));
  });
}

/** Writes `each` files for every digit into a new folder. */
export function writeSyntheticDigits(folder: string, each: number): void {
  mkdirSync(folder, { recursive: true });
  const numbers = randomNumbers(1);
  for (let digit = 0; digit < 10; digit++) {
    for (let number = 0; number < each; number++) {
      const wav = new wavefile.WaveFile();
      wav.fromScratch(
        1,
        rate,
        "16",
        speak(digit, () => numbers.next().value),
      );
      writeFileSync(join(folder, `${digit}_synthetic_${number}.wav`), wav.toBuffer());
    }
  }
}
