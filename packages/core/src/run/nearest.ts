/** ` did you mean "lr"?` when a known name is close to an unknown one, else the list of what is known. For messages. */
export function suggestion(unknown: string, known: readonly string[]): string {
  const ranked = known
    .map((name) => ({ name, distance: editDistance(unknown.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  if (best !== undefined && best.distance <= Math.max(1, Math.floor(unknown.length / 3)))
    return `did you mean "${best.name}"?`;
  return known.length === 0 ? "there is none" : `known: ${known.join(", ")}`;
}

/** Insertions, deletions and replacements that turn one into the other (Levenshtein 1966). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
