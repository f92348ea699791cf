import { TuttiError } from "../errors/index.ts";
import { isBatch, shapeToString, type Tensor } from "../graph/index.ts";
import { dropped } from "./dropout.ts";
import { fanInUniform } from "./init.ts";
import { type Module, type ModuleSelf, module, type ParameterSpec } from "./module.ts";
import { byOperator } from "./recurrent-operator.ts";
import { requireProbability, requireSize } from "./sizes.ts";

export interface RecurrentOptions {
  /** Layers on top of each other; 1 by default. */
  readonly layers?: number;
  readonly bias?: boolean;
  /** A second network runs from the last step to the first; false by default. */
  readonly bidirectional?: boolean;
  /** Of what goes from one layer to the next; 0 by default. */
  readonly dropout?: number;
}

export interface RecurrentResult {
  /** Float32 [N, T, directions·hidden]: the last layer's states, both directions side by side. */
  readonly output: Tensor;
  /** Float32 [N, directions·hidden]: the last layer's state after the whole sequence. */
  readonly hidden: Tensor;
}

type Recurrent = Module<readonly [x: Tensor], RecurrentResult>;

/** State after a step, the first tensor being what is given out. */
type State = readonly Tensor[];

interface Cell {
  readonly kind: string;
  readonly gates: number;
  readonly states: number;
  /** @param input the step's share of the input projection, [N, gates·hidden]. */
  step(input: Tensor, state: State, recur: Recurrence): State;
}

/** h·W_hhᵀ, and the bias b_hh where the cell must keep it apart. */
interface Recurrence {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
}

/**
 * h' = tanh(W_ih x + b_ih + W_hh h + b_hh) over the steps of float32 [N, T, in], from h = 0, as torch.nn.RNN with batch_first:
 * parameters weight_ih_l0 [hidden, in], weight_hh_l0 [hidden, hidden], bias_ih_l0, bias_hh_l0; later layers l1, …, the
 * other direction …_reverse. Trained unrolled, so T must be known; evaluated and exported as ONNX's operator.
 */
export function rnn(
  inFeatures: number,
  hidden: number,
  options: RecurrentOptions & { readonly activation?: "tanh" | "relu" } = {},
): Recurrent {
  const { activation = "tanh", ...rest } = options;
  return recurrent(activation === "relu" ? reluCell : tanhCell, inFeatures, hidden, rest, { activation });
}

/**
 * Long short-term memory (Hochreiter and Schmidhuber 1997), as torch.nn.LSTM with batch_first: gates in the order i, f, g, o
 * in weight_ih_l0 [4·hidden, in], weight_hh_l0 [4·hidden, hidden], bias_ih_l0, bias_hh_l0. Otherwise as `rnn`.
 */
export function lstm(inFeatures: number, hidden: number, options: RecurrentOptions = {}): Recurrent {
  return recurrent(lstmCell, inFeatures, hidden, options);
}

/**
 * Gated recurrent unit (Cho et al. 2014), as torch.nn.GRU with batch_first (the reset gate acts after W_hn h + b_hn): gates in
 * the order r, z, n in weight_ih_l0 [3·hidden, in], weight_hh_l0 [3·hidden, hidden], bias_ih_l0, bias_hh_l0. Otherwise as `rnn`.
 */
export function gru(inFeatures: number, hidden: number, options: RecurrentOptions = {}): Recurrent {
  return recurrent(gruCell, inFeatures, hidden, options);
}

const tanhCell: Cell = simpleCell("rnn", (x) => x.tanh());
const reluCell: Cell = simpleCell("rnn", (x) => x.relu());

function simpleCell(kind: string, activate: (x: Tensor) => Tensor): Cell {
  return {
    kind,
    gates: 1,
    states: 1,
    step: (input, [h], { weight }) => [activate(plus(input, h, weight))],
  };
}

const lstmCell: Cell = {
  kind: "lstm",
  gates: 4,
  states: 2,
  step(input, [h, c], { weight }) {
    const [i, f, g, o] = plus(input, h, weight).split(4, 1);
    const fresh = i!.sigmoid().mul(g!.tanh());
    const cell = c === undefined ? fresh : f!.sigmoid().mul(c).add(fresh);
    return [o!.sigmoid().mul(cell.tanh()), cell];
  },
};

const gruCell: Cell = {
  kind: "gru",
  gates: 3,
  states: 1,
  step(input, [h], { weight, bias }) {
    const hidden = Number(weight.shape[1]);
    const recurring =
      h === undefined
        ? (bias ?? input.graph.scalar(0, "float32").expand([3 * hidden])).reshape([1, 3 * hidden])
        : h.gemm(weight, { transB: true, addend: bias });
    const [fromInput, fromState] = [input.split([2 * hidden, hidden], 1), recurring.split([2 * hidden, hidden], 1)];
    const [r, z] = fromInput[0]!.add(fromState[0]!).sigmoid().split(2, 1);
    const n = fromInput[1]!.add(r!.mul(fromState[1]!)).tanh();
    const kept = h === undefined ? n.neg() : h.sub(n); // (1 − z)·n + z·h
    return [n.add(z!.mul(kept))];
  },
};

