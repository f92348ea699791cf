/** Text of another machine, fit for a terminal and a log: on one line, without control and direction characters, bounded. */
export function printable(text: string, maxLength = 4096): string {
  return text.slice(0, maxLength).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ");
}
