// `npm run docs [-- FOLDER]`: the API reference from the docstrings, as HTML in FOLDER (dist/reference by default). An export
// without a docstring is an error.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = resolve(process.argv[2] ?? `${root}dist/reference`);
const run = (...args) => {
  const { status } = spawnSync(process.execPath, args, { cwd: `${root}scripts/reference`, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
};
const typedoc = `${root}scripts/reference/node_modules/typedoc/bin/typedoc`;
if (existsSync(typedoc)) run(`${root}scripts/build.mjs`);
else run(`${root}scripts/setup.mjs`, "--all"); // npm start installs less
run(typedoc, "--options", "typedoc.json", "--out", folder);
