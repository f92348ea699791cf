import { TuttiError } from "../errors/index.ts";

/**
 * A test for names: "layer1.*" with "*" for any characters, or a regular expression. Throws BAD_OPTION for a pattern that
 * fits none of `names`: a misspelt one must not be silent.
 */
export function namePattern(
  option: string,
  patterns: readonly (string | RegExp)[],
  names: readonly string[],
): (name: string) => boolean {
  const tests = patterns.map((pattern) => {
    const expression =
      typeof pattern === "string"
        ? globExpression(pattern)
        : new RegExp(pattern.source, pattern.flags.replaceAll(/[gy]/g, ""));
    if (!names.some((name) => expression.test(name))) {
      throw new TuttiError(
        "BAD_OPTION",
        `${option}: "${String(pattern)}" fits no parameter; there are ${shortened(names)}`,
      );
    }
    return expression;
  });
  return (name) => tests.some((expression) => expression.test(name));
}

function globExpression(pattern: string): RegExp {
  const parts = pattern.split("*").map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`);
}

function shortened(names: readonly string[]): string {
  return names.length <= 20 ? names.join(", ") : `${names.slice(0, 20).join(", ")}, … (${names.length})`;
}
