import { TuttiError } from "../errors/index.ts";
import { isBatch, shapeToString, type Tensor } from "../graph/index.ts";
import { dropped } from "./dropout.ts";
import { linear } from "./linear.ts";
import { type Module, module, type ParameterSpec } from "./module.ts";
import { requireProbability, requireSize } from "./sizes.ts";

export interface AttentionOptions {
  /** Of attention weights; 0 by default. */
  readonly dropout?: number;
  /** Adds biases to all projections; true by default. */
  readonly bias?: boolean;
  /** Position t sees positions 0 … t only; false by default. */
  readonly causal?: boolean;
}

export interface AttentionInputs {
  /** What is attended to, float32 [N, S, E]; the query itself by default. */
  readonly key?: Tensor;
  /** Float32 [N, S, E]; the key by default. */
  readonly value?: Tensor;
  /** bool or integer [N, S]: true or 1 for positions that are padding and must not be seen (PyTorch's key_padding_mask). */
  readonly padding?: Tensor;
}

/**
 * Multi-head attention (Vaswani et al. 2017), float32 [N, T, E] → [N, T, E], as torch.nn.MultiheadAttention with
 * batch_first: parameters in_proj_weight [3E, E], in_proj_bias [3E], out_proj.weight [E, E], out_proj.bias [E]. A position
 * that may see nothing gets the mean of all values, where PyTorch gives NaN.
 */
export function multiHeadAttention(
  embed: number,
  heads: number,
  options: AttentionOptions = {},
): Module<readonly [query: Tensor, inputs?: AttentionInputs]> {
  const kind = "multiHeadAttention";
  requireSize(`nn.${kind}: embed`, embed);
  requireSize(`nn.${kind}: heads`, heads);
  const { dropout = 0, bias = true, causal = false } = options;
  requireProbability(`nn.${kind}: dropout`, dropout);
  if (embed % heads !== 0) {
    throw new TuttiError("BAD_OPTION", `nn.${kind}: heads: expected a divisor of ${embed}, found ${heads}`);
  }
  const zeros = { kind: "zeros" } as const;
  const projection: Readonly<Record<string, ParameterSpec>> = {
    in_proj_weight: {
      shape: [3 * embed, embed],
      init: { kind: "scaled", distribution: "uniform", fan: "average", gain: 1 },
      trainable: true,
    },
    ...(bias && { in_proj_bias: { shape: [3 * embed], init: zeros, trainable: true } }),
  };
  return module({
    kind,
    options: { embed, heads, dropout, bias, causal },
    parameters: projection,
    children: { out_proj: linear(embed, embed, { bias, init: { bias: zeros } }) },
    forward(self, query: Tensor, { key = query, value = key, padding }: AttentionInputs = {}) {
      for (const tensor of [query, key, value]) expectSequence(kind, tensor, embed);
      const weight = self.parameter("in_proj_weight");
      const addend = bias ? self.parameter("in_proj_bias") : null;
      const part = (first: number, count: number) => ({
        weight: count === 3 ? weight : weight.slice(0, first * embed, (first + count) * embed),
        addend: addend === null || count === 3 ? addend : addend.slice(0, first * embed, (first + count) * embed),
      });
      const project = (x: Tensor, first: number, count: number): readonly Tensor[] => {
        const { weight: rows, addend: offsets } = part(first, count);
        const y = x.reshape([-1, embed]).gemm(rows, { transB: true, addend: offsets });
        return y.split(count, 1).map((piece) => piece.reshape([x.shape[0]!, x.shape[1]!, heads, embed / heads]));
      };
      const [q, k, v] =
        key === query && value === query
          ? project(query, 0, 3)
          : [
              ...project(query, 0, 1),
              ...(key === value ? project(key, 1, 2) : [...project(key, 1, 1), ...project(value, 2, 1)]),
            ];
      const scale = 1 / Math.sqrt(embed / heads);
      // [N, heads, T, S]
      const scores = q!
        .mul(scale)
        .transpose([0, 2, 1, 3])
        .matmul(k!.transpose([0, 2, 3, 1]));
      const masked = hide(scores, causal, padding);
      const attention = self.training ? dropped(masked.softmax(-1), dropout) : masked.softmax(-1);
      const mixed = attention.matmul(v!.transpose([0, 2, 1, 3])).transpose([0, 2, 1, 3]);
      return self.children.out_proj(mixed.reshape(query.shape));
    },
  });
}

/** What is added to hidden scores: exp of it is exactly 0, not a denormal, beside any score in use. */
const hidden = -1e9;

function hide(scores: Tensor, causal: boolean, padding: Tensor | undefined): Tensor {
  const [samples, , rows, columns] = scores.shape;
  let result = scores;
  if (causal) {
    const [height, width] = [Number(rows), Number(columns)];
    const mask = Float32Array.from({ length: height * width }, (_, i) =>
      i % width > Math.floor(i / width) ? hidden : 0,
    );
    result = result.add(scores.graph.constant(mask, [height, width], "float32"));
  }
  if (padding !== undefined) {
    const fits = padding.rank === 2 && isBatch(padding.shape[0]) && padding.shape[1] === columns;
    if (!fits || !/^(bool|u?int)/.test(padding.dtype)) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${scores.graph.at("multiHeadAttention")}: padding: expected bool or integers ${shapeToString([samples!, columns!])}, found ${padding.dtype}${shapeToString(padding.shape)}`,
      );
    }
    const isPadding = padding.dtype === "bool" ? padding : padding.cast("int64").equal(0).not();
    result = result.add(isPadding.cast("float32").mul(hidden).reshape([samples!, 1, 1, columns!]));
  }
  return result;
}

function expectSequence(kind: string, x: Tensor, embed: number): void {
  if (x.rank === 3 && isBatch(x.shape[0]) && x.shape[2] === embed && x.dtype === "float32") return;
  throw new TuttiError(
    "SHAPE_MISMATCH",
    `${x.graph.at(kind)}: expected float32[N,T,${embed}], found ${x.dtype}${shapeToString(x.shape)}`,
  );
}
