export const median = (values) => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

/**
 * Measures contestants turn by turn, `rounds` times: what disturbs the machine for a while disturbs all of them. Every other
 * round goes backwards, so that nobody always follows the same one.
 * @param measures by name, each gives one figure or an object of them.
 * @returns by name the list of what each round gave.
 */
export async function alternate(measures, rounds) {
  const found = Object.fromEntries(Object.keys(measures).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    const names = Object.keys(measures);
    if (round % 2 === 1) names.reverse();
    for (const name of names) found[name].push(await measures[name](round));
  }
  return found;
}

/**
 * Lets a contestant work for so long before anything is measured: compilers of JavaScript take some ten thousand steps of the
 * smallest models, allocators and caches of anybody's some, and what is asked for is the rate of a run that goes on.
 * @param measureMs does so many repetitions; how long they took.
 */
export async function warmUp(forMs, measureMs) {
  let repetitions = 4;
  for (let spentMs = 0; spentMs < forMs; ) {
    const ms = await measureMs(repetitions);
    spentMs += ms;
    repetitions = Math.max(1, Math.floor(repetitions * Math.min(4, forMs / 4 / Math.max(ms, 0.01))));
  }
}

/** As many repetitions as fill the slice, going by a first few. */
export async function repetitionsFor(sliceMs, measureMs, least = 4) {
  let repetitions = least;
  for (let attempt = 0; attempt < 3; attempt++) {
    const ms = await measureMs(repetitions);
    const wanted = Math.max(least, Math.round((repetitions * sliceMs) / Math.max(ms, 0.01)));
    if (wanted < 3 * repetitions) return wanted;
    repetitions = Math.min(wanted, 10 * repetitions);
  }
  return repetitions;
}
