import { TuttiError } from "../../errors/index.ts";
import type { Attributes } from "../node.ts";
import type { Op } from "../op.ts";
import { type Dim, isBatch, type Shape, shapeToString, staticShape } from "../shape.ts";
import { expectDType, floats, inputType, oneOf, refuseBatchAxis } from "../type-rules.ts";

function blockSize(attributes: Attributes, at: string): number {
  const size = attributes.blocksize;
  if (typeof size !== "number" || !Number.isInteger(size) || size < 1)
    throw new TuttiError("SHAPE_MISMATCH", `${at}: blocksize is ${String(size)}, expected an integer >= 1`);
  return size;
}

function imageShape(shape: Shape, at: string): readonly [Dim, number, number, number] {
  const [samples, ...rest] = shape;
  if (shape.length !== 4 || samples === undefined || rest.some(isBatch)) {
    if (shape.length === 4)
      refuseBatchAxis(shape, shape.findIndex(isBatch), at, "rearranges", "transpose it to the front");
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${at}: expected [samples, channels, height, width], found ${shapeToString(shape)}`,
    );
  }
  const [channels, height, width] = staticShape(rest) as [number, number, number];
  return [samples, channels, height, width];
}

// dx = dy put back: each entry of x becomes one entry of y
export const depthToSpace: Op = {
  type: "DepthToSpace",
  label: "depthToSpace",
  domain: "",
  arity: [1, 1],
  attributes: { blocksize: "int", mode: "string" },
  infer(inputs, attributes, at) {
    const { dtype, shape } = inputType(inputs, 0, at);
    expectDType(dtype, floats, at);
    const [samples, channels, height, width] = imageShape(shape, at);
    const block = blockSize(attributes, at);
    oneOf(attributes.mode, ["DCR", "CRD"], "mode", at);
    if (channels % (block * block) !== 0) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: ${channels} channels do not divide by blocksize² = ${block * block}: ${shapeToString(shape)}`,
      );
    }
    return [{ dtype, shape: [samples, channels / (block * block), height * block, width * block] }];
  },
  gradient({ inputs, attributes, dy }) {
    const block = blockSize(attributes, "gradient");
    if ((attributes.mode ?? "DCR") === "DCR") return [dy[0]!.spaceToDepth(block)];
    const [samples, channels, height, width] = staticShape(inputs[0]!.shape) as [number, number, number, number];
    const inner = channels / (block * block);
    return [
      dy[0]!
        .reshape([samples, inner, height, block, width, block])
        .transpose([0, 1, 3, 5, 2, 4])
        .reshape([samples, channels, height, width]),
    ];
  },
};

// dx = dy put back: each entry of x becomes one entry of y
export const spaceToDepth: Op = {
  type: "SpaceToDepth",
  label: "spaceToDepth",
  domain: "",
  arity: [1, 1],
  attributes: { blocksize: "int" },
  infer(inputs, attributes, at) {
    const { dtype, shape } = inputType(inputs, 0, at);
    expectDType(dtype, floats, at);
    const [samples, channels, height, width] = imageShape(shape, at);
    const block = blockSize(attributes, at);
    if (height % block !== 0 || width % block !== 0) {
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `${at}: height and width do not divide by blocksize ${block}: ${shapeToString(shape)}`,
      );
    }
    return [{ dtype, shape: [samples, channels * block * block, height / block, width / block] }];
  },
  gradient: ({ attributes, dy }) => [dy[0]!.depthToSpace(blockSize(attributes, "gradient"))],
};
