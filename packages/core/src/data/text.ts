import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { TuttiError } from "../errors/index.ts";
import type { Dataset } from "./dataset.ts";
import { openDataFile } from "./file.ts";
import { checkFileNames, type FileNames, findFiles } from "./files.ts";
import {
  type DataSource,
  type Declared,
  isRecord,
  type OpenContext,
  type PlainData,
  type PlainObject,
} from "./source.ts";
import { RowSpool } from "./spool.ts";
import { tokenWindows, type WindowPlan } from "./token-windows.ts";
import { type TokenKind, type Tokens, tokensOf } from "./tokens.ts";

export interface TextOptions {
  readonly tokens: TokenKind;
  /** Tokens of a window. */
  readonly length: number;
  /** From the beginning of one window to the next; `length` by default. */
  readonly stride?: number;
  /** The part of all tokens to use, as fractions: [0, 0.95] for training, [0.95, 1] for validation. */
  readonly range?: readonly [from: number, to: number];
}

/** A data source of windows of tokens, and how many tokens there are: for `nn.embedding`. */
export interface TextSource
  extends DataSource<
    Declared<{ readonly text: "uint8" | "uint16" | "int32"; readonly next: "uint8" | "uint16" | "int32" }>
  > {
  readonly vocabulary: number;
}

/**
 * Text as windows of tokens for a language model: columns `text` and `next`, both [length], the latter one token on. Files
 * follow one another without anything between them. Row r begins at token r · stride of the range; what does not fill a last
 * window is left out. Tokens are kept once, however much windows overlap.
 *
 * Throws BAD_OPTION, and DATA_MISSING or DATA_INVALID for a bad tokenizer; opening throws DATA_MISSING, and DATA_INVALID for what
 * is no text or has other characters, naming file, line and column, and where there are fewer tokens than one window takes.
 * @param files path, pattern, or a list of them; or { text } for a text that the run file has itself.
 */
export function text(files: FileNames | { readonly text: string }, options: TextOptions): TextSource {
  if (isRecord(files)) {
    if (typeof files.text !== "string")
      throw new TuttiError("BAD_OPTION", 'data.text: expected files or { text: "…" }');
  } else checkFileNames("text", files);
  const checked = checkOptions(options);
  return source(files, checked, tokensOf(options.tokens, text));
}

interface Windows {
  readonly length: number;
  readonly stride: number;
  readonly range: readonly [number, number];
}

function source(files: FileNames | { readonly text: string }, windows: Windows, tokens: Tokens): TextSource {
  const { length, stride, range } = windows;
  const content: PlainData = isRecord(files)
    ? { sha256: createHash("sha256").update(String(files.text)).digest("hex") }
    : (files as PlainData);
  const describe: PlainObject = { files: content, tokens: tokens.describe, length, stride, range: [...range] };
  return {
    kind: "text",
    vocabulary: tokens.vocabulary,
    describe,
    withDescription(other) {
      const { files: otherFiles, tokens: otherTokens, ...rest } = other;
      if (JSON.stringify(otherTokens) !== JSON.stringify(tokens.describe)) {
        throw new TuttiError(
          "BAD_OPTION",
          "data.text: tokens cannot be set, as the model depends on them; edit the run file",
        );
      }
      if (JSON.stringify(otherFiles) === JSON.stringify(content))
        return source(files, checkOptions({ ...rest }), tokens);
      checkFileNames("text", otherFiles);
      return source(otherFiles, checkOptions({ ...rest }), tokens);
    },
    open: (context) => openText(files, windows, tokens, context),
  };
}

function checkOptions(options: unknown): Windows {
  const bad = (problem: string): TuttiError => new TuttiError("BAD_OPTION", `data.text: ${problem}`);
  if (!isRecord(options)) throw bad("expected an object of options with tokens and length");
  const { tokens: _, length, stride = length, range = [0, 1], ...others } = options;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw bad(`unknown option "${unknown}"; there are tokens, length, stride and range`);
  for (const [name, value] of Object.entries({ length, stride })) {
    if (!Number.isSafeInteger(value) || Number(value) < 1)
      throw bad(`${name}: expected a positive integer, found ${JSON.stringify(value) ?? "none"}`);
  }
  const isRange =
    Array.isArray(range) && range.length === 2 && range.every((at) => typeof at === "number" && at >= 0 && at <= 1);
  if (!isRange || range[0] >= range[1])
    throw bad(`range: expected two ascending fractions from 0 to 1, found ${JSON.stringify(range)}`);
  return { length: Number(length), stride: Number(stride), range: [range[0], range[1]] };
}

async function openText(
  files: FileNames | { readonly text: string },
  { length, stride, range }: Windows,
  tokens: Tokens,
  context: OpenContext,
): Promise<Dataset> {
  const spool = new RowSpool({ token: { dtype: tokens.dtype, shape: [] } }, context.memoryBytes);
  let names = "the text";
  let plan: WindowPlan;
  try {
    if (isRecord(files)) await append(spool, tokens, Readable.from([Buffer.from(String(files.text))]), names);
    else {
      const found = await findFiles(context.baseDirectory, files);
      names = found.map(({ given }) => given).join(", ");
      for (const file of found) {
        const handle = await openDataFile(file);
        const content = handle.createReadStream({ highWaterMark: chunkBytes });
        await append(spool, tokens, content, file.given);
      }
    }
    const total = spool.size;
    const [from, to] = [Math.floor(range[0] * total), Math.floor(range[1] * total)];
    if (to - from < length + 1) {
      throw new TuttiError(
        "DATA_INVALID",
        `${names}: expected at least ${length + 1} tokens, for one window of ${length} and the token after it, found ${to - from}; give more text or a smaller length`,
      );
    }
    const size = Math.floor((to - from - length - 1) / stride) + 1;
    plan = { from, size, length, stride };
  } catch (error) {
    spool.discard();
    throw error;
  }
  return tokenWindows(spool.finishColumn("token"), plan);
}

/** A piece is encoded in one turn of the event loop. */
const chunkBytes = 256 * 1024;

async function append(
  spool: RowSpool,
  { dtype, encode }: Tokens,
  content: AsyncIterable<Uint8Array>,
  where: string,
): Promise<void> {
  for await (const tokens of encode(content, where)) {
    spool.append("token", new Uint8Array(arrayOf(dtype, tokens).buffer));
    spool.finishRow(tokens.length);
  }
}

function arrayOf(dtype: Tokens["dtype"], tokens: ArrayLike<number>): Uint8Array | Uint16Array | Int32Array {
  if (dtype === "uint8") return Uint8Array.from(tokens);
  return dtype === "uint16" ? Uint16Array.from(tokens) : Int32Array.from(tokens);
}
