/** A fenced block of a page. */
export interface Block {
  /** Of its first fence, from 1. */
  readonly line: number;
  readonly language: string;
  /** After the language: `file=run.ts`, `skip="why"`, `fails="CODE"`, `background`. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly text: string;
}

/** All fenced blocks of a page (CommonMark, section 4.5, with three backticks). */
export function fencedBlocks(page: string): readonly Block[] {
  const blocks: Block[] = [];
  let open: { line: number; info: string; lines: string[] } | undefined;
  for (const [index, line] of page.split("\n").entries()) {
    if (!line.startsWith("```")) open?.lines.push(line);
    else if (open === undefined) open = { line: index + 1, info: line.slice(3).trim(), lines: [] };
    else {
      const [language = "", ...rest] = open.info.split(/\s+(?=\S)/);
      blocks.push({ line: open.line, language, attributes: attributesIn(rest.join(" ")), text: open.lines.join("\n") });
      open = undefined;
    }
  }
  if (open !== undefined) throw new Error(`the block of line ${open.line} has no end`);
  return blocks;
}

function attributesIn(info: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...info.matchAll(/(\w+)(?:=(?:"([^"]*)"|(\S+)))?/g)].map(([, name, quoted, plain]) => [
      name!,
      quoted ?? plain ?? "",
    ]),
  );
}

/** Lines that look like commands outside of any fence: nothing would run them. */
export function looseCommands(page: string): readonly string[] {
  const outside = page.replaceAll(/^```[\s\S]*?^```/gm, "");
  return outside.split("\n").filter((line) => /^ {4}\S/.test(line));
}
