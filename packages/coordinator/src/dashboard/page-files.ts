import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { TuttiError } from "@tutti/core/errors";

export interface PageFile {
  readonly contentType: string;
  readonly bytes: Uint8Array;
  readonly etag: string;
}

/** Every file of the page, by the path it is served at. Nothing else is ever opened: no path comes from a request. */
const files = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/page.js": ["page.js", "text/javascript; charset=utf-8"],
  "/page.css": ["page.css", "text/css; charset=utf-8"],
  "/icon.svg": ["icon.svg", "image/svg+xml"],
} as const;

/** Reads the page into memory. Throws INTERNAL if it was not built. */
export function readPage(): ReadonlyMap<string, PageFile> {
  const { resolve } = createRequire(import.meta.url);
  return new Map(
    Object.entries(files).map(([path, [name, contentType]]) => {
      try {
        const bytes = readFileSync(resolve(`@tutti/dashboard/page/${name}`));
        const etag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
        return [path, { contentType, bytes, etag }];
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        throw new TuttiError("INTERNAL", `the dashboard's ${name} is missing: build it first (${why})`);
      }
    }),
  );
}
