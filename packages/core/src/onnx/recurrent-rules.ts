import {
  isBatch,
  normalizeAxis,
  type OnnxNode,
  operatorKey,
  operators,
  shapeToString,
  type Tensor,
} from "../graph/index.ts";
import { unsupported } from "./errors.ts";
import { applyTable } from "./node-table.ts";
import { NodeView, type Value } from "./node-view.ts";

type Kind = "RNN" | "GRU" | "LSTM";

const gatesOf = { RNN: 1, GRU: 3, LSTM: 4 } as const;
const defaults: Readonly<Record<Kind, readonly string[]>> = {
  RNN: ["Tanh"],
  GRU: ["Sigmoid", "Tanh"],
  LSTM: ["Sigmoid", "Tanh", "Tanh"],
};

type Activation = (x: Tensor) => Tensor;
const activations: Readonly<Record<string, Activation>> = {
  Relu: (x) => x.relu(),
  Sigmoid: (x) => x.sigmoid(),
  Tanh: (x) => x.tanh(),
};

/**
 * RNN, GRU and LSTM: the operator where nothing is trained (evaluation and export keep it), unrolled in the trace for
 * training, where it needs a gradient. Formulas and the order of gates are ONNX's.
 */
export function recurrent(kind: Kind): (view: NodeView) => readonly Value[] {
  return (view) => (view.number("layout", 0) === 1 ? batchFirst(view, kind) : timeFirst(view, kind));
}

function timeFirst(view: NodeView, kind: Kind): readonly Value[] {
  const op = operators.get(operatorKey("", kind));
  if (view.graph.context?.training === true) return unrolled(view, kind);
  if (op === undefined)
    throw unsupported(view.node, "is an operator that Tutti does not have", "export the model without it");
  return applyTable(view, op);
}

/** layout = 1: samples first in X, Y and the states. */
function batchFirst(view: NodeView, kind: Kind): readonly Value[] {
  const swap = (tensor: Tensor): Tensor => tensor.transpose([1, 0, 2]);
  const swapped = new Map(
    [0, 5, 6].filter((i) => view.has(i)).map((i) => [view.node.inputs[i]!, swap(view.tensor(i))]),
  );
  const { layout: _layout, ...attributes } = view.node.attributes;
  const inner = new NodeView(
    { ...view.node, attributes },
    {
      graph: view.graph,
      get: (name) => swapped.get(name) ?? view.values.get(name),
      constant: (name) => view.values.constant(name),
    },
  );
  const [y, ...states] = timeFirst(inner, kind).map((value) => inner.asTensor(value));
  // [time, directions, N, hidden] to [N, time, directions, hidden]
  return [y!.transpose([2, 0, 1, 3]), ...states.map(swap)];
}

function unrolled(view: NodeView, kind: Kind): readonly Value[] {
  refuse(view, "clip", view.attribute("clip") !== undefined);
  refuse(view, "input_forget", view.number("input_forget", 0) !== 0);
  refuse(view, "sequence_lens", view.has(4));
  const direction = view.text("direction", "forward");
  const directions = direction === "bidirectional" ? [false, true] : [direction === "reverse"];
  const runs = directions.map((reverse, index) => runDirection(view, kind, index, directions.length, reverse));
  const joined = (tensors: readonly Tensor[], axis: number): Tensor => tensors[0]!.concat(tensors.slice(1), axis);
  const y = joined(
    runs.map(({ all }) => all.unsqueeze(1)),
    1,
  );
  const hidden = joined(
    runs.map(({ last }) => last.unsqueeze(0)),
    0,
  );
  return kind === "LSTM"
    ? [
        y,
        hidden,
        joined(
          runs.map(({ cell }) => cell!.unsqueeze(0)),
          0,
        ),
      ]
    : [y, hidden];
}

function refuse(view: NodeView, what: string, is: boolean): void {
  if (is)
    throw unsupported(
      view.node,
      `has ${what}, with which it cannot be trained`,
      "freeze what lies before it by cutting the model after it, or export it without",
    );
}

interface Run {
  /** [time, N, hidden] */
  readonly all: Tensor;
  readonly last: Tensor;
  readonly cell: Tensor | undefined;
}

