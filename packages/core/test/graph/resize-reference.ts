import type { Reference } from "./gradient-case.ts";
import { flatIndex, indices } from "./window-reference.ts";

interface Resizing {
  readonly shape: readonly number[];
  readonly result: readonly number[];
  readonly mode: "nearest" | "linear" | "cubic";
  readonly coordinates?: string;
  readonly nearest?: string;
  /** Where they are not result/shape. */
  readonly scales?: readonly number[];
}

/** Where an entry of the result lies among those of the input (ONNX Resize, coordinate_transformation_mode). */
function origin(i: number, size: number, result: number, scale: number, coordinates: string): number {
  switch (coordinates) {
    case "half_pixel":
      return (i + 0.5) / scale - 0.5;
    case "pytorch_half_pixel":
      return result > 1 ? (i + 0.5) / scale - 0.5 : 0;
    case "asymmetric":
      return i / scale;
    case "align_corners":
      return result === 1 ? 0 : (i * (size - 1)) / (result - 1);
    default:
      throw new Error(coordinates);
  }
}

function rounded(x: number, nearest: string): number {
  switch (nearest) {
    case "floor":
      return Math.floor(x);
    case "ceil":
      return Math.ceil(x);
    case "round_prefer_floor":
      return Math.ceil(x - 0.5);
    case "round_prefer_ceil":
      return Math.floor(x + 0.5);
    default:
      throw new Error(nearest);
  }
}

/** Keys' cubic convolution kernel with a = -0.75. */
function keys(t: number): number {
  const [a, x] = [-0.75, Math.abs(t)];
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/** Weights by which the entries of one axis enter entry `i` of the result; those beyond the ends count as the outermost. */
function weights(i: number, size: number, axis: number, options: Resizing): readonly number[] {
  const { result, mode, coordinates = "half_pixel", nearest = "round_prefer_floor", scales } = options;
  const row = Array.from({ length: size }, () => 0);
  if (result[axis] === size) {
    row[i] = 1;
    return row;
  }
  const x = origin(i, size, result[axis]!, scales?.[axis] ?? result[axis]! / size, coordinates);
  const add = (place: number, weight: number): void => {
    row[Math.min(Math.max(place, 0), size - 1)]! += weight;
  };
  const low = Math.floor(x);
  if (mode === "nearest") add(rounded(x, nearest), 1);
  else if (mode === "linear") {
    const inside = Math.min(Math.max(x, 0), size - 1);
    add(Math.floor(inside), 1 - (inside - Math.floor(inside)));
    add(Math.floor(inside) + 1, inside - Math.floor(inside));
  } else for (let place = low - 1; place <= low + 2; place++) add(place, keys(x - place));
  return row;
}

export function resizing(options: Resizing): Reference {
  const { shape, result } = options;
  const rows = shape.map((size, axis) =>
    Array.from({ length: result[axis]! }, (_, i) => weights(i, size, axis, options)),
  );
  return ([x]) =>
    Float64Array.from(
      indices(result).map((place) =>
        indices(shape).reduce((sum, from) => {
          const weight = from.reduce((product, i, axis) => product * rows[axis]![place[axis]!]![i]!, 1);
          return weight === 0 ? sum : sum + weight * x![flatIndex(from, shape)]!;
        }, 0),
      ),
    );
}
