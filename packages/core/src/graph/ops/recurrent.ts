import { TuttiError } from "../../errors/index.ts";
import type { AttributeKind, Op } from "../op.ts";
import { isBatch, type Shape, sameDim, shapeToString } from "../shape.ts";
import { expectDType, inputType, integerAttribute, refuseBatchAxis, sharedDType } from "../type-rules.ts";

/** How a recurrent operator of ONNX differs from the others: rows of W and R per hidden unit, and what it carries along. */
interface Kind {
  readonly gates: number;
  readonly hasCell: boolean;
}

/**
 * Forward only, for models that were trained elsewhere and for export: a recurrent network is trained unrolled. Inputs X
 * [time,N,input], W [directions,gates·hidden,input], R [directions,gates·hidden,hidden], B, lengths [N], initial states
 * [directions,N,hidden], peepholes P (LSTM); outputs Y [time,directions,N,hidden] and the last states.
 */
function recurrent(type: string, label: string, kind: Kind, own: Readonly<Record<string, AttributeKind>>): Op {
  return {
    type,
    label,
    domain: "",
    arity: [3, kind.hasCell ? 8 : 6],
    attributes: {
      activation_alpha: "floats",
      activation_beta: "floats",
      activations: "strings",
      clip: "float",
      direction: "string",
      hidden_size: "int",
      ...own,
    },
    infer(inputs, attributes, at) {
      const [x, weight] = [inputType(inputs, 0, at), inputType(inputs, 1, at)];
      const dtype = sharedDType([...inputs.slice(0, 4), ...inputs.slice(5)], at);
      expectDType(dtype, ["float32"], at);
      const direction = attributes.direction ?? "forward";
      if (direction !== "forward" && direction !== "reverse" && direction !== "bidirectional") {
        throw new TuttiError(
          "SHAPE_MISMATCH",
          `${at}: direction ${String(direction)}, expected forward, reverse or bidirectional`,
        );
      }
      const directions = direction === "bidirectional" ? 2 : 1;
      const hidden = integerAttribute(attributes, "hidden_size", at, Number(inputs[2]?.shape[2]));
      const rows = kind.gates * hidden;
      const [time, samples, features] = x.shape;
      if (time === undefined || samples === undefined || features === undefined || x.shape.length !== 3)
        throw new TuttiError("SHAPE_MISMATCH", `${at}: input ${shapeToString(x.shape)}, expected [time,N,features]`);
      refuseBatchAxis(x.shape, 0, at, "runs along", "transpose the input to [time,N,features]");
      if (isBatch(features)) refuseBatchAxis(x.shape, 2, at, "contracts", "transpose the input to [time,N,features]");
      const state: Shape = [directions, samples, hidden];
      const expected: readonly Shape[] = [
        x.shape,
        [directions, rows, features],
        [directions, rows, hidden],
        [directions, 2 * rows],
        [samples],
        state,
        state,
        [directions, 3 * hidden],
      ];
      for (const [i, input] of inputs.entries()) {
        const wanted = expected[i]!;
        if (
          input === null ||
          (input.shape.length === wanted.length && input.shape.every((d, k) => sameDim(d, wanted[k]!)))
        )
          continue;
        throw new TuttiError(
          "SHAPE_MISMATCH",
          `${at}: input ${i} is ${shapeToString(input.shape)}, expected ${shapeToString(wanted)} (input ${shapeToString(x.shape)}, W ${shapeToString(weight.shape)}, ${directions} direction${directions === 1 ? "" : "s"} of ${hidden} units)`,
        );
      }
      if (inputs[4]) expectDType(inputs[4].dtype, ["int32"], at, "lengths");
      const last = { dtype, shape: state };
      return [{ dtype, shape: [time, directions, samples, hidden] }, last, ...(kind.hasCell ? [last] : [])];
    },
    gradient: "none",
  };
}

export const rnn = recurrent("RNN", "rnn", { gates: 1, hasCell: false }, {});
export const gru = recurrent("GRU", "gru", { gates: 3, hasCell: false }, { linear_before_reset: "int" });
export const lstm = recurrent("LSTM", "lstm", { gates: 4, hasCell: true }, { input_forget: "int" });
