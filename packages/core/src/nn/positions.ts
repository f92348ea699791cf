import { TuttiError } from "../errors/index.ts";
import { isBatch, shapeToString, type Tensor } from "../graph/index.ts";
import { portableCos, portableExp, portableLog, portableSin } from "../random/index.ts";
import type { Init } from "./init.ts";
import { type Module, module } from "./module.ts";
import { requireSize } from "./sizes.ts";

/**
 * Adds sines and cosines of the position to [N, T, E] (Vaswani et al. 2017): entry 2i of position t gets
 * sin(t/10000^(2i/E)), entry 2i+1 the cosine. Computed with portable functions in float64, so that every machine has the
 * same bits.
 */
export function sinusoidalPositions(embed: number): Module {
  requireSize("nn.sinusoidalPositions: embed", embed);
  return module({
    kind: "sinusoidalPositions",
    options: { embed },
    forward(_self, x: Tensor) {
      const length = lengthOf("sinusoidalPositions", x, embed);
      const values = new Float32Array(length * embed);
      for (let i = 0; i < embed; i++) {
        const frequency = portableExp((-2 * Math.floor(i / 2) * portableLog(10_000)) / embed);
        for (let t = 0; t < length; t++) {
          values[t * embed + i] = i % 2 === 0 ? portableSin(t * frequency) : portableCos(t * frequency);
        }
      }
      return x.add(x.graph.constant(values, [length, embed], "float32"));
    },
  });
}

/** Adds a learned vector for each position to [N, T, E], T at most `longest`: parameter weight [longest, E], N(0, 0.02²). */
export function learnedPositions(
  longest: number,
  embed: number,
  options: { readonly init?: { readonly weight?: Init } } = {},
): Module {
  requireSize("nn.learnedPositions: longest", longest);
  requireSize("nn.learnedPositions: embed", embed);
  const initial: Init = options.init?.weight ?? { kind: "normal", mean: 0, std: 0.02 };
  return module({
    kind: "learnedPositions",
    options: { longest, embed },
    parameters: { weight: { shape: [longest, embed], init: initial, trainable: true } },
    forward(self, x: Tensor) {
      const length = lengthOf("learnedPositions", x, embed, longest);
      const weight = self.parameter("weight");
      return x.add(length === longest ? weight : weight.slice(0, 0, length));
    },
  });
}

function lengthOf(kind: string, x: Tensor, embed: number, longest = Number.POSITIVE_INFINITY): number {
  const length = x.shape[1];
  if (x.rank !== 3 || length === undefined || isBatch(length) || x.shape[2] !== embed || length > longest) {
    const most = longest === Number.POSITIVE_INFINITY ? "" : ` with at most ${longest} positions`;
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${x.graph.at(kind)}: expected float32[N,T,${embed}]${most}, found ${x.dtype}${shapeToString(x.shape)}`,
    );
  }
  return length;
}
