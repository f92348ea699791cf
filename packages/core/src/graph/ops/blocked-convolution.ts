import type { Attributes } from "../node.ts";
import type { Op } from "../op.ts";
import { staticShape } from "../shape.ts";
import { inputType, integersAttribute } from "../type-rules.ts";
import { placesOf, windowOf } from "./window.ts";

// The engine's own operators on images whose channels lie in blocks: [samples, channels/block, …sizes, block] in memory, while
// shapes stay those of images (onnxruntime, contrib_ops/cpu/nchwc_ops.cc). How large a block is depends on the CPU. They are not
// in the operator table: no file and no graph from the network may hold them.
const domain = "com.microsoft.nchwc";

/** An image [samples, channels, height, width] with its channels in blocks. */
export const blockChannels: Op = {
  type: "ReorderInput",
  domain,
  arity: [1, 1],
  attributes: {},
  infer: (inputs, _attributes, at) => [inputType(inputs, 0, at)],
  gradient: "none",
};

/** The same image with its channels one after the other. */
export const unblockChannels: Op = {
  type: "ReorderOutput",
  domain,
  arity: [1, 1],
  attributes: { channels: "int" },
  infer: (inputs, _attributes, at) => [inputType(inputs, 0, at)],
  gradient: "none",
};

/** Conv of a blocked image to a blocked image; the weight is blocked, the bias is not. `activation` may be "Relu". */
export const blockedConv: Op = {
  type: "Conv",
  domain,
  arity: [2, 3],
  attributes: {
    kernel_shape: "ints",
    strides: "ints",
    pads: "ints",
    dilations: "ints",
    group: "int",
    activation: "string",
  },
  infer(inputs, attributes: Attributes, at) {
    const { dtype, shape } = inputType(inputs, 0, at);
    const weight = staticShape(inputType(inputs, 1, at).shape);
    const kernel = integersAttribute(attributes, "kernel_shape", at) ?? weight.slice(2);
    const places = placesOf(staticShape(shape.slice(2)), windowOf(attributes, kernel, at), false, at);
    return [{ dtype, shape: [shape[0]!, weight[0]!, ...places] }];
  },
  gradient: "none",
};
