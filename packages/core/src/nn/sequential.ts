import type { Tensor } from "../graph/index.ts";
import { type Module, module } from "./module.ts";

/**
 * Applies modules one after the other, in order of declaration. A list names its children 0, 1, 2 …
 * (PyTorch's nn.Sequential).
 */
export function sequential<const Children extends Readonly<Record<string, Module>> | readonly Module[]>(
  children: Children,
): Module<readonly [x: Tensor], Tensor, SequentialChildren<Children>> {
  // Object.entries of a list has the indices as names: exactly the type above.
  const named = Object.fromEntries(Object.entries(children)) as SequentialChildren<Children>;
  const order: readonly Module[] = Object.values(named);
  return module({
    kind: "sequential",
    children: named,
    forward: (_self, x: Tensor) => order.reduce((value, child) => child(value), x),
  });
}

export type SequentialChildren<Children> = Children extends readonly Module[]
  ? Readonly<Record<string, Module>>
  : Children extends Readonly<Record<string, Module>>
    ? Children
    : never;
