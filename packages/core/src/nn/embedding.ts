import { TuttiError } from "../errors/index.ts";
import { shapeToString, type Tensor } from "../graph/index.ts";
import type { Init } from "./init.ts";
import { type Module, module } from "./module.ts";
import { requireSize } from "./sizes.ts";

export interface EmbeddingOptions {
  /** Index whose row starts as zeros and never trains. */
  readonly paddingIdx?: number;
  /** First values; N(0, 1) by default, as in PyTorch. */
  readonly init?: { readonly weight?: Init };
}

/**
 * A vector for each index: integers of any shape → float32 […, dim], as torch.nn.Embedding. Parameter weight [count, dim].
 * Indices out of range are an error when the batch is read (a column) or computed.
 */
export function embedding(count: number, dim: number, options: EmbeddingOptions = {}): Module {
  requireSize("nn.embedding: count", count);
  requireSize("nn.embedding: dim", dim);
  const { paddingIdx, init = {} } = options;
  if (paddingIdx !== undefined && !(Number.isInteger(paddingIdx) && paddingIdx >= 0 && paddingIdx < count)) {
    throw new TuttiError("BAD_OPTION", `nn.embedding: paddingIdx: expected 0 … ${count - 1}, found ${paddingIdx}`);
  }
  const zeroRow = paddingIdx === undefined ? {} : { zeroRow: paddingIdx };
  return module({
    kind: "embedding",
    options: { count, dim, paddingIdx: paddingIdx ?? null },
    parameters: {
      weight: {
        shape: [count, dim],
        init: init.weight ?? { kind: "normal", mean: 0, std: 1, ...zeroRow },
        trainable: true,
      },
    },
    forward(self, indices: Tensor) {
      if (!/^u?int/.test(indices.dtype)) {
        throw new TuttiError(
          "SHAPE_MISMATCH",
          `${indices.graph.at("embedding")}: expected integer indices, found ${indices.dtype}${shapeToString(indices.shape)}`,
        );
      }
      const wide = indices.dtype === "int32" ? indices : indices.cast("int64");
      const rows = self.parameter("weight").gather(wide);
      if (paddingIdx === undefined) return rows;
      return wide.equal(paddingIdx).unsqueeze(wide.rank).where(rows.stopGradient(), rows);
    },
  });
}
