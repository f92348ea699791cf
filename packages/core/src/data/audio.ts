import { TuttiError } from "../errors/index.ts";
import type { ColumnType } from "./column.ts";
import type { Dataset } from "./dataset.ts";
import { contentOf, type Decoding, decodedDataset } from "./decoded-files.ts";
import type { DataFile } from "./file.ts";
import { checkCache, checkClasses } from "./images.ts";
import { checkLabelledFiles, findLabelled, type LabelledFiles, numberLabels } from "./labelled-files.ts";
import {
  type DataSource,
  type Declared,
  isRecord,
  type OpenContext,
  type PlainData,
  type PlainObject,
} from "./source.ts";

export interface AudioOptions<DType extends "int16" | "float32" = "int16" | "float32"> {
  /** Samples of every row: longer recordings are cut off at their end, shorter ones are followed by silence. */
  readonly length: number;
  /** Samples a second that every file must have; by default the first file's. Nothing is resampled. */
  readonly rate?: number;
  /** Channels that every file must have; 1 by default. Nothing is mixed. */
  readonly channels?: number;
  /** "int16" (default) for files of 8 or 16 bits; "float32" for all, from -1 to 1. */
  readonly dtype?: DType;
  /** All classes, in the order of their numbers; by default the sorted folders or labels. */
  readonly classes?: readonly string[];
  /** A .safetensors file in which decoded rows are kept from run to run; it is made again when files or options change. */
  readonly cache?: string;
}

/**
 * Recordings (.wav: PCM of 8 to 32 bits, float of 32 or 64, A-law, µ-law) as columns `sound`, [length] or [channels, length], and
 * `label` where classes are known: the number of the class. Opening throws DATA_MISSING, and DATA_INVALID naming the file for one
 * that is damaged, has another sample rate or number of channels, more bits than the dtype holds, or is of no known class.
 */
export function audio<const DType extends "int16" | "float32" = "int16">(
  from: LabelledFiles,
  options: AudioOptions<DType>,
): DataSource<Declared<{ readonly sound: DType; readonly label: "int32" }>> {
  checkLabelledFiles("audio", from);
  const checked = checkOptions(options);
  const describe: PlainObject = { from: from as PlainData, ...checked };
  return {
    kind: "audio",
    describe,
    withDescription({ from: otherFrom, ...otherOptions }) {
      checkLabelledFiles("audio", otherFrom);
      return audio(otherFrom, checkOptions(otherOptions) as AudioOptions<DType>);
    },
    open: (context) => openAudio(from, checked, context),
  };
}

type Checked = AudioOptions & Required<Pick<AudioOptions, "length" | "channels" | "dtype">>;

function checkOptions(options: unknown): Checked {
  const bad = (problem: string): TuttiError => new TuttiError("BAD_OPTION", `data.audio: ${problem}`);
  if (!isRecord(options)) throw bad("expected an object of options with length");
  const { length, rate, channels = 1, dtype = "int16", classes, cache, ...others } = options;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined)
    throw bad(`unknown option "${unknown}"; there are length, rate, channels, dtype, classes and cache`);
  const positive = (name: string, value: unknown): number => {
    if (typeof value === "number" && Number.isSafeInteger(value) && value > 0) return value;
    throw bad(`${name}: expected a positive integer, found ${JSON.stringify(value) ?? "none"}`);
  };
  if (dtype !== "int16" && dtype !== "float32")
    throw bad(`dtype: expected "int16" or "float32", found ${JSON.stringify(dtype)}`);
  return {
    length: positive("length", length),
    channels: positive("channels", channels),
    dtype,
    ...(rate === undefined ? {} : { rate: positive("rate", rate) }),
    ...checkClasses("audio", classes),
    ...checkCache("audio", cache),
  };
}

