import type { Tensor } from "../graph/index.ts";
import { type Module, type ModuleOptions, module } from "./module.ts";

/** max(x, 0), any shape. */
export function relu(): Module {
  return activation("relu", (x) => x.relu());
}

/** x > 0 ? x : slope·x, any shape. */
export function leakyRelu(slope = 0.01): Module {
  return activation("leakyRelu", (x) => x.leakyRelu(slope), { slope });
}

/** x > 0 ? x : slope·x with one learned slope, or one for each channel of [N, C, …], as torch.nn.PReLU: parameter weight. */
export function prelu(channels = 1, slope = 0.25): Module {
  return module({
    kind: "prelu",
    options: { channels, slope },
    parameters: { weight: { shape: [channels], init: { kind: "constant", value: slope }, trainable: true } },
    forward(self, x: Tensor) {
      const weight = self.parameter("weight");
      return x.prelu(channels === 1 ? weight : weight.reshape([channels, ...x.shape.slice(2).map(() => 1)]));
    },
  });
}

/** x > 0 ? x : α·(eˣ − 1), any shape. */
export function elu(alpha = 1): Module {
  return activation("elu", (x) => x.elu(alpha), { alpha });
}

/** Self-normalising ELU (Klambauer et al. 2017), any shape. */
export function selu(): Module {
  return activation("selu", (x) => x.selu());
}

/** x·Φ(x), exact by default, or approximated by tanh (Hendrycks and Gimpel 2016), any shape. */
export function gelu(approximate: "none" | "tanh" = "none"): Module {
  return activation("gelu", (x) => x.gelu(approximate), { approximate });
}

/** x·sigmoid(x), any shape. */
export function silu(): Module {
  return activation("silu", (x) => x.mul(x.sigmoid()));
}

/** x·tanh(softplus(x)), any shape. */
export function mish(): Module {
  return activation("mish", (x) => x.mish());
}

/** log(1 + eˣ), any shape. */
export function softplus(): Module {
  return activation("softplus", (x) => x.softplus());
}

/** x/(1 + |x|), any shape. */
export function softsign(): Module {
  return activation("softsign", (x) => x.softsign());
}

/** x/6 + 1/2 within [0, 1], any shape. */
export function hardSigmoid(): Module {
  return activation("hardSigmoid", (x) => x.hardSigmoid());
}

/** x·hardSigmoid(x), any shape. */
export function hardSwish(): Module {
  return activation("hardSwish", (x) => x.hardSwish());
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

function activation(kind: string, apply: (x: Tensor) => Tensor, options: ModuleOptions = {}): Module {
  return module({ kind, options, forward: (_self, x: Tensor) => apply(x) });
}
