import type { Tensor } from "../graph/index.ts";
import { type Module, module } from "./module.ts";

/** max(x, 0), any shape. */
export function relu(): Module {
  return activation("relu", (x) => x.relu());
}

/** 1/(1 + exp(−x)), any shape. */
export function sigmoid(): Module {
  return activation("sigmoid", (x) => x.sigmoid());
}

/** Hyperbolic tangent, any shape. */
export function tanh(): Module {
  return activation("tanh", (x) => x.tanh());
}

/** exp(x)/Σ exp(x) along an axis, the last one by default. */
export function softmax(axis = -1): Module {
  return activation("softmax", (x) => x.softmax(axis), { axis });
}

/** log(softmax(x)) along an axis, the last one by default; right for large x. */
export function logSoftmax(axis = -1): Module {
  return activation("logSoftmax", (x) => x.logSoftmax(axis), { axis });
}

/** [N, a, b, …] → [N, a·b·…]: joins the axes from `start` on. */
export function flatten(start = 1): Module {
  return activation("flatten", (x) => x.flatten(start), { start });
}

function activation(
  kind: string,
  apply: (x: Tensor) => Tensor,
  options: Readonly<Record<string, number>> = {},
): Module {
  return module({ kind, options, forward: (_self, x: Tensor) => apply(x) });
}
