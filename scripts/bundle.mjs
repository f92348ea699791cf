// Bundles what users run: the library, the command, and the entries of worker processes and threads, into few files that share
// what they have in common (packages/tutti/bundle). Loading the 480 modules of the workspace and of its dependencies one by one
// took most of a start. What npm packages of plain JavaScript export travels inside; their licences, too.
import { existsSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const root = fileURLToPath(new URL("..", import.meta.url));
const packages = join(root, "packages");

/** By the name of the file in the bundle. */
const entries = {
  index: "tutti/src/index.ts",
  cli: "tutti/src/cli/main.ts",
  "local-worker": "worker/src/local-main.ts",
  "lane-thread": "core/src/engine/lane-thread.ts",
  "update-thread": "core/src/exchange/update-thread.ts",
  "write-thread": "core/src/checkpoint/write-thread.ts",
  "faulty-engine": "tutti/src/chaos/faulty-engine.ts",
  // Piscina starts the file of this name that lies beside its own.
  worker: "core/node_modules/piscina/dist/worker.js",
};

/** Stays outside: native code, or files that it finds beside its own. All must be dependencies of packages/tutti. */
export const external = ["jiti", "koffi", "onnxruntime-node", "onnxruntime-web", "sharp"];

/** Packages that packages ask for in vain if they are not there: quicker forms of what they can do themselves. */
const optional = ["@napi-rs/nice", "bufferutil", "msgpackr-extract", "utf-8-validate"];

/** What chunks of `loadedTogether` hold anyway need not come later; code that packages evaluate is theirs. */
const harmless = ["EVAL", "INEFFECTIVE_DYNAMIC_IMPORT"];

const isExternal = (id) => [...external, ...optional].some((name) => id === name || id.startsWith(`${name}/`));

/** Our packages are read from their sources, as the tests do. */
const ownSources = {
  name: "own-sources",
  resolveId: {
    filter: { id: /^@tutti\// },
    handler(id) {
      const [, name, folder] = id.split("/");
      return join(packages, name, "src", folder ?? "", "index.ts");
    },
  },
};

/**
 * Node's own modules are required, not imported: an ES import reads all that a module exports, and so loads streams and promises
 * for node:fs, Web Crypto for node:crypto, and all of undici for node:http: 60 ms in each process of Node 26.
 */
const rarelyCalled = ["child_process", "readline", "zlib"];

const requiredBuiltins = {
  name: "required-builtins",
  renderChunk(code, { fileName }) {
    let isHead = true;
    const lines = code.split("\n").map((line) => {
      if (!isHead || !line.startsWith("import ")) {
        isHead &&= line === "" || line.startsWith("//");
        return line;
      }
      const [, bound, name] = /^import (.+) from "([^"]+)";$/.exec(line) ?? [];
      if (name === undefined || !isBuiltin(name)) return line;
      const [, names] = /^\{ (.+) \}$/.exec(bound) ?? [];
      const [, whole] = /^(?:\* as )?([\w$]+)$/.exec(bound) ?? [];
      if ((names ?? whole) === undefined) throw new Error(`${fileName}: expected names or one name, found ${line}`);
      const taken = names === undefined ? whole : `{ ${names.replaceAll(" as ", ": ")} }`;
      const found = `process.getBuiltinModule("${name}")`;
      if (names === undefined || !rarelyCalled.includes(name.replace("node:", "")) || /\b[A-Z]/.test(names))
        return `const ${taken} = ${found};`;
      // Functions, looked up when they are first called.
      return names
        .split(", ")
        .map((pair) => pair.split(" as "))
        .map(([own, local = own]) => `let ${local} = (...given) => (${local} = ${found}.${own})(...given);`)
        .join(" ");
    });
    return { code: lines.join("\n"), map: null };
  },
};

/** Replaces what must be there exactly once, or as often as said. */
function replaced(id, code, from, to) {
  if (code.split(from).length !== 2) throw new Error(`${id}: expected once: ${from}`);
  return code.replace(from, () => to);
}

/** What a command does not need before it trains, and packages do when they are loaded or called. */
const lazyParts = [
  {
    // Only what speaks TLS or compresses needs these: 20 ms.
    filter: /\/ws\/lib\/[a-z-]+\.js$/,
    change: (_, code) => {
      const lazy = ["https", "tls", "zlib"].filter((name) => code.includes(`const ${name} = require('${name}');`));
      return lazy.reduce(
        (changed, name) =>
          changed
            .replace(`const ${name} = require('${name}');`, "")
            .replace(new RegExp(`\\b${name}\\.(?=[a-zA-Z])`, "g"), `process.getBuiltinModule('${name}').`),
        code,
      );
    },
  },
  {
    // Intl's tables: 20 ms.
    filter: /\/string-width\/index\.js$/,
    change: (id, code) => {
      if (!code.includes("Intl.Segmenter")) return code; // an older version, which another package asks for
      const segmenter = replaced(
        id,
        code,
        "const segmenter = new Intl.Segmenter();",
        "let loaded; const segmenter = { segment: (text) => (loaded ??= new Intl.Segmenter()).segment(text) };",
      );
      // Sets of characters are made where they are first used: 15 ms.
      const expression = /^const (\w+) = (\/.+\/[a-z]*[uv][a-z]*);$/m;
      let changed = segmenter;
      for (let found = expression.exec(changed); found !== null; found = expression.exec(changed)) {
        const [line, name, literal] = found;
        changed = changed.replace(line, "").replaceAll(new RegExp(`\\b${name}\\b`, "g"), () => literal);
      }
      return changed;
    },
  },
  {
    // It renders the command's help in case that its work fails, which then says why without it: 40 ms.
    filter: /\/yargs\/build\/lib\/command\.js$/,
    change: (id, code) => replaced(id, code, "yargs.getInternalMethods().getUsageInstance().cacheHelpMessage();", ";"),
  },
].map(({ filter, change }, i) => ({
  name: `lazy-part-${i}`,
  transform: { filter: { id: filter }, handler: (code, id) => ({ code: change(id, code), map: null }) },
}));

