import { elementCount, staticShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { extent, type Window } from "./window.ts";

/**
 * A transposed convolution makes Ci·kernel floats for each place of a sample and adds them up: faster as long as they stay
 * in a core's cache (measured: 0.3-0.95 of the other way's time below, 1.05-1.4 above).
 */
const cachedFloats = 256 * 1024;

/**
 * d loss/d x of y = conv(x, w), from dy [N,Co,…places] and w [Co,Ci/groups,…kernel]: [N,Ci,…sizes]. It is a transposed
 * convolution with w; at stride 1 also a convolution with w, its kernel turned around and its channels swapped, which is
 * faster for large images, for channels by themselves and in one dimension.
 */
export function dataGradient(dy: Tensor, w: Tensor, window: Window, groups: number, sizes: readonly number[]): Tensor {
  const { kernel, strides, dilations, begin, end } = window;
  const margins = [...begin, ...end].map((pad, i) => extent(window, i % kernel.length) - 1 - pad);
  const columns = elementCount([...w.shape.slice(1), ...dy.shape.slice(2)]);
  const isFaster = groups > 1 || kernel.length === 1 || columns > cachedFloats;
  if (isFaster && strides.every((stride) => stride === 1) && margins.every((margin) => margin >= 0)) {
    return dy.conv(turned(w, groups), { pads: margins, dilations, groups });
  }
  const outputPadding = sizes.map((size, axis) => {
    const places = Number(dy.shape[axis + 2]);
    return size - (strides[axis]! * (places - 1) + extent(window, axis) - begin[axis]! - end[axis]!);
  });
  return dy.convTranspose(w, { strides, dilations, pads: [...begin, ...end], outputPadding, groups });
}

/** [Co,Ci/g,…kernel] to [Ci,Co/g,…kernel] with the kernel read backwards. */
export function turned(w: Tensor, groups: number): Tensor {
  const [out, inner, ...kernel] = staticShape(w.shape);
  const backwards = kernel.reduce(
    (from, size, axis) => (size === 1 ? from : from.slice(axis + 2, -1, -size - 1, -1)),
    w,
  );
  const axes = kernel.map((_, axis) => axis);
  if (groups === 1) return backwards.transpose([1, 0, ...axes.map((axis) => axis + 2)]);
  return backwards
    .reshape([groups, out! / groups, inner!, ...kernel])
    .transpose([0, 2, 1, ...axes.map((axis) => axis + 3)])
    .reshape([inner! * groups, out! / groups, ...kernel]);
}

/**
 * d loss/d w of y = conv(x, w), from x [N,Ci,…sizes] and dy [N,Co,…places]: [Co,Ci/groups,…kernel]. It is one convolution,
 * of x by dy, in which the samples are the channels to sum over, and stride and dilation change places.
 */
export function weightGradient(x: Tensor, dy: Tensor, window: Window, groups: number): Tensor {
  const { kernel, strides, dilations, begin } = window;
  // Entries behind the last place of the window are not read.
  let image = x;
  const end = kernel.map((size, axis) => {
    const read = strides[axis]! * (Number(dy.shape[axis + 2]) - 1) + (size - 1) * dilations[axis]! + 1;
    const rest = read - Number(x.shape[axis + 2]) - begin[axis]!;
    if (rest < 0) image = image.slice(axis + 2, 0, rest);
    return Math.max(0, rest);
  });
  const read = { ...window, end };
  const isPoint = kernel.every((size, axis) => size === 1 && begin[axis] === 0 && end[axis] === 0);
  if (isPoint && groups === 1) return ofPoints(image, dy, read);
  if (groups > 1 && groups === x.shape[1] && groups === dy.shape[1]) return byChannel(image, dy, read);
  const last = kernel.length - 1;
  if (dilations[last] === 1) return overChannels(image, dy, read, groups);
  return strides[last] === 1 ? byPhases(image, dy, read, groups) : swapped(image, dy, read, groups);
}

/** 2, 3, … for the axes behind samples and channels; others count from elsewhere. */
function spatialAxes({ kernel }: Window, first = 2): readonly number[] {
  return kernel.map((_, axis) => axis + first);
}

/** A kernel of one entry: a product of matrices, with samples and places in the sum. */
function ofPoints(x: Tensor, dy: Tensor, window: Window): Tensor {
  const image = window.strides.reduce(
    (from, stride, axis) => (stride === 1 ? from : from.slice(axis + 2, 0, undefined, stride)),
    x,
  );
  const [samples, out, ...places] = staticShape(dy.shape) as [number, number, ...number[]];
  const inner = Number(x.shape[1]);
  const count = places.reduce((product, size) => product * size, samples);
  const rows = dy.transpose([1, 0, ...spatialAxes(window)]).reshape([out, count]);
  const columns = image.transpose([0, ...spatialAxes(window), 1]).reshape([count, inner]);
  return rows.gemm(columns).reshape([out, inner, ...window.kernel]);
}

/**
 * A row of dy's matrix longer than these many places no longer stays in a core's cache while the product goes over x; then each
 * sample is a product of its own (measured: 0.78-0.92 of the time above, 1.0-1.07 below), if it has places enough to outweigh
 * the sum over samples that follows (1.3-2.4 with 49 and 196 of them).
 */
const cachedPlaces = 16 * 1024;
const leastPlaces = 512;

/**
 * With the last axis undilated, channels can lie next to it in one axis, as in a channels-last image, so that the kernel
 * slides over channels too and the matrix product inside is large. Samples are channels to sum over, or groups.
 */
function overChannels(x: Tensor, dy: Tensor, window: Window, groups: number): Tensor {
  const { kernel, strides, dilations, begin, end } = window;
  const [samples, channels, ...sizes] = staticShape(x.shape) as [number, number, ...number[]];
  const inner = channels / groups;
  const last = kernel.length - 1;
  const wide = (list: readonly number[]): readonly number[] => [...list.slice(0, last), list[last]! * inner];
  const attributes = { strides: dilations, dilations: wide(strides), pads: [...wide(begin), ...wide(end)] };
  const places = staticShape(dy.shape.slice(2));
  const perSample = elementCount(places);
  if (perSample >= leastPlaces && samples * perSample > cachedPlaces) {
    const channelsLast =
      groups === 1
        ? x.transpose([0, ...spatialAxes(window), 1])
        : x.reshape([samples, groups, inner, ...sizes]).transpose([0, 1, ...spatialAxes(window, 3), 2]);
    const out = Number(dy.shape[1]);
    const made = channelsLast
      .reshape([1, samples * groups, ...wide(sizes)])
      .conv(dy.reshape([samples * out, 1, ...places]), { ...attributes, groups: samples * groups });
    return channelsInFront(made.reshape([samples, out, ...kernel, inner]).sum(0), window);
  }
  // Of one group the samples are in front already; moving a single axis takes the engine a seventh of the time.
  const channelsLast =
    groups === 1
      ? x.transpose([0, ...spatialAxes(window), 1])
      : x.reshape([samples, groups, inner, ...sizes]).transpose([1, 0, ...spatialAxes(window, 3), 2]);
  const made = channelsLast
    .reshape([1, groups * samples, ...wide(sizes)])
    .conv(dy.transpose([1, 0, ...spatialAxes(window)]), { ...attributes, groups });
  return channelsInFront(made.reshape([Number(dy.shape[1]), ...kernel, inner]), window);
}

/** [Co,…kernel,Ci] to [Co,Ci,…kernel] */
function channelsInFront(weight: Tensor, window: Window): Tensor {
  return weight.transpose([0, window.kernel.length + 1, ...spatialAxes(window, 1)]);
}

/** Dilated by d along the last axis, at stride 1: every d-th entry makes an undilated image of its own. */
function byPhases(x: Tensor, dy: Tensor, window: Window, groups: number): Tensor {
  const last = window.kernel.length - 1;
  const phases = window.dilations[last]!;
  const places = Math.ceil(Number(dy.shape.at(-1)) / phases);
  const split = (tensor: Tensor, before: number, perPhase: number): Tensor => {
    const [samples, channels, ...sizes] = staticShape(tensor.shape) as [number, number, ...number[]];
    const outer = sizes.slice(0, last);
    const after = phases * perPhase - before - sizes[last]!;
    const pads = [before, after].flatMap((count) => [...tensor.shape.slice(1).map(() => 0), count]);
    return tensor
      .pad(pads)
      .reshape([samples, channels, ...outer, perPhase, phases])
      .transpose([0, last + 3, 1, ...spatialAxes(window)])
      .reshape([samples * phases, channels, ...outer, perPhase]);
  };
  const image = split(x, window.begin[last]!, places + window.kernel[last]! - 1);
  const only = (list: readonly number[], value: number): readonly number[] => [...list.slice(0, last), value];
  const undilated = {
    ...window,
    dilations: only(window.dilations, 1),
    begin: only(window.begin, 0),
    end: only(window.end, 0),
  };
  return overChannels(image, split(dy, 0, places), undilated, groups);
}

/** Channels of the largest block in which the engine computes convolutions of single channels (block-convolutions.ts). */
const blockChannels = 16;

/**
 * Each channel by itself: a convolution for each sample and channel, in blocks of channels; products of matrices of one row where
 * there are no blocks, which sums of products beat (measured with 64 channels: 3.2 in blocks, 15.4 without, 10.0 by sums).
 */
function byChannel(x: Tensor, dy: Tensor, window: Window): Tensor {
  const { kernel, strides, dilations, begin, end } = window;
  const [samples, channels, ...places] = staticShape(dy.shape) as [number, number, ...number[]];
  if (strides.some((stride) => stride !== 1) || channels % blockChannels === 0) {
    const each = x.reshape([1, samples * channels, ...x.shape.slice(2)]);
    const filters = dy.reshape([samples * channels, 1, ...places]);
    const pads = [...begin, ...end];
    const made = each.conv(filters, { strides: dilations, dilations: strides, pads, groups: samples * channels });
    return made.reshape([samples, channels, 1, ...kernel]).sum(0);
  }
  const axes = spatialAxes(window);
  const padded = x.pad([0, 0, ...begin, 0, 0, ...end]);
  const taps = kernel.reduce<readonly Tensor[]>(
    (parts, size, axis) =>
      parts.flatMap((part) =>
        Array.from({ length: size }, (_, tap) => {
          const start = tap * dilations[axis]!;
          return part.slice(axis + 2, start, start + places[axis]!);
        }),
      ),
    [padded],
  );
  const [first, ...rest] = taps.map((tap) =>
    tap
      .mul(dy)
      .sum([0, ...axes])
      .reshape([channels, 1]),
  );
  return first!.concat(rest, 1).reshape([channels, 1, ...kernel]);
}

/** Samples as channels and channels as samples: right for every window. */
function swapped(x: Tensor, dy: Tensor, window: Window, groups: number): Tensor {
  const { strides, dilations, begin, end } = window;
  const [samples, channels, ...sizes] = staticShape(x.shape) as [number, number, ...number[]];
  const made = x
    .reshape([samples, groups, channels / groups, ...sizes])
    .transpose([2, 1, 0, ...spatialAxes(window, 3)])
    .reshape([channels / groups, groups * samples, ...sizes])
    .conv(dy.transpose([1, 0, ...spatialAxes(window)]), {
      strides: dilations,
      dilations: strides,
      pads: [...begin, ...end],
      groups,
    });
  return made.transpose([1, 0, ...spatialAxes(window)]);
}
