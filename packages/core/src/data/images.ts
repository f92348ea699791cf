import { TuttiError } from "../errors/index.ts";
import type { ColumnType } from "./column.ts";
import type { Dataset } from "./dataset.ts";
import { contentOf, type Decoding, decodedDataset } from "./decoded-files.ts";
import type { DataFile } from "./file.ts";
import { checkLabelledFiles, findLabelled, type LabelledFiles, numberLabels } from "./labelled-files.ts";
import {
  type DataSource,
  type Declared,
  isRecord,
  type OpenContext,
  type PlainData,
  type PlainObject,
} from "./source.ts";

export interface ImagesOptions {
  /** [height, width] of all rows; left out, all files must have one size. */
  readonly size?: readonly [height: number, width: number];
  /** "cover" (default) fills the size and cuts off what is outside, "contain" adds black, "fill" stretches. */
  readonly fit?: "cover" | "contain" | "fill";
  /** 3 (default): red, green, blue, transparent parts on black; 1: grey; 4: with alpha. */
  readonly channels?: 1 | 3 | 4;
  /** "NCHW" (default): channels first, as convolutions take them; "NHWC": channels last. */
  readonly layout?: "NCHW" | "NHWC";
  /** All classes, in the order of their numbers; by default the sorted folders or labels. */
  readonly classes?: readonly string[];
  /** A .safetensors file in which decoded rows are kept from run to run; it is made again when files or options change. */
  readonly cache?: string;
}

const endings = /\.(png|jpe?g|webp|gif|tiff?|avif)$/i;

/**
 * Images as columns `image`, uint8 of shape [channels, height, width] or [height, width, channels], and `label` where classes are known: the number of the
 * class, a category like those of tables. Files are decoded and resized (Lanczos, EXIF orientation applied) by sharp, on its own threads, once, by the
 * coordinator, so that all workers see the same bytes. Opening throws DATA_MISSING, and DATA_INVALID naming the file for one that is damaged, of
 * another size where none is given, or of no known class.
 */
export function images(
  from: LabelledFiles,
  options: ImagesOptions = {},
): DataSource<Declared<{ readonly image: "uint8"; readonly label: "int32" }>> {
  checkLabelledFiles("images", from);
  const checked = checkOptions(options);
  const describe: PlainObject = { from: from as PlainData, ...checked };
  return {
    kind: "images",
    describe,
    withDescription({ from: otherFrom, ...otherOptions }) {
      checkLabelledFiles("images", otherFrom);
      return images(otherFrom, otherOptions as ImagesOptions);
    },
    open: (context) => openImages(from, checked, context),
  };
}

type Checked = Required<Omit<ImagesOptions, "size" | "classes" | "cache">> &
  Pick<ImagesOptions, "size" | "classes" | "cache">;

function checkOptions(options: unknown): Checked {
  const bad = (problem: string): TuttiError => new TuttiError("BAD_OPTION", `data.images: ${problem}`);
  if (!isRecord(options)) throw bad("expected an object of options");
  const { size, fit = "cover", channels = 3, layout = "NCHW", classes, cache, ...others } = options;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined)
    throw bad(`unknown option "${unknown}"; there are size, fit, channels, layout, classes and cache`);
  const isSize =
    Array.isArray(size) &&
    size.length === 2 &&
    size.every((side) => Number.isInteger(side) && side > 0 && side <= 16_384);
  if (size !== undefined && !isSize) throw bad(`size: expected [height, width], found ${JSON.stringify(size)}`);
  if (fit !== "cover" && fit !== "contain" && fit !== "fill")
    throw bad(`fit: expected "cover", "contain" or "fill", found ${JSON.stringify(fit)}`);
  if (channels !== 1 && channels !== 3 && channels !== 4)
    throw bad(`channels: expected 1, 3 or 4, found ${JSON.stringify(channels)}`);
  if (layout !== "NCHW" && layout !== "NHWC")
    throw bad(`layout: expected "NCHW" or "NHWC", found ${JSON.stringify(layout)}`);
  return {
    fit,
    channels,
    layout,
    ...(size === undefined ? {} : { size: [size[0], size[1]] as const }),
    ...checkClasses("images", classes),
    ...checkCache("images", cache),
  };
}

