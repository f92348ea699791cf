import { TuttiError } from "../errors/index.ts";
import { batchAxis, elements, isBatch, shapeToString, type Tensor } from "../graph/index.ts";
import { fanInUniform, type Init } from "./init.ts";
import { type Module, module, type ParameterSpec } from "./module.ts";
import { requireSize } from "./sizes.ts";

export interface LinearOptions {
  /** Adds a bias [out]; true by default. */
  readonly bias?: boolean;
  /** First values; both U(±1/√in) by default, as in PyTorch. */
  readonly init?: { readonly weight?: Init; readonly bias?: Init };
  readonly trainable?: boolean;
}

/**
 * x·Wᵀ + b over the last axis: float32 [..., in] → [..., out]. Parameters as in PyTorch: weight [out, in], bias [out].
 *
 * Throws BAD_OPTION for sizes that are no positive integers. Calling it throws SHAPE_MISMATCH for another last axis or dtype.
 */
export function linear(inFeatures: number, outFeatures: number, options: LinearOptions = {}): Module {
  requireSize("nn.linear: in", inFeatures);
  requireSize("nn.linear: out", outFeatures);
  const { bias = true, init = {}, trainable = true } = options;
  const spec = (shape: readonly number[], own?: Init): ParameterSpec => ({
    shape,
    init: own ?? fanInUniform(inFeatures),
    trainable,
  });
  return module({
    kind: "linear",
    options: { in: inFeatures, out: outFeatures, bias },
    parameters: {
      weight: spec([outFeatures, inFeatures], init.weight),
      ...(bias && { bias: spec([outFeatures], init.bias) }),
    },
    forward(self, x: Tensor) {
      if (x.rank < 2 || x.shape.at(-1) !== inFeatures || x.dtype !== "float32") {
        throw new TuttiError(
          "SHAPE_MISMATCH",
          `${x.graph.at("linear")}: expected float32[…,${inFeatures}] for its weight [${outFeatures},${inFeatures}], found ${x.dtype}${shapeToString(x.shape)}${hint(x, inFeatures)}`,
        );
      }
      const weights = self.parameter("weight");
      // Behind another axis the samples are not consecutive rows.
      if (batchAxis(x.shape) > 0) {
        const y = x.matmul(weights.transpose());
        return bias ? y.add(self.parameter("bias")) : y;
      }
      const rows = x.rank === 2 ? x : x.reshape([elements(x.shape.slice(0, -1), x.graph.at("linear")), inFeatures]);
      const y = rows.gemm(weights, { transB: true, addend: bias ? self.parameter("bias") : null });
      return x.rank === 2 ? y : y.reshape([...x.shape.slice(0, -1), outFeatures]);
    },
  });
}

function hint(x: Tensor, inFeatures: number): string {
  if (x.dtype !== "float32") return '; use .cast("float32")';
  const perSample = x.shape.slice(1).reduce<number>((product, dim) => product * (isBatch(dim) ? Number.NaN : dim), 1);
  return x.rank > 2 && perSample === inFeatures ? "; use .flatten(1)" : "";
}
