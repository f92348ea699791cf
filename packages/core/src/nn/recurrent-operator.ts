import { TuttiError } from "../errors/index.ts";
import { operatorKey, operators, type Tensor } from "../graph/index.ts";
import type { ModuleSelf, ParameterSpec } from "./module.ts";
import type { RecurrentResult } from "./recurrent.ts";

interface Settings {
  readonly hidden: number;
  readonly bias: boolean;
  readonly activation: string;
}

/** ONNX's operator for a kind, and where its gates are among PyTorch's: i, f, g, o as i, o, f, g; r, z, n as z, r, n. */
const forms: Readonly<Record<string, { readonly type: string; readonly gates: readonly number[] }>> = {
  rnn: { type: "RNN", gates: [0] },
  lstm: { type: "LSTM", gates: [0, 3, 1, 2] },
  gru: { type: "GRU", gates: [1, 0, 2] },
};

/** One layer over [N, T, features] by the ONNX operator, which has no gradient. @param suffixes one for each direction. */
export function byOperator(
  self: ModuleSelf<unknown, Readonly<Record<string, ParameterSpec>>>,
  kind: string,
  suffixes: readonly string[],
  x: Tensor,
  { hidden, bias, activation }: Settings,
): RecurrentResult {
  const form = forms[kind]!;
  const op = operators.get(operatorKey("", form.type));
  if (op === undefined) throw new TuttiError("INTERNAL", `no operator ${form.type}`);
  const ordered = (name: string): Tensor => {
    const parts = self.parameter(name).split(form.gates.length, 0);
    const [first, ...others] = form.gates.map((gate) => parts[gate]!);
    return others.length === 0 ? first! : first!.concat(others, 0);
  };
  const perDirection = (make: (suffix: string) => Tensor): Tensor => {
    const [first, ...others] = suffixes.map((suffix) => make(suffix).unsqueeze(0));
    return others.length === 0 ? first! : first!.concat(others, 0);
  };
  const inputs = [
    x.transpose([1, 0, 2]),
    perDirection((suffix) => ordered(`weight_ih${suffix}`)),
    perDirection((suffix) => ordered(`weight_hh${suffix}`)),
  ];
  if (bias) {
    inputs.push(perDirection((suffix) => ordered(`bias_ih${suffix}`).concat([ordered(`bias_hh${suffix}`)], 0)));
  }
  const [y, last] = x.graph.apply(op, inputs, {
    hidden_size: hidden,
    direction: suffixes.length === 2 ? "bidirectional" : "forward",
    ...(kind === "gru" && { linear_before_reset: 1 }),
    ...(kind === "rnn" && activation === "relu" && { activations: suffixes.map(() => "Relu") }),
  });
  const [samples, length] = x.shape;
  const width = suffixes.length * hidden;
  return {
    output: y!.transpose([2, 0, 1, 3]).reshape([samples!, length!, width]),
    hidden: last!.transpose([1, 0, 2]).reshape([samples!, width]),
  };
}
