/**
 * Whether the whole name matches the pattern: `*` stands for any characters, also none, dots included; `?` for one
 * character; everything else for itself. Takes time in proportion to the product of the lengths at most.
 */
export function matchesPattern(pattern: string, name: string): boolean {
  let at = 0;
  let star = -1; // the last * that was met, and where in the name it gave up
  let retry = 0;
  for (let i = 0; i < name.length; ) {
    if (pattern[at] === "*") {
      star = at++;
      retry = i;
    } else if (pattern[at] === "?" || pattern[at] === name[i]) {
      at++;
      i++;
    } else if (star !== -1) {
      at = star + 1;
      i = ++retry;
    } else {
      return false;
    }
  }
  while (pattern[at] === "*") at++;
  return at === pattern.length;
}
