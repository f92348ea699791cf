import type { Tensor } from "../graph/index.ts";
import { multiHeadAttention } from "./attention.ts";
import { dropped } from "./dropout.ts";
import { linear } from "./linear.ts";
import { type Module, module } from "./module.ts";
import { layerNorm } from "./normalization.ts";
import { requireProbability } from "./sizes.ts";

export interface TransformerLayerOptions {
  /** Width of the feed-forward part; 2048 by default. */
  readonly feedForward?: number;
  /** Of attention weights and of what every part adds; 0.1 by default. */
  readonly dropout?: number;
  /** "relu" by default. */
  readonly activation?: "relu" | "gelu";
  /** Normalise what goes into a part instead of what comes out; false by default. */
  readonly normFirst?: boolean;
  /** ε of the normalisations; 1e-5 by default. */
  readonly epsilon?: number;
  /** Positions see those before them only; false by default, true for the decoder. */
  readonly causal?: boolean;
}

/**
 * Self-attention and a feed-forward network, each with a residual (Vaswani et al. 2017), float32 [N, T, E] → [N, T, E], as
 * torch.nn.TransformerEncoderLayer with batch_first: children self_attn, linear1, linear2, norm1, norm2.
 */
export function transformerEncoderLayer(
  embed: number,
  heads: number,
  options: TransformerLayerOptions = {},
): Module<readonly [x: Tensor, inputs?: { readonly padding?: Tensor }]> {
  const settings = settingsOf("transformerEncoderLayer", options);
  const { feedForward, dropout, normFirst, epsilon, causal = false } = settings;
  return module({
    kind: "transformerEncoderLayer",
    options: { embed, heads, ...settings, causal },
    children: {
      self_attn: multiHeadAttention(embed, heads, { dropout, causal }),
      linear1: linear(embed, feedForward),
      linear2: linear(feedForward, embed),
      norm1: layerNorm(embed, { epsilon }),
      norm2: layerNorm(embed, { epsilon }),
    },
    forward({ children, training }, x: Tensor, inputs: { readonly padding?: Tensor } = {}) {
      const drop = (y: Tensor): Tensor => (training ? dropped(y, dropout) : y);
      const attend = (y: Tensor): Tensor => drop(children.self_attn(y, inputs));
      const feed = (y: Tensor): Tensor => drop(children.linear2(drop(activate(children.linear1(y), settings))));
      const between = around(normFirst, children.norm1, attend, x);
      return around(normFirst, children.norm2, feed, between);
    },
  });
}

export interface DecoderInputs {
  /** What the encoder gave, float32 [N, S, E]. */
  readonly memory: Tensor;
  /** Padding of the decoder's own positions, as in `multiHeadAttention`. */
  readonly padding?: Tensor;
  readonly memoryPadding?: Tensor;
}

/**
 * As the encoder layer, with attention to an encoder's result in between, as torch.nn.TransformerDecoderLayer with
 * batch_first: children self_attn, multihead_attn, linear1, linear2, norm1, norm2, norm3. Causal by default.
 */
export function transformerDecoderLayer(
  embed: number,
  heads: number,
  options: TransformerLayerOptions = {},
): Module<readonly [x: Tensor, inputs: DecoderInputs]> {
  const settings = settingsOf("transformerDecoderLayer", options);
  const { feedForward, dropout, normFirst, epsilon, causal = true } = settings;
  return module({
    kind: "transformerDecoderLayer",
    options: { embed, heads, ...settings, causal },
    children: {
      self_attn: multiHeadAttention(embed, heads, { dropout, causal }),
      multihead_attn: multiHeadAttention(embed, heads, { dropout }),
      linear1: linear(embed, feedForward),
      linear2: linear(feedForward, embed),
      norm1: layerNorm(embed, { epsilon }),
      norm2: layerNorm(embed, { epsilon }),
      norm3: layerNorm(embed, { epsilon }),
    },
    forward({ children, training }, x: Tensor, { memory, padding, memoryPadding }: DecoderInputs) {
      const drop = (y: Tensor): Tensor => (training ? dropped(y, dropout) : y);
      const own = padding === undefined ? {} : { padding };
      const other = { key: memory, ...(memoryPadding !== undefined && { padding: memoryPadding }) };
      const attend = (y: Tensor): Tensor => drop(children.self_attn(y, own));
      const lookUp = (y: Tensor): Tensor => drop(children.multihead_attn(y, other));
      const feed = (y: Tensor): Tensor => drop(children.linear2(drop(activate(children.linear1(y), settings))));
      const first = around(normFirst, children.norm1, attend, x);
      const second = around(normFirst, children.norm2, lookUp, first);
      return around(normFirst, children.norm3, feed, second);
    },
  });
}

function settingsOf(kind: string, options: TransformerLayerOptions) {
  const { feedForward = 2048, dropout = 0.1, activation = "relu", normFirst = false, epsilon = 1e-5 } = options;
  requireProbability(`nn.${kind}: dropout`, dropout);
  const causal = options.causal === undefined ? {} : { causal: options.causal };
  return { feedForward, dropout, activation, normFirst, epsilon, ...causal };
}

function activate(x: Tensor, { activation }: { readonly activation: "relu" | "gelu" }): Tensor {
  return activation === "gelu" ? x.gelu() : x.relu();
}

/** A part with its residual and normalisation. */
function around(normFirst: boolean, norm: Module, part: (x: Tensor) => Tensor, x: Tensor): Tensor {
  return normFirst ? x.add(part(norm(x))) : norm(x.add(part(x)));
}
