import { TuttiError } from "@tutti/core/errors";

/** Makes a token of 256 bits; for error messages. */
export const tokenRecipe = "openssl rand -hex 32";

/**
 * Refuses a token that cannot hold 128 bits: fewer than 32 characters of hex or base64(url), few different ones, or a
 * short text repeated. What looks random is believed. Throws BAD_OPTION, without the token.
 */
export function checkToken(token: string): void {
  const problem = problemOf(token);
  if (problem !== undefined)
    throw new TuttiError("BAD_OPTION", `the token ${problem}: make one with \`${tokenRecipe}\``);
}

function problemOf(token: string): string | undefined {
  if (!/^[\w+/=-]*$/.test(token)) return "has characters other than those of hex and base64";
  if (token.length < 32) return `has ${token.length} characters, at least 32 are needed for 128 bits`;
  if (token.length > 512) return `has ${token.length} characters, at most 512 are taken`;
  const distinct = new Set(token).size; // of 32 random hex digits, 6 or fewer differ once in five thousand million tokens
  if (distinct <= 6) return `has only ${distinct} different characters`;
  for (let period = 1; period <= token.length / 2; period++) {
    if (token.startsWith(token.slice(period))) return `repeats its first ${period} characters`;
  }
  return undefined;
}
