import { defineConfig } from "vitest/config";

const source = (path: string) => new URL(path, import.meta.url).pathname;

export default defineConfig({
  resolve: {
    // Unit tests read the sources, so that a stack trace names the line one edits; whole-system tests run the built CLI.
    alias: [
      { find: /^@tutti\/core\/(.+)$/, replacement: `${source("packages/core/src")}/$1/index.ts` },
      { find: /^@tutti\/worker$/, replacement: source("packages/worker/src/index.ts") },
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
      { extends: true, test: { name: "system", include: ["test/**/*.test.ts"], fileParallelism: false, testTimeout: 300_000, hookTimeout: 300_000 } },
    ],
  },
});