function runDirection(view: NodeView, kind: Kind, index: number, directions: number, reverse: boolean): Run {
  const x = view.tensor(0);
  const [time, samples] = x.shape;
  if (time === undefined || samples === undefined || isBatch(time)) {
    throw unsupported(
      view.node,
      `runs along ${shapeToString(x.shape)}`,
      "its input must be [time, N, features] with a known time",
    );
  }
  const own = (i: number): Tensor | undefined =>
    view.has(i)
      ? view
          .tensor(i)
          .slice(0, index, index + 1)
          .squeeze(0)
      : undefined;
  const [weight, recurrence, bias] = [own(1)!, own(2)!, own(3)];
  const size = recurrence.shape[1]!;
  if (isBatch(size)) throw unsupported(view.node, "has weights that count samples", "export it again");
  const rows = gatesOf[kind] * size;
  const projected = x.matmul(weight.transpose());
  const input = bias === undefined ? projected : projected.add(bias.slice(0, 0, rows));
  const cellOf = cells[kind]({
    size,
    recurrent: recurrence.transpose(),
    bias: bias?.slice(0, rows, 2 * rows),
    peepholes: own(7),
    resetAfter: view.number("linear_before_reset", 0) === 1,
    act: actsOf(view, kind, index, directions),
  });
  const zero = (): Tensor => view.graph.scalar(0, x.dtype).expand([samples, size]);
  let state: State = { hidden: own(5) ?? zero(), cell: kind === "LSTM" ? (own(6) ?? zero()) : undefined };
  const outputs = new Array<Tensor>(time);
  for (let k = 0; k < time; k++) {
    const t = reverse ? time - 1 - k : k;
    state = cellOf(input.slice(0, t, t + 1).squeeze(0), state);
    outputs[t] = state.hidden.unsqueeze(0);
  }
  return { all: outputs[0]!.concat(outputs.slice(1), 0), last: state.hidden, cell: state.cell };
}

function actsOf(view: NodeView, kind: Kind, index: number, directions: number): readonly Activation[] {
  const names = textsOf(view.node, "activations") ?? Array.from({ length: directions }, () => defaults[kind]).flat();
  const count = defaults[kind].length;
  return names.slice(index * count, (index + 1) * count).map((name) => {
    const act = activations[name];
    if (act === undefined)
      throw unsupported(
        view.node,
        `has the activation ${name}, with which it cannot be trained`,
        `expected ${Object.keys(activations).join(", ")}`,
      );
    return act;
  });
}

function textsOf(node: OnnxNode, name: string): readonly string[] | undefined {
  const value = node.attributes[name];
  if (typeof value !== "object" || "dtype" in value) return undefined;
  return value.filter((item) => typeof item === "string");
}

interface State {
  readonly hidden: Tensor;
  readonly cell: Tensor | undefined;
}

interface Cell {
  readonly size: number;
  /** [hidden, gates·hidden] */
  readonly recurrent: Tensor;
  /** Of the recurrence, [gates·hidden]. */
  readonly bias: Tensor | undefined;
  readonly peepholes: Tensor | undefined;
  readonly resetAfter: boolean;
  readonly act: readonly Activation[];
}

/** One step: the projected input [N, gates·hidden] and the state before. */
type Step = (input: Tensor, state: State) => State;

function addBias(x: Tensor, bias: Tensor | undefined): Tensor {
  return bias === undefined ? x : x.add(bias);
}

const cells: Readonly<Record<Kind, (cell: Cell) => Step>> = {
  RNN:
    ({ recurrent, bias, act }) =>
    (input, { hidden }) => ({ hidden: act[0]!(addBias(input.add(hidden.matmul(recurrent)), bias)), cell: undefined }),
  GRU: gru,
  LSTM: lstm,
};

/** Gates in the order z, r, h; H = (1 − z)·h + z·H₋₁ */
function gru({ size, recurrent, bias, resetAfter, act }: Cell): Step {
  const gate = (x: Tensor, from: number, to: number): Tensor =>
    x.slice(normalizeAxis(-1, x.rank, "GRU"), from * size, to * size);
  const [gates, candidate] = [gate(recurrent, 0, 2), gate(recurrent, 2, 3)];
  const [gateBias, candidateBias] = bias === undefined ? [] : [gate(bias, 0, 2), gate(bias, 2, 3)];
  return (input, { hidden }) => {
    const both = act[0]!(addBias(gate(input, 0, 2).add(hidden.matmul(gates)), gateBias));
    const [update, reset] = [gate(both, 0, 1), gate(both, 1, 2)];
    const own = gate(input, 2, 3);
    const fresh = resetAfter
      ? own.add(reset.mul(addBias(hidden.matmul(candidate), candidateBias)))
      : addBias(own.add(reset.mul(hidden).matmul(candidate)), candidateBias);
    const proposed = act[1]!(fresh);
    return { hidden: proposed.add(update.mul(hidden.sub(proposed))), cell: undefined };
  };
}

/** Gates in the order i, o, f, c; C = f·C₋₁ + i·c, H = o·h(C); peepholes i, o, f look at the cell. */
function lstm({ size, recurrent, bias, peepholes, act }: Cell): Step {
  const gate = (x: Tensor, k: number): Tensor => x.slice(x.rank - 1, k * size, (k + 1) * size);
  const peep = (x: Tensor, k: number, cell: Tensor): Tensor =>
    peepholes === undefined ? x : x.add(gate(peepholes, k).mul(cell));
  return (input, { hidden, cell }) => {
    const before = cell!;
    const sums = addBias(input.add(hidden.matmul(recurrent)), bias);
    const [i, f] = [act[0]!(peep(gate(sums, 0), 0, before)), act[0]!(peep(gate(sums, 2), 2, before))];
    const next = f.mul(before).add(i.mul(act[1]!(gate(sums, 3))));
    const o = act[0]!(peep(gate(sums, 1), 1, next));
    return { hidden: o.mul(act[2]!(next)), cell: next };
  };
}
