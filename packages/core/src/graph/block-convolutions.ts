import { Graph, type GraphCopy } from "./graph.ts";
import type { Attributes, Node } from "./node.ts";
import { blockChannels, blockedConv, unblockChannels } from "./ops/blocked-convolution.ts";
import { turned } from "./ops/convolution-gradients.ts";
import { conv, convTranspose, relu } from "./ops/index.ts";
import { extent, type Window, windowOf } from "./ops/window.ts";
import { elementCount, staticShape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";
import { integerAttribute, integersAttribute } from "./type-rules.ts";

/** Fewer places than these, over all samples, do not make up for bringing the weight into blocks. */
const leastPlaces = 2048;

/**
 * The graph with its convolutions over channels in blocks of `block`, which is what the engine's optimizer does where weights
 * are constants (here they are inputs): those of one group whose channels divide by `block`, and those of each channel by
 * itself. A transposed convolution at stride 1 becomes a convolution. All else stays as it is. Sizes must be numbers, and
 * `block` what the engine has on this CPU. Other bits than without, so where the engine has blocks is part of the numeric class.
 *
 * @param outputs that the graph is asked for.
 * @returns undefined if there is no such convolution.
 */
export function blockConvolutions(graph: Graph, outputs: readonly Tensor[], block: number): GraphCopy | undefined {
  if (!graph.nodes.some((node) => convolutionOf(graph, node, block) !== undefined)) return undefined;
  const copy = new Graph();
  const map: Tensor[] = [];
  const blocked = new Map<number, Tensor>();
  const inBlocks = (id: number): Tensor => {
    const made = blocked.get(id) ?? copy.apply(blockChannels, [map[id]!])[0]!;
    blocked.set(id, made);
    return made;
  };
  const uses = usesOf(graph, outputs);
  for (const [id, { type, source }] of graph.values.entries()) {
    if (map[id] !== undefined) continue;
    if (source.kind === "input") {
      map[id] = copy.input(source.role, source.name, type);
    } else if (source.kind === "constant") {
      map[id] = copy.tensor(copy.append({ type, source }));
    } else {
      const { node } = source;
      const found = convolutionOf(graph, node, block);
      copy.withScope(node.scope, () => {
        if (found === undefined) {
          const inputs = node.inputs.map((input) => (input === null ? null : map[input]!));
          for (const [i, made] of copy.apply(node.op, inputs, node.attributes).entries()) map[node.outputs[i]!] = made;
          return;
        }
        const [image, weight, bias] = node.inputs as readonly [number, number, number | undefined];
        const following = uses.get(id) ?? [];
        const rectified = following.length === 1 && following[0]?.op === relu ? following[0].outputs[0]! : undefined;
        const operands = [inBlocks(image), found.weight(map[weight]!), ...(bias === undefined ? [] : [map[bias]!])];
        const activation = rectified === undefined ? {} : { activation: "Relu" };
        const made = copy.apply(blockedConv, operands, { ...found.attributes, ...activation })[0]!;
        blocked.set(rectified ?? id, made);
        const plain = copy.apply(unblockChannels, [made], { channels: Number(type.shape[1]) })[0]!;
        map[id] = plain; // nothing but the ReLU would see it otherwise
        if (rectified !== undefined) map[rectified] = plain;
      });
    }
  }
  return { graph: copy, map };
}

/** The nodes that use a value; an output of the graph counts as used by none of them, so that it is more than one. */
function usesOf(graph: Graph, outputs: readonly Tensor[]): ReadonlyMap<number, readonly (Node | undefined)[]> {
  const uses = new Map<number, (Node | undefined)[]>();
  const add = (id: number, node: Node | undefined): void => {
    const known = uses.get(id);
    if (known === undefined) uses.set(id, [node]);
    else known.push(node);
  };
  for (const { id } of outputs) add(id, undefined);
  for (const node of graph.nodes) for (const id of node.inputs) if (id !== null) add(id, node);
  return uses;
}

interface BlockedConvolution {
  readonly attributes: Attributes;
  /** The weight in blocks, from that of the node. */
  weight(weight: Tensor): Tensor;
}

/** How a node is written in blocks; undefined for what is no convolution that can be, or is not worth it. */
function convolutionOf(graph: Graph, node: Node, block: number): BlockedConvolution | undefined {
  if (node.op !== conv && node.op !== convTranspose) return undefined;
  const [image, weight] = node.inputs.map((id) => graph.value(id!).type.shape);
  if (image?.length !== 4 || weight === undefined) return undefined;
  const [from, perGroup, ...kernel] = staticShape(weight) as [number, number, ...number[]];
  const groups = integerAttribute(node.attributes, "group", "blocks", 1);
  const window = windowOf(node.attributes, kernel, "blocks");
  const result = staticShape(graph.value(node.outputs[0]!).type.shape);
  const attributes = { kernel_shape: kernel, strides: window.strides, dilations: window.dilations, group: groups };
  if (node.op === conv && groups > 1) {
    if (perGroup !== 1 || from !== groups || groups % block !== 0) return undefined;
    return { attributes: { ...attributes, pads: [...window.begin, ...window.end] }, weight: channelsInBlocks };
  }
  const isWorth = elementCount(kernel) > 1 && result[0]! * elementCount(result.slice(2)) >= leastPlaces;
  if (groups !== 1 || from % block !== 0 || perGroup % block !== 0 || !isWorth) return undefined;
  if (node.op === conv) {
    const pads = [...window.begin, ...window.end];
    return { attributes: { ...attributes, pads }, weight: (tensor) => inAndOutInBlocks(tensor, block) };
  }
  const margins = marginsOf(node, window);
  if (margins === undefined) return undefined;
  return {
    attributes: { ...attributes, pads: margins },
    weight: (tensor) => inAndOutInBlocks(turned(tensor, 1), block),
  };
}

/** The padding with which a transposed convolution is a convolution with its weight turned around; undefined if it is none. */
function marginsOf(node: Node, window: Window): readonly number[] | undefined {
  const { kernel, strides, begin, end } = window;
  const added = integersAttribute(node.attributes, "output_padding", "blocks") ?? [];
  const margins = [...begin, ...end].map((pad, i) => extent(window, i % kernel.length) - 1 - pad);
  const isConvolution = strides.every((stride) => stride === 1) && added.every((size) => size === 0);
  return isConvolution && margins.every((margin) => margin >= 0) ? margins : undefined;
}

/** [out, in, …kernel] to [out/block, in/block, …kernel, in's block, out's block], called by the old shape. */
function inAndOutInBlocks(weight: Tensor, block: number): Tensor {
  const [out, inner, ...kernel] = staticShape(weight.shape) as [number, number, ...number[]];
  return weight
    .reshape([out / block, block, inner / block, block, ...kernel])
    .transpose([0, 2, 4, 5, 3, 1])
    .reshape([out, inner, ...kernel]);
}

/** [channels, 1, …kernel] as an image of one sample would be. */
function channelsInBlocks(weight: Tensor): Tensor {
  const [channels, , ...kernel] = staticShape(weight.shape) as [number, number, ...number[]];
  const image = weight.reshape([1, channels, ...kernel]);
  return weight.graph.apply(blockChannels, [image])[0]!.reshape([channels, 1, ...kernel]);
}
