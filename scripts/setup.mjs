// All set-up, from Node and npm only: installs the pinned pnpm's frozen lockfile, then builds. Quick when nothing changed.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(
    `Tutti needs Node >= 20.19, found ${process.versions.node}. Install a newer Node, then run this again.`,
  );
  process.exit(2);
}

/** Runs a command at the root; ends this process with its status when it fails. */
export function run(command, args, environment = {}) {
  const env = { ...process.env, ...environment };
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit", env, shell: process.platform === "win32" });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

const { packageManager } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const lock = createHash("sha256")
  .update(readFileSync(new URL("../pnpm-lock.yaml", import.meta.url)))
  .digest("hex");
const withAll = process.argv.includes("--all");
const stamp = new URL("../node_modules/.tutti-installed", import.meta.url);
const installed = existsSync(stamp) ? readFileSync(stamp, "utf8") : "";
if (!installed.startsWith(lock) || (withAll && !installed.endsWith("all"))) {
  const filter = withAll ? [] : ["--filter", "!@tutti/node-matrix", "--filter", "!@tutti/reference"];
  const install = ["install", "--frozen-lockfile", "--reporter=append-only", ...filter];
  run("npx", ["-y", packageManager, ...install], { CI: "true" });
  mkdirSync(new URL("../node_modules/", import.meta.url), { recursive: true });
  writeFileSync(stamp, withAll ? `${lock} all` : lock);
}
run(process.execPath, ["scripts/build.mjs"]);
