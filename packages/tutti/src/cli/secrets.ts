import { randomBytes } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { TuttiError } from "@tutti/core/errors";
import { tokenFromEnvironment } from "./environment.ts";

/**
 * The secret that coordinator and workers share: from a file, the first line of stdin ("-"), else from TUTTI_TOKEN. Never from
 * the command line, which every user of the machine can read. Throws BAD_OPTION.
 */
export async function readToken(file: string | undefined): Promise<string | undefined> {
  const inEnvironment = tokenFromEnvironment();
  if (file === undefined) return inEnvironment;
  if (inEnvironment !== undefined) throw bothTokens();
  if (file === "-") return await firstLineOfStdin();
  const content = readText("token-file", file);
  const { mode } = statSync(file);
  if (process.platform !== "win32" && (mode & 0o077) !== 0) {
    const found = (mode & 0o777).toString(8).padStart(3, "0");
    throw new TuttiError(
      "BAD_OPTION",
      `--token-file ${file} can be used by others than its owner (mode ${found}): run chmod 600 on it`,
    );
  }
  const token = content.trim();
  if (token === "") throw new TuttiError("BAD_OPTION", `--token-file ${file} is empty`);
  return token;
}

/**
 * What a worker is told: token and certificates to trust. From stdin ("-") come the token's line, if it is from there too, and then the certificates,
 * to its end. Throws BAD_OPTION.
 */
export async function readTrust(
  tokenFile: string | undefined,
  tlsCa: string | undefined,
): Promise<{ readonly token: string | undefined; readonly ca: string | undefined }> {
  if (tlsCa !== "-") {
    return { token: await readToken(tokenFile), ca: tlsCa === undefined ? undefined : readText("tls-ca", tlsCa) };
  }
  if (tokenFile !== "-") return { token: await readToken(tokenFile), ca: await text(process.stdin) };
  if (tokenFromEnvironment() !== undefined) throw bothTokens();
  const all = (await text(process.stdin)).trimStart();
  const end = all.indexOf("\n");
  if (end < 0) throw new TuttiError("BAD_OPTION", "--tls-ca -: expected certificates on stdin after the secret's line");
  return { token: all.slice(0, end).trim(), ca: all.slice(end + 1) };
}

function bothTokens(): TuttiError {
  return new TuttiError("BAD_OPTION", "both --token-file and TUTTI_TOKEN are given: expected one of them");
}

async function firstLineOfStdin(): Promise<string> {
  for await (const line of createInterface({ input: process.stdin })) if (line.trim() !== "") return line.trim();
  throw new TuttiError("BAD_OPTION", "--token-file -: expected the secret on stdin, found none");
}

/** A secret for a run whose workers all learn it from the coordinator. */
export function newToken(): string {
  return randomBytes(32).toString("hex");
}

/** Reads a file that an option names. Throws BAD_OPTION. */
export function readText(option: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new TuttiError("BAD_OPTION", `--${option}: cannot read ${file} (${why})`, {}, { cause: error });
  }
}

/** Certificate and key for a server; neither or both. Throws BAD_OPTION. */
export function readTls(cert: string | undefined, key: string | undefined): { cert: string; key: string } | undefined {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined)
    throw new TuttiError("BAD_OPTION", "--tls-cert and --tls-key are needed together");
  return { cert: readText("tls-cert", cert), key: readText("tls-key", key) };
}