/** Throws BAD_OPTION unless `classes` is undefined or a list of different names. */
export function checkClasses(kind: string, classes: unknown): { readonly classes?: readonly string[] } {
  if (classes === undefined) return {};
  const isList = Array.isArray(classes) && classes.length > 0 && classes.every((name) => typeof name === "string");
  if (isList && new Set(classes).size === classes.length) return { classes: [...classes] };
  throw new TuttiError(
    "BAD_OPTION",
    `data.${kind}: classes: expected a list of different names, found ${JSON.stringify(classes)}`,
  );
}

/** Throws BAD_OPTION unless `cache` is undefined or the path of a .safetensors file. */
export function checkCache(kind: string, cache: unknown): { readonly cache?: string } {
  if (cache === undefined) return {};
  if (typeof cache === "string" && cache.endsWith(".safetensors")) return { cache };
  throw new TuttiError(
    "BAD_OPTION",
    `data.${kind}: cache: expected the path of a .safetensors file, found ${JSON.stringify(cache)}`,
  );
}

async function openImages(from: LabelledFiles, options: Checked, context: OpenContext): Promise<Dataset> {
  const found = await findLabelled("images", from, endings, context.baseDirectory);
  const labels = numberLabels("images", found, options.classes);
  return decodedDataset(await imageDecoding(options), found, labels, options.cache, context);
}

async function loadSharp() {
  try {
    return (await import("sharp")).default;
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    throw new TuttiError(
      "DATA_INVALID",
      `data.images needs the package sharp, which does not load on this machine (${reason}): reinstall with optional dependencies, or decode the images elsewhere into a .safetensors file`,
    );
  }
}

async function imageDecoding(options: Checked): Promise<Decoding> {
  const sharp = await loadSharp();
  const { size, fit, channels, layout } = options;
  const typeOf = ([height, width]: readonly [number, number]): ColumnType => ({
    dtype: "uint8",
    shape: layout === "NCHW" ? [channels, height, width] : [height, width, channels],
  });
  const raw = async (file: DataFile) => {
    const content = await contentOf(file);
    try {
      const upright = sharp(content, { failOn: "warning" }).autoOrient();
      const sized =
        size === undefined
          ? upright
          : upright.resize({ height: size[0], width: size[1], fit, kernel: "lanczos3", background: "black" });
      const coloured =
        channels === 4
          ? sized.toColourspace("srgb").ensureAlpha()
          : sized.flatten({ background: "black" }).toColourspace(channels === 1 ? "b-w" : "srgb");
      return await coloured.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
    } catch (error) {
      const reason = error instanceof Error ? error.message.trim().replaceAll(/\s+/g, " ") : String(error);
      throw new TuttiError(
        "DATA_INVALID",
        `${file.given}: no image that can be decoded (${reason}): fetch or export it again, or remove it`,
        { ...file },
      );
    }
  };
  return {
    name: "image",
    settings: {
      size: size ?? null,
      fit,
      channels,
      layout,
      sharp: sharp.versions.sharp ?? "",
      vips: sharp.versions.vips,
    } as PlainData,
    atOnce: 8,
    async typeFor(first) {
      if (size !== undefined) return typeOf(size);
      const { info } = await raw(first);
      return typeOf([info.height, info.width]);
    },
    async decode(file, type) {
      const { data, info } = await raw(file);
      const [height, width] = layout === "NCHW" ? type.shape.slice(1) : type.shape;
      if (info.height !== height || info.width !== width) {
        throw new TuttiError(
          "DATA_INVALID",
          `${file.given}: expected ${height} x ${width} pixels as in the first file, found ${info.height} x ${info.width}: give size: [height, width] to resize all`,
          { ...file },
        );
      }
      if (info.channels !== channels) {
        throw new TuttiError("DATA_INVALID", `${file.given}: expected ${channels} channels, found ${info.channels}`, {
          ...file,
        });
      }
      return layout === "NCHW" && channels > 1 ? planes(data, channels) : data;
    },
  };
}

/** Pixels of interleaved channels as one plane a channel. */
function planes(pixels: Uint8Array, channels: number): Uint8Array {
  const count = pixels.byteLength / channels;
  const result = new Uint8Array(pixels.byteLength);
  for (let channel = 0; channel < channels; channel++) {
    for (let i = 0; i < count; i++) result[channel * count + i] = pixels[i * channels + channel]!;
  }
  return result;
}
