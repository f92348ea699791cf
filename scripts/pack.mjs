// `npm run pack [-- FOLDER]`: the one package that users install, as FOLDER/tutti-VERSION.tgz (dist/ by default). Its code is the
// bundle of scripts/bundle.mjs. Of the workspace's packages that tutti needs, types, kernels and page travel inside it
// (bundleDependencies), so that a single file installs without any of them being published; what the bundle and the types
// import from npm becomes tutti's own dependency, pinned as in the workspace.
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { external } from "./bundle.mjs";

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

/** Specifiers of what a module or its types import. */
function importsOf(file) {
  const text = readFileSync(file, "utf8");
  return [...text.matchAll(/(?:\bfrom|^import|\bimport\()\s*"([^"]+)"/gm)].map(([, specifier]) => specifier);
}

/** The files of types that those of a package's entry refer to, in any package of the workspace, with itself. */
function typesFrom(file, found = new Set()) {
  if (found.has(file)) return found;
  found.add(file);
  for (const specifier of importsOf(file)) {
    const [scope, name, folder] = specifier.split("/");
    const own = workspace.get(`${scope}/${name}`);
    const path = specifier.startsWith(".")
      ? join(dirname(file), specifier.replace(/(\.d)?\.[jt]s$/, ".d.ts"))
      : own && join(own.directory, "dist", folder ?? "", "index.d.ts");
    if (path !== undefined) typesFrom(path, found);
  }
  return found;
}

/**
 * Copies what a package's `files` names: of what the compiler wrote only the types that users meet, for the bundle is what
 * runs. Source maps point to sources that stay here.
 */
function copyFiles({ directory, manifest }, destination) {
  for (const entry of manifest.files) {
    const source = join(directory, entry);
    if (!existsSync(source)) throw new Error(`${relative(root, source)} is not there: run npm run build`);
    cpSync(source, join(destination, entry), {
      recursive: true,
      dereference: true, // templates share files
      filter: (path) => {
        const isCompiled = entry === "dist" && statSync(path).isFile();
        return isCompiled ? types.has(path) : !path.endsWith(".map");
      },
    });
  }
}

/** Packages that the bundle leaves outside, and those that the types refer to. */
function asked() {
  const specifiers = [...types].flatMap(importsOf);
  return new Set([...external, ...specifiers.map((specifier) => /^(@[^/]+\/)?[^/]+/.exec(specifier)[0])]);
}

const types = typesFrom(join(workspace.get("tutti").directory, "dist/index.d.ts"));

/** Dependencies from npm of several packages, as far as they are asked for. Throws when two want different versions: only one can be installed. */
function union(names, field) {
  const wanted = {};
  for (const name of names) {
    for (const [dependency, range] of Object.entries(workspace.get(name).manifest[field] ?? {})) {
      if (workspace.has(dependency) || !asked().has(dependency)) continue;
      if (wanted[dependency] !== undefined && wanted[dependency] !== range) {
        throw new Error(`${dependency}: ${name} wants ${range}, another package ${wanted[dependency]}`);
      }
      wanted[dependency] = range;
    }
  }
  return Object.fromEntries(Object.entries(wanted).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * The part of a package from npm that we load: all of onnxruntime-web, 139 MB, would double what users
 * install, for the few machines without native engine.
 */
const pruned = {
  "onnxruntime-web": {
    from: "core",
    files: [
      "dist/ort.node.min.js",
      "dist/ort.node.min.mjs",
      "dist/ort-wasm-simd-threaded.mjs",
      "dist/ort-wasm-simd-threaded.wasm",
    ],
    exports: { ".": { import: "./dist/ort.node.min.mjs", require: "./dist/ort.node.min.js" } },
  },
};

function copyPruned(name, destination) {
  const { from, files, exports } = pruned[name];
  const source = join(root, "packages", from, "node_modules", name);
  const { version, license, author, repository } = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));
  for (const file of files) cpSync(join(source, file), join(destination, file));
  // The package itself carries no text of its licence, which is ours, too, but for the holder.
  if (license !== "MIT") throw new Error(`${name}: expected the MIT licence, found ${license}`);
  const text = readFileSync(join(root, "LICENSE"), "utf8");
  writeFileSync(join(destination, "LICENSE"), text.replace(/^Copyright .*$/m, "Copyright (c) Microsoft Corporation"));
  const manifest = { name, version, license, author, repository, exports };
  writeFileSync(join(destination, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}

/** The code that a package exports is in the bundle; its types are not. */
function withoutCode(exports) {
  return Object.fromEntries(
    Object.entries(exports).map(([path, target]) => [
      path,
      target.types === undefined ? target : { types: target.types },
    ]),
  );
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
    const { type, sideEffects } = manifest;
    const inside = { name, version, license, type, exports: withoutCode(manifest.exports), sideEffects };
    writeFileSync(join(destination, "package.json"), `${JSON.stringify(inside, null, 2)}\n`);
  }
  for (const name of Object.keys(pruned)) copyPruned(name, join(stage, "node_modules", name));
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
    bundleDependencies: [...bundled, ...Object.keys(pruned)],
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
