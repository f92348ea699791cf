/**
 * Probability that a random positive scores above a random negative, ties counting half (Mann and Whitney 1947; equal to
 * the area under the ROC curve). NaN if a class is missing or a score is NaN.
 */
export function areaUnderCurve(scores: ArrayLike<number>, labels: ArrayLike<number>): number {
  const order = Uint32Array.from({ length: scores.length }, (_, i) => i).sort((a, b) => scores[a]! - scores[b]!);
  let positives = 0;
  let rankSum = 0;
  for (let start = 0; start < order.length; ) {
    let end = start;
    let own = 0;
    const score = scores[order[start]!]!;
    if (Number.isNaN(score)) return Number.NaN;
    for (; end < order.length && scores[order[end]!] === score; end++) if (labels[order[end]!] !== 0) own++;
    // Equal scores share the mean of their ranks, counted from 1.
    rankSum += own * ((start + 1 + end) / 2);
    positives += own;
    start = end;
  }
  const negatives = order.length - positives;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}
