import { fillInitial } from "../nn/init.ts";
import type { ModuleTree } from "../nn/module-tree.ts";
import { randomStream } from "../random/index.ts";
import { type FlatLayout, flatLayout } from "../step/index.ts";

/** Where the parameters of a run lie in flat float32 buffers: those that train first, each kind in order of declaration. */
export interface ParameterLayout {
  readonly all: FlatLayout;
  /** A prefix of `all`: what gradients and the optimizer cover. */
  readonly trainable: FlatLayout;
}

export function parameterLayout(tree: ModuleTree): ParameterLayout {
  const named = tree.parameters.map(({ path, spec }) => ({ name: path, shape: spec.shape, trainable: spec.trainable }));
  const trainable = named.filter((parameter) => parameter.trainable);
  const frozen = named.filter((parameter) => !parameter.trainable);
  return { all: flatLayout([...trainable, ...frozen]), trainable: flatLayout(trainable) };
}

/**
 * First values in a new buffer of the layout, padding zero. Each parameter has a random stream of its own, by seed and
 * path: adding a layer does not change the others.
 */
export function initialParameters(tree: ModuleTree, layout: FlatLayout, seed: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(layout.totalFloats);
  const specs = new Map(tree.parameters.map(({ path, spec }) => [path, spec]));
  for (const { name, offset, length } of layout.entries) {
    fillInitial(values.subarray(offset, offset + length), specs.get(name)!.init, randomStream(seed, "init", name));
  }
  return values;
}

/** A view of each parameter in a flat buffer, by name. */
export function parameterViews(layout: FlatLayout, values: Float32Array): ReadonlyMap<string, Float32Array> {
  return new Map(layout.entries.map(({ name, offset, length }) => [name, values.subarray(offset, offset + length)]));
}
