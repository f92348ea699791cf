// `npm run pack [-- FOLDER]`: the one package that users install, as FOLDER/tutti-VERSION.tgz (dist/ by default). The workspace's
// packages that tutti needs travel inside it (bundleDependencies), so that a single file installs without any of them being
// published; what they import from npm becomes tutti's own dependency, pinned as in the workspace.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const target = resolve(process.argv[2] ?? join(root, "dist"));

const workspace = new Map(
  readdirSync(join(root, "packages")).map((folder) => {
    const directory = join(root, "packages", folder);
    const manifest = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
    return [manifest.name, { directory, manifest }];
  }),
);

/** Names of the workspace's packages that one needs, itself first. */
function closure(name, found = new Set()) {
  if (found.has(name) || !workspace.has(name)) return found;
  found.add(name);
  for (const dependency of Object.keys(workspace.get(name).manifest.dependencies ?? {})) closure(dependency, found);
  return found;
}

/** Copies what a package's `files` names. Source maps point to sources that stay here, build information is the compiler's. */
function copyFiles({ directory, manifest }, destination) {
  for (const entry of manifest.files) {
    const source = join(directory, entry);
    if (!existsSync(source)) throw new Error(`${relative(root, source)} is not there: run npm run build`);
    cpSync(source, join(destination, entry), {
      recursive: true,
      filter: (path) => !/\.(map|tsbuildinfo)$/.test(path),
    });
  }
}

/** Dependencies from npm of several packages. Throws when two want different versions: only one can be installed. */
function union(names, field) {
  const wanted = {};
  for (const name of names) {
    for (const [dependency, range] of Object.entries(workspace.get(name).manifest[field] ?? {})) {
      if (workspace.has(dependency)) continue;
      if (wanted[dependency] !== undefined && wanted[dependency] !== range) {
        throw new Error(`${dependency}: ${name} wants ${range}, another package ${wanted[dependency]}`);
      }
      wanted[dependency] = range;
    }
  }
  return Object.fromEntries(Object.entries(wanted).sort(([a], [b]) => (a < b ? -1 : 1)));
}

const stage = mkdtempSync(join(tmpdir(), "tutti-pack-"));
try {
  const [own, ...bundled] = closure("tutti");
  const { version, license, engines } = workspace.get(own).manifest;
  for (const name of bundled) {
    const { directory, manifest } = workspace.get(name);
    const destination = join(stage, "node_modules", name);
    mkdirSync(destination, { recursive: true });
    copyFiles({ directory, manifest }, destination);
    const { type, exports, sideEffects } = manifest;
    const inside = { name, version, license, type, exports, sideEffects };
    writeFileSync(join(destination, "package.json"), `${JSON.stringify(inside, null, 2)}\n`);
  }
  copyFiles(workspace.get(own), stage);
  for (const file of ["LICENSE", "CHANGELOG.md"]) cpSync(join(root, file), join(stage, file));
  cpSync(join(workspace.get(own).directory, "README.md"), join(stage, "README.md"));
  const { devDependencies, private: unpublished, ...published } = workspace.get(own).manifest;
  const optional = union([own, ...bundled], "optionalDependencies");
  const manifest = {
    ...published,
    engines,
    dependencies: {
      ...Object.fromEntries(bundled.map((name) => [name, version])),
      ...union([own, ...bundled], "dependencies"),
    },
    ...(Object.keys(optional).length > 0 && { optionalDependencies: optional }),
    bundleDependencies: bundled,
  };
  writeFileSync(join(stage, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  mkdirSync(target, { recursive: true });
  const args = ["pack", "--ignore-scripts", "--json", "--pack-destination", target];
  const packed = spawnSync("npm", args, { cwd: stage, encoding: "utf8", shell: process.platform === "win32" });
  if (packed.status !== 0) throw new Error(`npm pack failed:\n${packed.stderr}`);
  const [{ filename, size, unpackedSize, entryCount }] = JSON.parse(packed.stdout);
  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  console.log(`${join(target, basename(filename))}`);
  console.log(`${entryCount} files, ${megabytes(size)} packed, ${megabytes(unpackedSize)} unpacked`);
} finally {
  rmSync(stage, { recursive: true, force: true });
}
