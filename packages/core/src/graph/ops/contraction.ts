import { TuttiError } from "../../errors/index.ts";
import type { Attributes } from "../node.ts";
import type { GradientContext, Op } from "../op.ts";
import {
  broadcastShapes,
  type Dim,
  elementCount,
  isBatch,
  type Shape,
  sameDim,
  shapeToString,
  staticShape,
} from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import {
  arithmetic,
  expectDType,
  floats,
  inputType,
  integerAttribute,
  numberAttribute,
  sharedDType,
} from "../type-rules.ts";
import { sumTo } from "./broadcast.ts";

const samplesApart = "samples must not affect each other; keep the axis that counts samples outside of the sum";

function expectInner(a: Dim, b: Dim, shapes: readonly Shape[], at: string): void {
  const pair = shapes.map(shapeToString).join(" x ");
  const details = { shapes: shapes.map(shapeToString) };
  if (isBatch(a) || isBatch(b)) {
    throw new TuttiError(
      "MIXES_SAMPLES",
      `${at}: sums over the axis that counts samples: ${pair}; ${samplesApart}`,
      details,
    );
  }
  if (!sameDim(a, b)) throw new TuttiError("SHAPE_MISMATCH", `${at}: inner sizes differ: ${pair}`, details);
}

function expectOneBatchAxis(result: Shape, shapes: readonly Shape[], at: string): Shape {
  if (result.filter(isBatch).length < 2) return result;
  const pair = shapes.map(shapeToString).join(" x ");
  throw new TuttiError(
    "MIXES_SAMPLES",
    `${at}: pairs every sample with every sample: ${pair}; both batch axes must be the same leading axis`,
    {
      shapes: shapes.map(shapeToString),
    },
  );
}

/** Shape of a matrix product over the last two axes, once transposed as told; a vector counts as a row or column. */
function productShape(a: Shape, b: Shape, transA: boolean, transB: boolean, at: string): Shape {
  if (a.length === 0 || b.length === 0) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${at}: expected vectors or matrices, found ${shapeToString(a)} x ${shapeToString(b)}`,
    );
  }
  const left = a.length === 1 ? [1, a[0]!] : swapped(a, transA);
  const right = b.length === 1 ? [b[0]!, 1] : swapped(b, transB);
  const [rows, innerA] = left.slice(-2) as [Dim, Dim];
  const [innerB, columns] = right.slice(-2) as [Dim, Dim];
  expectInner(innerA, innerB, [a, b], at);
  const leading = broadcastShapes([left.slice(0, -2), right.slice(0, -2)], at);
  const tail = [...(a.length === 1 ? [] : [rows]), ...(b.length === 1 ? [] : [columns])];
  return expectOneBatchAxis([...leading, ...tail], [a, b], at);
}

function swapped(shape: Shape, swap: boolean): Shape {
  return swap ? [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!] : shape;
}

function flag(attributes: Attributes, name: string, at: string): boolean {
  return integerAttribute(attributes, name, at, 0) === 1;
}

// dA = dY·Bᵀ, dB = Aᵀ·dY, summed over broadcast leading axes
export const matMul: Op = {
  type: "MatMul",
  label: "matmul",
  domain: "",
  arity: [2, 2],
  attributes: {},
  infer(inputs, _attributes, at) {
    const dtype = sharedDType(inputs, at);
    expectDType(dtype, arithmetic, at, "operand");
    return [
      { dtype, shape: productShape(inputType(inputs, 0, at).shape, inputType(inputs, 1, at).shape, false, false, at) },
    ];
  },
  gradient(context) {
    const [a, b, dy] = [context.inputs[0]!, context.inputs[1]!, context.dy[0]!];
    // Vectors are matrices of one row or column; their axes come back at the end.
    const left = a.rank === 1 ? a.reshape([1, ...a.shape]) : a;
    const right = b.rank === 1 ? b.reshape([...b.shape, 1]) : b;
    const leading = broadcastShapes([left.shape.slice(0, -2), right.shape.slice(0, -2)], "gradient");
    const full = [...leading, left.shape.at(-2)!, right.shape.at(-1)!];
    const gradient = dy.rank === full.length ? dy : dy.reshape(full);
    const [da, db] =
      right.rank === 2 ? byMatrix(left, right, gradient, context.needs) : batched(left, right, gradient, context.needs);
    return [da === null ? null : da.reshape(a.shape), db === null ? null : db.reshape(b.shape)];
  },
};

type Gradients = readonly [Tensor | null, Tensor | null];

/** [..., M, K] x [K, N]: all leading axes in one Gemm each, so that the weight's gradient needs no sum over a batch. */
function byMatrix(a: Tensor, b: Tensor, dy: Tensor, needs: readonly boolean[]): Gradients {
  const [inner, columns] = staticShape(b.shape) as [number, number];
  const rows = elementCount(a.shape.slice(0, -1));
  const flat = dy.reshape([rows, columns]);
  return [
    needs[0] ? flat.gemm(b, { transB: true }).reshape(a.shape) : null,
    needs[1] ? a.reshape([rows, inner]).gemm(flat, { transA: true }) : null,
  ];
}

function batched(a: Tensor, b: Tensor, dy: Tensor, needs: readonly boolean[]): Gradients {
  return [
    needs[0] ? sumTo(product(dy, b, false, true, 1), a.shape) : null,
    needs[1] ? sumTo(product(a, dy, true, false, 1), b.shape) : null,
  ];
}

/** α·op(a)·op(b) over the last two axes; the runtime's fused operator saves the transposed copies, in float32 only. */
function product(a: Tensor, b: Tensor, transA: boolean, transB: boolean, alpha: number): Tensor {
  if (a.dtype === "float32") {
    return a.graph.apply(fusedMatMul, [a, b], { alpha, transA: transA ? 1 : 0, transB: transB ? 1 : 0 })[0]!;
  }
  const plain = (transA ? swapLast(a) : a).matmul(transB ? swapLast(b) : b);
  return alpha === 1 ? plain : plain.mul(alpha);
}

function swapLast(tensor: Tensor): Tensor {
  const axes = tensor.shape.map((_, axis) => axis);
  return tensor.transpose([...axes.slice(0, -2), tensor.rank - 1, tensor.rank - 2]);
}

// Y = α·A'·B' with A' = A or Aᵀ (last two axes), B' likewise:
// dA' = α·dY·B'ᵀ, dB' = α·A'ᵀ·dY, each transposed where the operand was, summed over broadcast leading axes
export const fusedMatMul: Op = {
  type: "FusedMatMul",
  label: "matmul",
  domain: "com.microsoft",
  arity: [2, 2],
  attributes: { alpha: "float", transA: "int", transB: "int" },
  infer(inputs, attributes, at) {
    const dtype = sharedDType(inputs, at);
    expectDType(dtype, ["float32"], at, "operand");
    const [a, b] = [inputType(inputs, 0, at).shape, inputType(inputs, 1, at).shape];
    if (a.length < 2 || b.length < 2) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: expected matrices, found ${shapeToString(a)} x ${shapeToString(b)}`,
      );
    }
    return [{ dtype, shape: productShape(a, b, flag(attributes, "transA", at), flag(attributes, "transB", at), at) }];
  },
  gradient(context) {
    const [a, b] = [context.inputs[0]!, context.inputs[1]!];
    const alpha = numberAttribute(context.attributes, "alpha", 1);
    const [da, db] = factorGradients(context, (x, y, transX, transY) => product(x, y, transX, transY, alpha));
    return [da === null ? null : sumTo(da, a.shape), db === null ? null : sumTo(db, b.shape)];
  },
};

