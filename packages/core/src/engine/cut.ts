import { children, isLeaf, type TreeNode } from "../step/tree.ts";

/** Buffers of sums that one thread needs to add up `node` shard after shard: its depth and one. */
export function buffersFor(node: TreeNode): number {
  if (isLeaf(node)) return 1;
  const [left, right] = children(node);
  return Math.max(buffersFor(left), 1 + buffersFor(right));
}

/**
 * Cuts a node into canonical nodes for `lanes` lanes that each take the next piece when they are free: the cut whose
 * last lane finishes first, counted in shards, and among those the one with the fewest pieces. In shard order.
 */
export function cutForLanes(node: TreeNode, lanes: number): readonly TreeNode[] {
  let best: readonly TreeNode[] = [node];
  let bestSpan = spanOf(best, lanes);
  for (let most = node.hi - node.lo; most >= 1 && lanes > 1; most = Math.ceil(most / 2)) {
    const pieces = piecesUpTo(node, most);
    const span = spanOf(pieces, lanes);
    if (span < bestSpan) [best, bestSpan] = [pieces, span];
    if (most === 1) break;
  }
  return best;
}

function piecesUpTo(node: TreeNode, most: number): readonly TreeNode[] {
  if (node.hi - node.lo <= most) return [node];
  return children(node).flatMap((child) => piecesUpTo(child, most));
}

/** Shards on the busiest lane when free lanes take pieces in order. */
function spanOf(pieces: readonly TreeNode[], lanes: number): number {
  const busy = new Array<number>(lanes).fill(0);
  for (const { lo, hi } of pieces) {
    const lane = busy.indexOf(Math.min(...busy));
    busy[lane] = (busy[lane] ?? 0) + hi - lo;
  }
  return Math.max(...busy);
}
