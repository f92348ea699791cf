/**
 * The canonical reduction tree. Leaves are the shards 0…V−1 of a step; a node covers the shards [lo, hi). Its sum is
 * left + right in float32, whoever computes it: this is why the worker count cannot change a bit.
 */
export interface TreeNode {
  readonly lo: number;
  readonly hi: number;
}

/** lo + the largest power of two smaller than hi − lo: where a node of at least two shards splits. */
export function splitOf(node: TreeNode): number {
  let half = 1;
  while (half * 2 < node.hi - node.lo) half *= 2;
  return node.lo + half;
}

export function isLeaf(node: TreeNode): boolean {
  return node.hi - node.lo === 1;
}

export function children(node: TreeNode): readonly [TreeNode, TreeNode] {
  const middle = splitOf(node);
  return [
    { lo: node.lo, hi: middle },
    { lo: middle, hi: node.hi },
  ];
}

export function nodeKey(node: TreeNode): string {
  return `${node.lo}-${node.hi}`;
}

/** The fewest canonical nodes of the tree over [0, shards) that together cover [lo, hi), in order. */
export function coverRange(shards: number, lo: number, hi: number): readonly TreeNode[] {
  const cover: TreeNode[] = [];
  const visit = (node: TreeNode): void => {
    if (node.hi <= lo || node.lo >= hi) return;
    if (node.lo >= lo && node.hi <= hi) cover.push(node);
    else for (const child of children(node)) visit(child);
  };
  if (lo < hi) visit({ lo: 0, hi: shards });
  return cover;
}

/** True if `node` is a node of the canonical tree over [0, shards). */
export function isCanonical(shards: number, node: TreeNode): boolean {
  let at: TreeNode = { lo: 0, hi: shards };
  while (node.lo >= at.lo && node.hi <= at.hi && node.lo < node.hi) {
    if (at.lo === node.lo && at.hi === node.hi) return true;
    if (isLeaf(at)) return false;
    const [left, right] = children(at);
    at = node.lo < right.lo ? left : right;
  }
  return false;
}