type Multiply = (x: Tensor, y: Tensor, transX: boolean, transY: boolean) => Tensor;

/** Both gradients of A'·B', each a single product whatever was transposed, before any sum over broadcast axes. */
function factorGradients({ inputs, attributes, dy, needs }: GradientContext, multiply: Multiply): Gradients {
  const [a, b, gradient] = [inputs[0]!, inputs[1]!, dy[0]!];
  const transA = flag(attributes, "transA", "gradient");
  const transB = flag(attributes, "transB", "gradient");
  const da = () => (transA ? multiply(b, gradient, transB, true) : multiply(gradient, b, false, !transB));
  const db = () => (transB ? multiply(gradient, a, true, transA) : multiply(a, gradient, !transA, false));
  return [needs[0] ? da() : null, needs[1] ? db() : null];
}

// Y = α·A'·B' + β·C with A' = A or Aᵀ, B' = B or Bᵀ, C broadcast:
// dA' = α·dY·B'ᵀ, dB' = α·A'ᵀ·dY (transposed where the operand was), dC = β·dY
export const gemm: Op = {
  type: "Gemm",
  label: "gemm",
  domain: "",
  arity: [2, 3],
  attributes: { alpha: "float", beta: "float", transA: "int", transB: "int" },
  infer(inputs, attributes, at) {
    const dtype = sharedDType(inputs, at);
    expectDType(dtype, floats, at, "operand");
    const [a, b] = [inputType(inputs, 0, at).shape, inputType(inputs, 1, at).shape];
    if (a.length !== 2 || b.length !== 2) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: expected two matrices, found ${shapeToString(a)} x ${shapeToString(b)}`,
      );
    }
    const shape = productShape(a, b, flag(attributes, "transA", at), flag(attributes, "transB", at), at);
    const addend = inputs[2]?.shape;
    if (addend !== undefined) {
      const sum = broadcastShapes([shape, addend], at);
      // C is broadcast to A·B, not the other way round.
      if (sum.length !== 2 || !sum.every((dim, axis) => sameDim(dim, shape[axis]!))) {
        throw new TuttiError(
          "SHAPE_MISMATCH",
          `${at}: the addend ${shapeToString(addend)} does not broadcast to ${shapeToString(shape)}`,
        );
      }
    }
    return [{ dtype, shape }];
  },
  gradient(context) {
    const [c, dy] = [context.inputs[2] ?? null, context.dy[0]!];
    const alpha = numberAttribute(context.attributes, "alpha", 1);
    const beta = numberAttribute(context.attributes, "beta", 1);
    const [da, db] = factorGradients(context, (x, y, transA, transB) => x.gemm(y, { transA, transB, alpha }));
    const dc = c !== null && context.needs[2] === true ? sumTo(beta === 1 ? dy : dy.mul(beta), c.shape) : null;
    return [da, db, dc];
  },
};
