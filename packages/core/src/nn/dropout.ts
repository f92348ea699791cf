import { TuttiError } from "../errors/index.ts";
import { batchAxis, isBatch, shapeToString, type Tensor } from "../graph/index.ts";
import { type Module, module } from "./module.ts";
import { requireProbability } from "./sizes.ts";

/**
 * Zeroes entries with probability p while training and scales the others by 1/(1−p) (Srivastava et al. 2014; PyTorch's
 * inverted form); the identity in evaluation. Any float32 shape with samples on an axis. The mask of a sample depends on the
 * run's seed, the step, the sample's position in the batch and which call of the step function this is, on nothing else.
 */
export function dropout(p = 0.5): Module {
  requireProbability("nn.dropout: p", p);
  return module({
    kind: "dropout",
    options: { p },
    forward: (self, x: Tensor) => (self.training ? dropped(x, p) : x),
  });
}

/** x with entries dropped, for a trace for training. */
export function dropped(x: Tensor, p: number): Tensor {
  if (p === 0) return x;
  const axis = batchAxis(x.shape);
  if (axis < 0 || x.dtype !== "float32") {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `${x.graph.at("dropout")}: expected float32 with samples on an axis, found ${x.dtype}${shapeToString(x.shape)}`,
    );
  }
  const { context } = x.graph;
  if (context === undefined) throw new TuttiError("BAD_RUN_FILE", "nn.dropout: called outside a run's trace");
  // Masks have the samples first, so that each sample's numbers lie together.
  const others = x.shape.filter((dim) => !isBatch(dim));
  const mask = context.bernoulli(x.graph, [x.shape[axis]!, ...others], 1 - p);
  if (axis === 0) return x.mul(mask);
  const order = x.shape.map((_, i) => (i === axis ? 0 : i < axis ? i + 1 : i));
  return x.mul(mask.transpose(order));
}
