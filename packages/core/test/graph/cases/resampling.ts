import { type CaseTable, type GradientCase, of } from "../gradient-case.ts";
import { resizing } from "../resize-reference.ts";

type Options = Parameters<typeof resizing>[0];

/** A case in which the last axes get new sizes, or are scaled. */
function resize(
  name: string,
  options: Options,
  by: { scales?: readonly number[]; sizes?: readonly number[] },
): GradientCase {
  const { shape, mode, coordinates, nearest } = options;
  const count = (by.scales ?? by.sizes ?? []).length;
  return {
    name,
    inputs: [of(...shape)],
    attributes: {
      mode,
      coordinate_transformation_mode: coordinates,
      nearest_mode: nearest,
      axes: Array.from({ length: count }, (_, i) => shape.length - count + i),
      ...by,
    },
    oracle: resizing(options),
  };
}

const image = [2, 2, 3, 4];
const doubled = [2, 2, 6, 8];
const odd = [2, 2, 5, 3];
const coordinates = ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"];

const twice = (cases: readonly GradientCase[]): readonly GradientCase[] =>
  cases.flatMap((item) => [item, { ...item, name: `${item.name}, exactly`, oracle: "linear" as const }]);

export const resampling: CaseTable = {
  ":Resize": [
    resize("nearest, doubled", { shape: image, result: doubled, mode: "nearest" }, { scales: [2, 2] }),
    resize(
      "nearest, doubled from the corner",
      { shape: image, result: doubled, mode: "nearest", coordinates: "asymmetric", nearest: "floor" },
      { scales: [2, 2] },
    ),
    resize("nearest, three and two times", { shape: image, result: [2, 2, 9, 8], mode: "nearest" }, { sizes: [9, 8] }),
    resize("nearest, the width only", { shape: image, result: [2, 2, 3, 12], mode: "nearest" }, { scales: [3] }),
    resize("nearest, 1d", { shape: [2, 3, 4], result: [2, 3, 8], mode: "nearest" }, { scales: [2] }),
    resize(
      "nearest, doubled and rounded up",
      { shape: image, result: doubled, mode: "nearest", nearest: "ceil" },
      { scales: [2, 2] },
    ),
    resize(
      "nearest, to odd sizes, rounded down",
      { shape: image, result: odd, mode: "nearest", coordinates: "asymmetric", nearest: "floor" },
      { sizes: [5, 3] },
    ),
    resize("nearest, smaller", { shape: [1, 1, 6, 7], result: [1, 1, 3, 3], mode: "nearest" }, { sizes: [3, 3] }),
    resize(
      "nearest, by a scale that is no ratio of sizes",
      {
        shape: image,
        result: [2, 2, 5, 6],
        mode: "nearest",
        scales: [1, 1, 1.75, 1.6],
        coordinates: "asymmetric",
        nearest: "floor",
      },
      { scales: [1.75, 1.6] },
    ),
    ...coordinates.flatMap((mode) => [
      resize(
        `linear, doubled, ${mode}`,
        { shape: image, result: doubled, mode: "linear", coordinates: mode },
        { scales: [2, 2] },
      ),
      resize(
        `linear, to odd sizes, ${mode}`,
        { shape: image, result: odd, mode: "linear", coordinates: mode },
        { sizes: [5, 3] },
      ),
      resize(
        `linear, to one row, ${mode}`,
        { shape: image, result: [2, 2, 1, 3], mode: "linear", coordinates: mode },
        { sizes: [1, 3] },
      ),
    ]),
    resize("linear, 1d", { shape: [2, 3, 4], result: [2, 3, 7], mode: "linear" }, { sizes: [7] }),
    resize(
      "linear, by a scale that is no ratio of sizes",
      { shape: image, result: [2, 2, 4, 6], mode: "linear", scales: [1, 1, 1.5, 1.6] },
      { scales: [1.5, 1.6] },
    ),
    resize("cubic", { shape: image, result: odd, mode: "cubic" }, { sizes: [5, 3] }),
    {
      name: "nearest, the channels too",
      inputs: [of(1, 2, 3, 2)],
      attributes: { mode: "nearest", scales: [1, 2, 2, 1] },
      oracle: "linear",
    },
    {
      name: "nothing changes",
      inputs: [of(1, 1, 2, 2)],
      attributes: { mode: "nearest", scales: [1, 1, 1, 1] },
      oracle: "linear",
    },
  ],
  ":DepthToSpace": twice([
    { name: "depth first", inputs: [of(2, 8, 2, 3)], attributes: { blocksize: 2, mode: "DCR" } },
    { name: "column first", inputs: [of(2, 8, 2, 3)], attributes: { blocksize: 2, mode: "CRD" } },
    { name: "by default", inputs: [of(1, 9, 1, 2)], attributes: { blocksize: 3 } },
  ]),
  ":SpaceToDepth": twice([{ name: "blocks of 2", inputs: [of(2, 2, 4, 6)], attributes: { blocksize: 2 } }]),
  ":Pad": twice([
    { name: "both sides", inputs: [of(2, 3)], attributes: { mode: "constant", pads: [1, 0, 2, 1] } },
    { name: "with a value", inputs: [of(3)], attributes: { mode: "constant", pads: [1, 1], value: 3 } },
    { name: "taking entries away", inputs: [of(4, 5)], attributes: { mode: "constant", pads: [-1, 2, 1, -3] } },
    { name: "of a named axis", inputs: [of(2, 3, 2)], attributes: { pads: [2, 1], axes: [-2] } },
    ...["reflect", "edge", "wrap"].flatMap((mode) => [
      { name: `${mode}, both sides`, inputs: [of(2, 4)], attributes: { mode, pads: [0, 2, 0, 3] } },
      { name: `${mode}, two axes`, inputs: [of(1, 3, 4)], attributes: { mode, pads: [0, 2, 1, 0, 1, 0] } },
    ]),
    { name: "edge, wider than the tensor", inputs: [of(2)], attributes: { mode: "edge", pads: [3, 4] } },
  ]),
};
