import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll } from "vitest";
import { root } from "../system/tutti-process.ts";

const execute = promisify(execFile);

export interface Installed {
  /** What `npm run pack` made. */
  readonly tarball: string;
  /** A folder outside of the workspace with a package.json and, in node_modules, what npm installed for the tarball alone. */
  readonly folder: string;
}

/** Packs tutti and installs it as a user would. To be called in a hook; all is gone after the file's tests. */
export async function installed(): Promise<Installed> {
  const parent = mkdtempSync(join(tmpdir(), "tutti-packed-"));
  afterAll(() => rmSync(parent, { recursive: true, force: true }));
  await execute(process.execPath, [join(root, "scripts/pack.mjs"), join(parent, "packed")], { cwd: root });
  const [name = ""] = readdirSync(join(parent, "packed"));
  const tarball = join(parent, "packed", name);
  const folder = join(parent, "app");
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), '{ "name": "app", "private": true, "type": "module" }\n');
  // The engine's own install script would fetch CUDA libraries, which nothing here uses.
  const options = ["--prefer-offline", "--no-audit", "--no-fund", "--onnxruntime-node-install=skip"];
  await execute("npm", ["install", ...options, tarball], { cwd: folder });
  return { tarball, folder };
}

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line of a user in the shell, with the folder's own binaries, to its end. */
export function inShell(command: string, cwd: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { cwd, env: { ...process.env, ...env }, timeout: 280_000, maxBuffer: 64 * 1024 * 1024 };
    execFile("/bin/sh", ["-c", command], options, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : typeof error.code === "number" ? error.code : null, stdout, stderr });
    });
  });
}
