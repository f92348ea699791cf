import { TuttiError } from "../errors/index.ts";
import {
  batchAxis,
  type Dim,
  elements,
  isBatch,
  normalizeAxis,
  resolveDim,
  type Shape,
  sameDim,
  shapeToString,
} from "../graph/index.ts";
import { unsupported } from "./errors.ts";
import { Known } from "./known.ts";
import type { NodeView, Value } from "./node-view.ts";

/** What a rule may look at besides its node. */
export interface ImportContext {
  /** The batch size that the file was exported with, where it is a number: literal shapes in it hold that number. */
  readonly fixedBatch: number | undefined;
  /** Whether Dropout drops in the trace for training. */
  readonly dropout: boolean;
}

export function shapeOf(view: NodeView): readonly Value[] {
  const { shape } = view.value(0);
  const clamp = (value: number): number =>
    Math.min(Math.max(value < 0 ? value + shape.length : value, 0), shape.length);
  return [Known.list(shape.slice(clamp(view.number("start", 0)), clamp(view.number("end", shape.length))))];
}

export function sizeOf(view: NodeView): Known {
  return Known.of("int64", [], [elements(view.value(0).shape, view.at)]);
}

export function reshape(view: NodeView, { fixedBatch }: ImportContext): readonly Value[] {
  const x = view.tensor(0);
  const target = view.known(1, "shape").items;
  if (view.number("allowzero", 0) === 1 && target.includes(0)) {
    throw unsupported(view.node, "makes a tensor without entries (allowzero)", "export the model without it");
  }
  const free = fixedBatch === undefined ? undefined : freedBatch(x.shape, target, fixedBatch);
  return [x.reshape(free ?? target)];
}

/**
 * The literal target of a model that was exported with a fixed batch size, with the axis that holds the samples set free;
 * undefined when it holds no literal batch.
 */
function freedBatch(from: Shape, target: Shape, fixedBatch: number): Shape | undefined {
  const axis = batchAxis(from);
  if (axis === -1 || batchAxis(target) !== -1) return undefined;
  const literal = from.map((dim) => resolveDim(dim, fixedBatch));
  const total = product(literal);
  const wanted = target.map((dim, i) => (dim === 0 ? (literal[i] ?? 0) : Number(dim)));
  const known = product(wanted.filter((size) => size !== -1));
  const full = wanted.map((size) => (size === -1 ? total / known : size));
  if (product(full) !== total || full.some((size) => !Number.isInteger(size))) return undefined;
  const before = product(literal.slice(0, axis));
  const place = full.findIndex((size, i) => product(full.slice(0, i)) === before && size % fixedBatch === 0);
  return place === -1
    ? undefined
    : full.with(place, 0).map((size, i): Dim => (i === place ? { timesN: full[place]! / fixedBatch } : size));
}

function product(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total * size, 1);
}

export function flatten(view: NodeView): readonly Value[] {
  const x = view.tensor(0);
  const given = view.number("axis", 1);
  const axis = given === x.rank ? x.rank : normalizeAxis(given, x.rank, view.at);
  return [x.reshape([elements(x.shape.slice(0, axis), view.at), elements(x.shape.slice(axis), view.at)])];
}

export function squeeze(view: NodeView): readonly Value[] {
  const x = view.tensor(0);
  const axes = view.knownNumbers(1, "axes")?.map((axis) => normalizeAxis(axis, x.rank, view.at));
  const dropped = axes ?? x.shape.flatMap((dim, axis) => (dim === 1 ? [axis] : []));
  const wrong = dropped.find((axis) => x.shape[axis] !== 1);
  if (wrong !== undefined) {
    throw new TuttiError("SHAPE_MISMATCH", `${view.at}: axis ${wrong} of ${shapeToString(x.shape)} is not of size 1`);
  }
  return [x.reshape(x.shape.filter((_, axis) => !dropped.includes(axis)))];
}

export function slice(view: NodeView): readonly Value[] {
  const x = view.tensor(0);
  const starts = view.known(1, "starts").items;
  const ends = view.known(2, "ends").items;
  const axes = view.knownNumbers(3, "axes") ?? starts.map((_, i) => i);
  const steps = view.knownNumbers(4, "steps") ?? starts.map(() => 1);
  let result = x;
  for (const [i, given] of axes.entries()) {
    const axis = normalizeAxis(given, x.rank, view.at);
    const size = result.shape[axis]!;
    const [start, end, step] = [starts[i]!, ends[i]!, steps[i]!];
    const isWhole =
      step === 1 &&
      start === 0 &&
      (sameDim(end, size) || (!isBatch(end) && end >= (isBatch(size) ? 2 ** 31 - 1 : size)));
    if (isWhole) continue;
    if (isBatch(start) || isBatch(end)) {
      throw new TuttiError(
        "MIXES_SAMPLES",
        `${view.at}: takes ${shapeToString([start, end])} of axis ${axis} of ${shapeToString(x.shape)}, which depends on the number of samples`,
      );
    }
    result = result.slice(axis, start, end, step);
  }
  return [result];
}

export function split(view: NodeView): readonly Value[] {
  const x = view.tensor(0);
  const axis = normalizeAxis(view.number("axis", 0), x.rank, view.at);
  const size = x.shape[axis]!;
  if (isBatch(size)) {
    throw new TuttiError(
      "MIXES_SAMPLES",
      `${view.at}: splits axis ${axis} of ${shapeToString(x.shape)}, which counts samples`,
    );
  }
  const parts = view.number("num_outputs", view.outputCount);
  const even = Math.ceil(size / parts);
  const sizes =
    view.knownNumbers(1, "split") ??
    Array.from({ length: parts }, (_, i) => Math.max(0, Math.min(even, size - i * even)));
  if (sizes.length !== view.outputCount || sizes.reduce((a, b) => a + b, 0) !== size) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${view.at}: parts [${sizes.join(",")}] of ${size} entries for ${view.outputCount} outputs`,
    );
  }
  let start = 0;
  return sizes.map((part) => {
    start += part;
    return part === size ? x : x.slice(axis, start - part, start);
  });
}