/** input + h·Wᵀ; the first step has no h yet, which stands for zeros. */
function plus(input: Tensor, h: Tensor | undefined, weight: Tensor): Tensor {
  return h === undefined ? input : h.gemm(weight, { transB: true, addend: input });
}

function recurrent(
  cell: Cell,
  inFeatures: number,
  hidden: number,
  { layers = 1, bias = true, bidirectional = false, dropout = 0 }: RecurrentOptions,
  own: Readonly<Record<string, string>> = {},
): Recurrent {
  const { kind, gates } = cell;
  requireSize(`nn.${kind}: in`, inFeatures);
  requireSize(`nn.${kind}: hidden`, hidden);
  requireSize(`nn.${kind}: layers`, layers);
  requireProbability(`nn.${kind}: dropout`, dropout);
  const directions = bidirectional ? ["", "_reverse"] : [""];
  const parameters: Record<string, ParameterSpec> = {};
  const declare = (name: string, shape: readonly number[]): void => {
    parameters[name] = { shape, init: fanInUniform(hidden), trainable: true };
  };
  for (let layer = 0; layer < layers; layer++) {
    for (const direction of directions) {
      const suffix = `_l${layer}${direction}`;
      declare(`weight_ih${suffix}`, [gates * hidden, layer === 0 ? inFeatures : directions.length * hidden]);
      declare(`weight_hh${suffix}`, [gates * hidden, hidden]);
      if (!bias) continue;
      declare(`bias_ih${suffix}`, [gates * hidden]);
      declare(`bias_hh${suffix}`, [gates * hidden]);
    }
  }
  return module({
    kind,
    options: { in: inFeatures, hidden, layers, bias, bidirectional, dropout, ...own },
    parameters,
    forward(self, x: Tensor): RecurrentResult {
      const [samples, length] = x.shape;
      if (x.rank !== 3 || !isBatch(samples) || typeof length !== "number" || x.shape[2] !== inFeatures) {
        throw new TuttiError(
          "SHAPE_MISMATCH",
          `${x.graph.at(kind)}: expected float32[N,T,${inFeatures}], found ${x.dtype}${shapeToString(x.shape)}`,
        );
      }
      let sequence = x;
      let last: readonly Tensor[] = [];
      for (let layer = 0; layer < layers; layer++) {
        if (layer > 0 && self.training) sequence = dropped(sequence, dropout);
        const input = sequence;
        const suffixes = directions.map((direction) => `_l${layer}${direction}`);
        const runs = self.training
          ? suffixes.map((suffix) => unrolled(self, cell, suffix, input, bias))
          : [byOperator(self, kind, suffixes, input, { hidden, bias, activation: own.activation ?? "tanh" })];
        last = runs.map(({ hidden: state }) => state);
        sequence = side(runs.map(({ output }) => output));
      }
      return { output: sequence, hidden: side(last) };
    },
  });
}

/** One direction of one layer over [N, T, features]. */
function unrolled(
  self: ModuleSelf<unknown, Readonly<Record<string, ParameterSpec>>>,
  cell: Cell,
  suffix: string,
  x: Tensor,
  hasBias: boolean,
): RecurrentResult {
  const weight = self.parameter(`weight_hh${suffix}`);
  const own = hasBias ? self.parameter(`bias_ih${suffix}`) : null;
  const other = hasBias ? self.parameter(`bias_hh${suffix}`) : null;
  // The reset gate of a GRU multiplies b_hn, so there the bias stays with the state.
  const isApart = cell.kind === "gru";
  const addend = own === null || other === null || isApart ? own : own.add(other);
  const [samples, length, features] = x.shape;
  // All steps' inputs in one product.
  const projected = x.reshape([-1, features!]).gemm(self.parameter(`weight_ih${suffix}`), { transB: true, addend });
  const steps = projected.reshape([samples!, length!, projected.shape[1]!]).split(Number(length), 1);
  const inOrder = suffix.endsWith("_reverse") ? [...steps].reverse() : steps;
  let state: State = [];
  const outputs: Tensor[] = [];
  for (const step of inOrder) {
    state = cell.step(step.squeeze(1), state, { weight, bias: isApart ? other : null });
    outputs.push(state[0]!.unsqueeze(1));
  }
  const [head, ...rest] = suffix.endsWith("_reverse") ? outputs.reverse() : outputs;
  return { output: rest.length === 0 ? head! : head!.concat(rest, 1), hidden: state[0]! };
}

/** Tensors side by side along the last axis. */
function side([first, ...others]: readonly Tensor[]): Tensor {
  return others.length === 0 ? first! : first!.concat(others, -1);
}
