import { TuttiError } from "../errors/index.ts";
import { type ComputeMemory, Draws } from "../kernels/index.ts";
import { fillInitial, type Init } from "../nn/init.ts";
import type { ModuleTree } from "../nn/module-tree.ts";
import { type FlatLayout, flatLayout, type LayoutEntry } from "../step/index.ts";
import { suggestion } from "./nearest.ts";

/** Where the state of a model lies in flat float32 buffers: what trains, then buffers, then what is frozen, each kind in order of declaration. */
export interface ParameterLayout {
  readonly all: FlatLayout;
  /** A prefix of `all`: what a step changes, parameters that train and buffers. Its sums are laid out alike. */
  readonly updated: FlatLayout;
  /** A prefix of `updated`: what gradients and the optimizer cover. */
  readonly trainable: FlatLayout;
  readonly buffers: readonly LayoutEntry[];
}

/**
 * @param freeze names of parameters that are not to train, "*" standing for any text ("encoder.*").
 * @throws TuttiError BAD_OPTION for a pattern that no parameter has.
 */
export function parameterLayout(tree: ModuleTree, freeze: readonly string[] = []): ParameterLayout {
  const paths = tree.parameters.map(({ path }) => path);
  const frozenPaths = new Set(freeze.flatMap((pattern) => matching(pattern, paths)));
  const named = tree.parameters.map(({ path, spec }) => ({
    name: path,
    shape: spec.shape,
    trains: spec.trainable && !frozenPaths.has(path),
  }));
  const trainable = named.filter(({ trains }) => trains);
  const frozen = named.filter(({ trains }) => !trains);
  const buffers = tree.buffers.map(({ path, spec }) => ({ name: path, shape: spec.shape }));
  const all = flatLayout([...trainable, ...buffers, ...frozen]);
  return {
    all,
    updated: flatLayout([...trainable, ...buffers]),
    trainable: flatLayout(trainable),
    buffers: all.entries.slice(trainable.length, trainable.length + buffers.length),
  };
}

function matching(pattern: string, paths: readonly string[]): readonly string[] {
  const parts = pattern.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const expression = new RegExp(`^${parts.join(".*")}$`);
  const found = paths.filter((path) => expression.test(path));
  if (found.length > 0) return found;
  throw new TuttiError("BAD_OPTION", `freeze: no parameter is named "${pattern}"; ${suggestion(pattern, paths)}`);
}

/**
 * First values in a new buffer of the layout, padding zero. Each parameter has a random stream of its own, by seed and
 * path: adding a layer does not change the others.
 * @param memory of which some is taken to draw in.
 * @param given values by name that replace the model's own.
 */
export function initialParameters(
  tree: ModuleTree,
  layout: FlatLayout,
  seed: number,
  memory: ComputeMemory,
  given: ReadonlyMap<string, Float32Array> = new Map(),
): Float32Array<ArrayBuffer> {
  const values = new Float32Array(layout.totalFloats);
  const draws = new Draws(memory);
  const inits = new Map<string, Init>([...tree.parameters, ...tree.buffers].map(({ path, spec }) => [path, spec.init]));
  for (const { name, shape, offset, length } of layout.entries) {
    const own = given.get(name);
    if (own !== undefined) values.set(own, offset);
    else
      fillInitial(values.subarray(offset, offset + length), inits.get(name)!, draws.stream(seed, "init", name), shape);
  }
  return values;
}

/** A view of each parameter and buffer in a flat buffer, by name. */
export function parameterViews(layout: FlatLayout, values: Float32Array): ReadonlyMap<string, Float32Array> {
  return new Map(layout.entries.map(({ name, offset, length }) => [name, values.subarray(offset, offset + length)]));
}
