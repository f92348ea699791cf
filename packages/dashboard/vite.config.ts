import { defineConfig } from "vite";

/** One file of each kind under fixed names: the coordinator serves these and nothing else. */
export default defineConfig({
  base: "./",
  logLevel: "warn",
  build: {
    outDir: "dist/page",
    emptyOutDir: true,
    modulePreload: false,
    assetsInlineLimit: 0,
    rolldownOptions: { output: { entryFileNames: "page.js", assetFileNames: "page.[ext]" } },
  },
});