async function openAudio(from: LabelledFiles, options: Checked, context: OpenContext): Promise<Dataset> {
  const found = await findLabelled("audio", from, /\.wav$/i, context.baseDirectory);
  const labels = numberLabels("audio", found, options.classes);
  const rate = options.rate ?? (await formatOf(found.files[0]!)).sampleRate;
  const because = options.rate === undefined ? ` as in ${found.files[0]!.given}` : "";
  return decodedDataset(audioDecoding(options, rate, because), found, labels, options.cache, context);
}

interface Format {
  readonly numChannels: number;
  readonly sampleRate: number;
  readonly bitsPerSample: number;
}

async function formatOf(file: DataFile): Promise<Format> {
  return (await waveOf(file)).format;
}

async function waveOf(file: DataFile) {
  const { default: wavefile } = await import("wavefile");
  const content = await contentOf(file);
  try {
    const wave = new wavefile.WaveFile(content);
    const declaredBytes = 8 + content.readUInt32LE(4);
    // Programs that write into a pipe do not know the size beforehand and declare about the greatest there is.
    if (declaredBytes > content.byteLength && declaredBytes < 0x7f00_0000)
      throw new Error(`it is cut off: its header says ${declaredBytes} bytes, found ${content.byteLength}`);
    const format = wave.fmt as Format;
    if (!(format.numChannels > 0 && format.sampleRate > 0)) throw new Error("no channels or no sample rate");
    // A-law, µ-law and IMA ADPCM are codes of 16-bit samples.
    if (wave.bitDepth === "8a") wave.fromALaw();
    if (wave.bitDepth === "8m") wave.fromMuLaw();
    if (wave.bitDepth === "4") wave.fromIMAADPCM();
    return { wave, format, bitDepth: wave.bitDepth };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TuttiError(
      "DATA_INVALID",
      `${file.given}: no .wav file that can be decoded (${reason}): fetch or export it again, or remove it`,
      { ...file },
    );
  }
}

function audioDecoding({ length, channels, dtype }: Checked, rate: number, because: string): Decoding {
  const type: ColumnType = { dtype, shape: channels === 1 ? [length] : [channels, length] };
  return {
    name: "sound",
    settings: { length, channels, dtype, rate } as PlainData,
    atOnce: 4,
    typeFor: async () => type,
    async decode(file) {
      const { wave, format, bitDepth } = await waveOf(file);
      const refuse = (problem: string): TuttiError =>
        new TuttiError("DATA_INVALID", `${file.given}: ${problem}`, { ...file });
      if (format.sampleRate !== rate) {
        throw refuse(
          `expected ${rate} samples a second${because}, found ${format.sampleRate}: resample it, for example with ffmpeg -i in.wav -ar ${rate} out.wav`,
        );
      }
      if (format.numChannels !== channels) {
        throw refuse(
          `expected ${channels} ${channels === 1 ? "channel" : "channels"}, found ${format.numChannels}: convert it, for example with ffmpeg -i in.wav -ac ${channels} out.wav, or give channels`,
        );
      }
      if (dtype === "int16" && bitDepth !== "8" && bitDepth !== "16") {
        throw refuse(`has samples of ${bitDepth} bits, which int16 does not hold: give dtype: "float32"`);
      }
      if (dtype === "int16") wave.toBitDepth("16");
      const samples = wave.getSamples(true, Float64Array);
      const result = dtype === "int16" ? new Int16Array(channels * length) : new Float32Array(channels * length);
      const scale = dtype === "int16" ? 1 : scaleOf(bitDepth);
      const offset = dtype === "float32" && bitDepth === "8" ? 128 : 0;
      const count = Math.min(length, Math.floor(samples.length / channels));
      for (let channel = 0; channel < channels; channel++) {
        for (let i = 0; i < count; i++)
          result[channel * length + i] = (samples[i * channels + channel]! - offset) * scale;
      }
      return new Uint8Array(result.buffer);
    },
  };
}

/** A power of two, so that scaling is exact. */
function scaleOf(bitDepth: string): number {
  if (bitDepth === "32f" || bitDepth === "64") return 1;
  return 1 / 2 ** (Number(bitDepth) - 1);
}