/** What npm packages say of themselves, and the text of their licences. Throws for one without either. */
function licences(modules) {
  const folders = new Map();
  for (const id of modules) {
    const [, folder, name] = /^(.*\/node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(id) ?? [];
    if (name !== undefined) folders.set(name, folder);
  }
  const texts = [...folders].toSorted().map(([name, folder]) => {
    const { version, license, scripts, gypfile } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    if (gypfile === true || scripts?.install !== undefined)
      throw new Error(`${name} holds native code: add it to \`external\` here and to packages/tutti/package.json`);
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    if (license === undefined || file === undefined) throw new Error(`${name}: no licence to pass on in ${folder}`);
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
  });
  return `These packages travel inside the files beside this one.\n\n${texts.join(`\n${"-".repeat(80)}\n\n`)}`;
}

/**
 * What is loaded at once, by the modules that are asked for: files are cut so that each of these needs few of them. Every file
 * more costs 0.5 ms in each process.
 */
const loadedTogether = {
  entry: ["tutti/src/cli/main.ts"],
  command: ["tutti/src/cli/run-main.ts"],
  processes: ["tutti/src/local-workers.ts"],
  lanes: ["tutti/src/in-process-lanes.ts", "core/node_modules/piscina/dist/esm-wrapper.mjs"],
  train: ["tutti/src/cli/train-run.ts", "tutti/src/index.ts"],
  worker: ["worker/src/local-main.ts", "core/node_modules/piscina/dist/esm-wrapper.mjs"],
  check: ["worker/src/graph-check.ts"],
  lane: ["core/src/engine/lane-thread.ts", "core/node_modules/piscina/dist/worker.js"],
  write: ["core/src/checkpoint/write-thread.ts"],
};

/** Which of `loadedTogether` need each module, by its id, as the chunks of a first build show: they hold what is used only. */
function neededBy(chunks) {
  const byFile = new Map(chunks.map((chunk) => [chunk.fileName, chunk]));
  const needed = new Map();
  for (const [name, paths] of Object.entries(loadedTogether)) {
    const asked = paths.map((path) => realpathSync(join(packages, path)));
    const open = chunks.filter((chunk) => asked.some((id) => id in chunk.modules));
    if (asked.some((id) => !open.some(({ modules }) => id in modules))) throw new Error(`${name}: not in the bundle`);
    const seen = new Set(open);
    for (const { imports, modules } of open) {
      for (const id of Object.keys(modules)) needed.set(id, [...(needed.get(id) ?? []), name]);
      for (const chunk of imports.flatMap((file) => byFile.get(file) ?? [])) {
        if (!seen.has(chunk)) open.push(chunk);
        seen.add(chunk);
      }
    }
  }
  return needed;
}

/** Writes packages/tutti/bundle, whole or not at all. */
export async function bundle() {
  const folder = join(packages, "tutti/bundle");
  const unfinished = `${folder}-${process.pid}`;
  const build = () =>
    rolldown({
      platform: "node",
      input: Object.fromEntries(Object.entries(entries).map(([name, path]) => [name, join(packages, path)])),
      external: isExternal,
      plugins: [ownSources, ...lazyParts, requiredBuiltins],
      preserveEntrySignatures: "allow-extension", // of chunks that are cut by hand; no entry is in one
      tsconfig: false,
      transform: { define: { __dirname: "import.meta.dirname" } }, // of CommonJS modules: piscina's, to find its worker.js
      onLog(level, log) {
        // What cannot be found must not be found out at run time.
        if (level === "warn" && !harmless.includes(log.code)) throw new Error(log.message);
      },
    });
  const chunksOf = ({ output }) => output.filter(({ type }) => type === "chunk");
  const first = await build();
  const needed = neededBy(chunksOf(await first.generate({ format: "esm" })));
  for (const path of Object.values(entries)) needed.delete(realpathSync(join(packages, path)));
  await first.close();
  const building = await build();
  try {
    const written = await building.write({
      dir: unfinished,
      format: "esm",
      sourcemap: true,
      comments: { legal: true, annotation: true, jsdoc: false },
      chunkFileNames: "chunk-[name].js",
      codeSplitting: {
        includeDependenciesRecursively: false,
        groups: [{ debugName: "loaded-together", name: (id) => needed.get(id)?.join("-") ?? null }],
      },
    });
    const modules = chunksOf(written).flatMap((chunk) => Object.keys(chunk.modules));
    writeFileSync(join(unfinished, "LICENSES.txt"), licences(modules));
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    throw error;
  } finally {
    await building.close();
  }
  const old = `${folder}-old-${process.pid}`;
  if (existsSync(folder)) renameSync(folder, old);
  renameSync(unfinished, folder);
  rmSync(old, { recursive: true, force: true });
}
