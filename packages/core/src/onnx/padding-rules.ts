import { TuttiError } from "../errors/index.ts";
import { isBatch, type OnnxNode, type Shape, shapeToString } from "../graph/index.ts";
import { NodeView } from "./node-view.ts";

/**
 * A convolution or pooling node with explicit pads, where it asks for automatic ones (auto_pad, output_shape): the table's
 * operators have pads only. Formulas of ONNX's Conv, MaxPool and ConvTranspose; sizes along the window must be numbers.
 */
export function withExplicitPads(view: NodeView): NodeView {
  const mode = view.text("auto_pad", "NOTSET");
  const outputShape = view.ints("output_shape");
  const { auto_pad: _mode, output_shape: _shape, ...attributes } = view.node.attributes;
  if (mode === "NOTSET" && outputShape === undefined)
    return "auto_pad" in view.node.attributes ? copy(view, attributes) : view;
  const size = spatial(view, view.value(0).shape);
  const kernel = view.ints("kernel_shape") ?? spatial(view, view.value(1).shape);
  const ones = size.map(() => 1);
  const strides = view.ints("strides") ?? ones;
  const dilations = view.ints("dilations") ?? ones;
  const totals = size.map((length, i) => {
    const window = (kernel[i]! - 1) * dilations[i]! + 1;
    const stride = strides[i]!;
    if (view.type === "ConvTranspose") {
      const wanted = outputShape?.at(i - size.length) ?? length * stride;
      return stride * (length - 1) + (view.ints("output_padding")?.[i] ?? 0) + window - wanted;
    }
    if (mode === "VALID") return 0;
    return Math.max(0, (Math.ceil(length / stride) - 1) * stride + window - length);
  });
  const padding = totals.map((total) => Math.max(0, total));
  const half = padding.map((total) => Math.floor(total / 2));
  const rest = padding.map((total, i) => total - half[i]!);
  // The odd entry goes to the end for SAME_UPPER; a ConvTranspose without a mode puts it first.
  const pads = mode === "SAME_UPPER" ? [...half, ...rest] : [...rest, ...half];
  // Only a ConvTranspose can be asked for more than its windows reach.
  const missing = totals.map((total, i) => (view.ints("output_padding")?.[i] ?? 0) + Math.max(0, -total));
  return copy(view, { ...attributes, pads, ...(missing.some((size) => size > 0) && { output_padding: missing }) });
}

function spatial(view: NodeView, shape: Shape): readonly number[] {
  return shape.slice(2).map((dim) => {
    if (isBatch(dim))
      throw new TuttiError(
        "MIXES_SAMPLES",
        `${view.at}: slides over the axis that counts samples: ${shapeToString(shape)}`,
      );
    return dim;
  });
}

function copy(view: NodeView, attributes: OnnxNode["attributes"]): NodeView {
  return new NodeView({ ...view.node, attributes }, view.values);
}
