import { defineConfig, type Plugin } from "vitest/config";
import { mutants } from "./test/simulator/mutants.ts";

const source = (path: string) => new URL(path, import.meta.url).pathname;

const literally = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** Plants the bug that TUTTI_MUTANT names into the sources as they are loaded: test/simulator/mutants.test.ts. */
function plantedBug(): Plugin {
  const mutant = mutants[Number(process.env.TUTTI_MUTANT ?? Number.NaN)];
  return {
    name: "planted-bug",
    enforce: "pre",
    transform(code, id) {
      let planted = code;
      for (const { file, find, replace } of mutant?.edits ?? []) {
        if (!id.endsWith(file)) continue;
        const pattern = new RegExp(find.split(/\s+/).map(literally).join("\\s+"), "g");
        if (planted.match(pattern)?.length !== 1)
          throw new Error(`mutant "${mutant?.name}": expected once in ${file}: ${find}`);
        planted = planted.replace(pattern, () => replace);
      }
      return planted === code ? null : planted;
    },
  };
}

export default defineConfig({
  plugins: [plantedBug()],
  resolve: {
    // Unit tests read the sources, so that a stack trace names the line one edits; whole-system tests run the built CLI.
    alias: [
      { find: /^@tutti\/core\/(.+)$/, replacement: `${source("packages/core/src")}/$1/index.ts` },
      { find: /^@tutti\/worker$/, replacement: source("packages/worker/src/index.ts") },
      { find: /^@tutti\/coordinator\/(.+)$/, replacement: `${source("packages/coordinator/src")}/$1/index.ts` },
      { find: /^@tutti\/coordinator$/, replacement: source("packages/coordinator/src/index.ts") },
      { find: /^tutti$/, replacement: source("packages/tutti/src/index.ts") },
    ],
  },
  test: {
    exclude: ["**/node_modules/**", "**/dist/**"],
    pool: "forks",
    testTimeout: 60_000,
    projects: [
      { extends: true, test: { name: "unit", include: ["packages/*/test/**/*.test.ts"] } },
      {
        extends: true,
        test: {
          name: "system",
          include: ["test/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
