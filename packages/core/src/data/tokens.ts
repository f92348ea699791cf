import { TuttiError } from "../errors/index.ts";
import { readNamedFile } from "../files/named-file.ts";
import { isRecord, type PlainData } from "./source.ts";

/** How a text becomes numbers. */
export type TokenKind =
  /** Each byte of the files as they are: 0 to 255. */
  | "bytes"
  /** Each character is its place in `characters`; one that is not there is refused, or left out with `unknown: "skip"`. */
  | { readonly characters: string; readonly unknown?: "refuse" | "skip" }
  /** A Hugging Face tokenizer.json, without the special tokens that its template adds; each file is encoded as a whole. */
  | { readonly tokenizer: string };

/** Turns one file, or one text, into tokens. */
export interface Tokens {
  /** How many tokens there are: all are below. */
  readonly vocabulary: number;
  /** The least of uint8, uint16 and int32 that holds them. */
  readonly dtype: "uint8" | "uint16" | "int32";
  readonly describe: PlainData;
  /**
   * Tokens of one file or text, piece by piece; a tokenizer reads it as a whole first.
   * @param content of any size; pieces may end within a character. @param where names the text in messages.
   * Throws DATA_INVALID with line and column.
   */
  encode(content: AsyncIterable<Uint8Array>, where: string): AsyncIterable<ArrayLike<number>>;
}

/**
 * @param caller the function of ours that the run file called: relative paths of tokenizers start from the run file's folder.
 * Throws BAD_OPTION; DATA_MISSING and DATA_INVALID for a tokenizer that is not there or none.
 */
export function tokensOf(kind: unknown, caller: (...args: never[]) => unknown): Tokens {
  if (kind === "bytes") {
    return { vocabulary: 256, dtype: "uint8", describe: kind, encode: (content) => content };
  }
  if (isRecord(kind) && typeof kind.characters === "string") return characterTokens(kind.characters, kind.unknown);
  if (isRecord(kind) && typeof kind.tokenizer === "string" && kind.tokenizer !== "") {
    return tokenizerTokens(kind.tokenizer, caller);
  }
  const found = JSON.stringify(kind) ?? String(kind);
  throw new TuttiError(
    "BAD_OPTION",
    `data.text: tokens: expected "bytes", { characters: "…" } or { tokenizer: "tokenizer.json" }, found ${found}`,
  );
}

function characterTokens(characters: string, unknown: unknown): Tokens {
  const tokenOf = new Map<string, number>();
  for (const character of characters) {
    if (tokenOf.has(character))
      throw new TuttiError("BAD_OPTION", `data.text: characters: ${JSON.stringify(character)} is there twice`);
    tokenOf.set(character, tokenOf.size);
  }
  if (tokenOf.size === 0) throw new TuttiError("BAD_OPTION", "data.text: characters: expected at least one");
  if (unknown !== undefined && unknown !== "refuse" && unknown !== "skip") {
    const found = JSON.stringify(unknown);
    throw new TuttiError("BAD_OPTION", `data.text: tokens.unknown: expected "refuse" or "skip", found ${found}`);
  }
  return {
    vocabulary: tokenOf.size,
    dtype: dtypeFor(tokenOf.size),
    describe: { characters, unknown: unknown ?? "refuse" },
    async *encode(content, where) {
      let [line, column] = [1, 0];
      for await (const text of textOf(content, where)) {
        const tokens: number[] = [];
        for (const character of text) {
          column++;
          const token = tokenOf.get(character);
          if (token !== undefined) tokens.push(token);
          else if (unknown !== "skip") {
            const code = character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0");
            throw new TuttiError(
              "DATA_INVALID",
              `${where} line ${line}, column ${column}: ${JSON.stringify(character)} (U+${code}) is none of the ${tokenOf.size} characters; add it, or leave such characters out with unknown: "skip"`,
              { where, line, column },
            );
          }
          if (character === "\n") [line, column] = [line + 1, 0];
        }
        yield tokens;
      }
    },
  };
}

const mostTokenizerBytes = 256 * 1024 * 1024;

function tokenizerTokens(path: string, caller: (...args: never[]) => unknown): Tokens {
  const { bytes } = readNamedFile(path, caller, mostTokenizerBytes);
  const refuse = (problem: string): TuttiError =>
    new TuttiError(
      "DATA_INVALID",
      `${path}: no tokenizer that can be used: ${problem}; expected the tokenizer.json of a model on Hugging Face`,
      { file: path },
    );
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString("utf8"));
  } catch {
    throw refuse("it is no JSON");
  }
  const model = isRecord(json) ? json.model : undefined;
  const vocabulary = isRecord(model) ? sizeOf(model.vocab, isRecord(json) ? json.added_tokens : undefined) : undefined;
  if (vocabulary === undefined) throw refuse("it has no model with a vocabulary");
  return {
    vocabulary,
    dtype: dtypeFor(vocabulary),
    describe: { tokenizer: path },
    async *encode(content, where) {
      const { Tokenizer } = await import("@huggingface/tokenizers");
      let text = "";
      for await (const piece of textOf(content, where)) text += piece;
      let ids: readonly number[];
      try {
        ids = new Tokenizer(json as object, {}).encode(text, { add_special_tokens: false }).ids;
      } catch (error) {
        throw refuse(error instanceof Error ? error.message : String(error));
      }
      const outside = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabulary);
      if (outside < 0) {
        yield ids;
        return;
      }
      throw new TuttiError(
        "DATA_INVALID",
        `${where}: token ${outside + 1} is ${ids[outside]}, which ${path} does not have: it lacks a token for unknown text; use the tokenizer that the text was made for`,
        { where },
      );
    },
  };
}

/** One more than the greatest id of a vocabulary: an object of ids, or Unigram's list of [token, score]. */
function sizeOf(vocabulary: unknown, added: unknown): number | undefined {
  const ids = Array.isArray(vocabulary)
    ? [vocabulary.length - 1]
    : isRecord(vocabulary)
      ? Object.values(vocabulary)
      : undefined;
  if (ids === undefined || ids.length === 0) return undefined;
  const all = [...ids, ...(Array.isArray(added) ? added.map((token) => (isRecord(token) ? token.id : undefined)) : [])];
  let greatest = -1;
  for (const id of all) {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= 2 ** 31) return undefined;
    greatest = Math.max(greatest, id);
  }
  return greatest + 1;
}

function dtypeFor(vocabulary: number): Tokens["dtype"] {
  return vocabulary <= 256 ? "uint8" : vocabulary <= 65_536 ? "uint16" : "int32";
}

async function* textOf(content: AsyncIterable<Uint8Array>, where: string): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const decoded = (piece?: Uint8Array): string => {
    try {
      return piece === undefined ? decoder.decode() : decoder.decode(piece, { stream: true });
    } catch {
      throw new TuttiError("DATA_INVALID", `${where}: is no UTF-8 text; convert it, or use tokens: "bytes"`, { where });
    }
  };
  for await (const piece of content) yield decoded(piece);
  yield decoded();
}
