import { TuttiError } from "../errors/index.ts";
import type { Tensor } from "../graph/index.ts";

/**
 * Lets `build` join the samples of a shard by reductions over the batch axis (batch norm does). The result then depends on
 * how a batch is cut into shards (`shards`), never on workers; the run says so.
 *
 * @param x any tensor of the trace.
 */
export function perShard<Result>(x: Tensor, build: () => Result): Result {
  if (typeof build !== "function") {
    throw new TuttiError(
      "BAD_RUN_FILE",
      "nn.perShard: expected a tensor and a function: nn.perShard(x, () => x.mean(0))",
    );
  }
  return x.graph.withPerShard(build);
}
