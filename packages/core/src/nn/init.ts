import type { RandomStream } from "../random/index.ts";

/** How a parameter's first values are made; plain data. */
export type Init =
  | { readonly kind: "zeros" }
  | { readonly kind: "ones" }
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "uniform"; readonly low: number; readonly high: number }
  | { readonly kind: "normal"; readonly mean: number; readonly std: number };

/** U(±1/√fanIn): what PyTorch's Linear and Conv do by default, as kaiming_uniform_(a = √5) for the weight. */
export function fanInUniform(fanIn: number): Init {
  const bound = 1 / Math.sqrt(fanIn);
  return { kind: "uniform", low: -bound, high: bound };
}

/** Fills `out` (float32) with first values; `stream` is the parameter's own. */
export function fillInitial(out: Float32Array, init: Init, stream: RandomStream): void {
  switch (init.kind) {
    case "zeros":
      out.fill(0);
      break;
    case "ones":
      out.fill(1);
      break;
    case "constant":
      out.fill(init.value);
      break;
    case "uniform":
      stream.fillUniform(out, init.low, init.high);
      break;
    case "normal":
      stream.fillNormal(out, init.mean, init.std);
      break;
  }
}
