// Bundles what users run: the library, the command, and the entries of worker processes and threads, into few files that share
// what they have in common (packages/tutti/bundle). Loading the 480 modules of the workspace and of its dependencies one by one
// took most of a start. What npm packages of plain JavaScript export travels inside; their licences, too.
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
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
  "write-thread": "core/src/checkpoint/write-thread.ts",
  "faulty-engine": "tutti/src/chaos/faulty-engine.ts",
  // Piscina starts the file of this name that lies beside its own.
  worker: "core/node_modules/piscina/dist/worker.js",
};

/** Stays outside: native code, or files that it finds beside its own. All must be dependencies of packages/tutti. */
export const external = ["jiti", "koffi", "onnxruntime-node", "onnxruntime-web", "sharp"];

/** Packages that packages ask for in vain if they are not there: quicker forms of what they can do themselves. */
const optional = ["@napi-rs/nice", "bufferutil", "msgpackr-extract", "utf-8-validate"];

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
 * An ES import of node:http reads all that it exports, and so loads Node's WebSocket client with all of undici: 40 ms in each
 * process of Node 26. Requiring it does not.
 */
const lazyHttp = {
  name: "lazy-http",
  resolveId: {
    filter: { id: /^(node:)?https?$/ },
    handler: (id, _importer, { kind }) =>
      kind === "import-statement" ? `\0lazy:${id.replace("node:", "")}` : undefined,
  },
  load: {
    filter: { id: /^\0lazy:/ },
    handler(id) {
      const name = id.slice("\0lazy:".length);
      const names = ["Agent", "createServer", "get", "request", "Server", "STATUS_CODES"];
      const module = createRequire(import.meta.url)(`node:${name}`);
      const exported = names.filter((key) => key in module);
      return [
        'import { createRequire } from "node:module";',
        `const loaded = createRequire(import.meta.url)("node:${name}");`,
        `export const { ${exported.join(", ")} } = loaded;`,
        "export default loaded;",
      ].join("\n");
    },
  },
};

/** What yargs measures its help with loads Intl's tables, 20 ms, when it is imported: now when help is shown. */
const lazySegmenter = {
  name: "lazy-segmenter",
  transform: {
    filter: { id: /\/string-width\/index\.js$/, code: /Intl\.Segmenter/ },
    handler(code) {
      const eager = "const segmenter = new Intl.Segmenter();";
      if (code.split(eager).length !== 2) throw new Error(`string-width: expected once: ${eager}`);
      const lazy =
        "let loaded; const segmenter = { segment: (text) => (loaded ??= new Intl.Segmenter()).segment(text) };";
      return { code: code.replace(eager, lazy), map: null };
    },
  },
};

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

/** Writes packages/tutti/bundle, whole or not at all. */
export async function bundle() {
  const folder = join(packages, "tutti/bundle");
  const unfinished = `${folder}-${process.pid}`;
  const building = await rolldown({
    platform: "node",
    input: Object.fromEntries(Object.entries(entries).map(([name, path]) => [name, join(packages, path)])),
    external: isExternal,
    plugins: [ownSources, lazyHttp, lazySegmenter],
    tsconfig: false,
    transform: { define: { __dirname: "import.meta.dirname" } }, // of CommonJS modules: piscina's, to find its worker.js
    onLog(level, log) {
      // What cannot be found must not be found out at run time.
      if (level === "warn" && log.code !== "EVAL") throw new Error(log.message);
    },
  });
  try {
    const { output } = await building.write({
      dir: unfinished,
      format: "esm",
      sourcemap: true,
      comments: { legal: true, annotation: true, jsdoc: false },
      chunkFileNames: "chunk-[name].js",
    });
    const modules = output.flatMap((chunk) => (chunk.type === "chunk" ? Object.keys(chunk.modules) : []));
    writeFileSync(join(unfinished, "LICENSES.txt"), licences(modules));
  } finally {
    await building.close();
  }
  const old = `${folder}-old-${process.pid}`;
  if (existsSync(folder)) renameSync(folder, old);
  renameSync(unfinished, folder);
  rmSync(old, { recursive: true, force: true });
}
