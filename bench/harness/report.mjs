// Tables as text and as Markdown. A table is { title, columns: [name…], rows: [[cell…]…], notes?: [sentence…] }.

/** Three significant digits, and no more than three decimals. */
export function figure(value) {
  if (value === undefined || Number.isNaN(value)) return "-";
  if (value === 0) return "0";
  const digits = Math.max(0, Math.min(3, 2 - Math.floor(Math.log10(Math.abs(value)))));
  return value.toFixed(digits);
}

/** A ratio where above 1 means that ours is better. */
export const times = (value) => (value === undefined || !Number.isFinite(value) ? "-" : `${value.toFixed(2)}x`);

export function textTable({ title, columns, rows, notes = [] }) {
  const cells = [columns, ...rows].map((row) => row.map(String));
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)));
  const line = (row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ");
  const [head, ...body] = cells.map(line);
  return [title, head, "-".repeat(head.length), ...body, ...notes].join("\n");
}

export function markdownTable({ title, columns, rows, notes = [] }) {
  const line = (row) => `| ${row.map((cell) => String(cell).replaceAll("|", "\\|")).join(" | ")} |`;
  const rule = `| --- |${" ---: |".repeat(columns.length - 1)}`;
  return [`**${title}**`, "", line(columns), rule, ...rows.map(line), ...(notes.length > 0 ? ["", ...notes] : [])].join(
    "\n",
  );
}

/** Puts `text` between the marks of `name` in a page; the page must have them. */
export function replaceSection(page, name, text) {
  const [from, to] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
  const begin = page.indexOf(from);
  const end = page.indexOf(to);
  if (begin < 0 || end < begin) throw new Error(`the page has no section ${from} … ${to}`);
  return `${page.slice(0, begin + from.length)}\n${text}\n${page.slice(end)}`;
}
