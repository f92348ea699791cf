import { execFile } from "node:child_process";
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { publint } from "publint";
import { beforeAll, expect, test } from "vitest";
import { jsonLines, tutti } from "../cli/command.ts";
import { root, temporaryFolder } from "../system/tutti-process.ts";
import { type Installed, inShell, installed } from "./installed.ts";

const execute = promisify(execFile);

let app: Installed;
beforeAll(async () => {
  app = await installed();
});

const packageFolder = (): string => join(app.folder, "node_modules/tutti");

test("publint finds nothing to say about the package", async () => {
  const { messages } = await publint({ pkgDir: packageFolder(), pack: false, strict: true });
  expect(messages).toEqual([]);
});

test("its types are right wherever an ES module imports it (are-the-types-wrong)", async () => {
  const attw = join(root, "node_modules/.bin/attw");
  const { stdout } = await execute(attw, [app.tarball, "--profile", "esm-only", "--format", "json"]);
  const { analysis } = JSON.parse(stdout) as {
    analysis: { types: { kind: string }; problems: readonly { resolutionKind?: string }[] };
  };
  expect(analysis.types).toMatchObject({ kind: "included" });
  // Those of the profile: CommonJS and the resolution of Node 10 are not offered.
  const problems = analysis.problems.filter(
    ({ resolutionKind }) => resolutionKind !== "node10" && resolutionKind !== "node16-cjs",
  );
  expect(problems).toEqual([]);
});

test("holds what runs, its types and licences, and nothing else", () => {
  const files = readdirSync(packageFolder(), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(packageFolder().length + 1));
  const strange = files.filter(
    (path) =>
      !/^(bin|bundle|dist|templates)\/|^node_modules\/@tutti\/[a-z]+\/(dist|wasm|page)\//.test(path) &&
      !/^(node_modules\/@tutti\/[a-z]+\/)?package\.json$/.test(path) &&
      !path.startsWith("node_modules/onnxruntime-web/") &&
      !["README.md", "LICENSE", "CHANGELOG.md"].includes(path),
  );
  expect(strange).toEqual([]);
  expect(
    files.filter((path) => /\.test\.|\.map$|\.tsbuildinfo$|(?<!\.d)\.ts$/.test(path) && !path.startsWith("templates/")),
  ).toEqual([]);
});

test("carries of onnxruntime-web what Node loads, with its licence, and computes with it", async () => {
  const folder = join(packageFolder(), "node_modules/onnxruntime-web");
  expect(readFileSync(join(folder, "LICENSE"), "utf8")).toMatch(
    /^MIT License\n\nCopyright \(c\) Microsoft Corporation\n/,
  );
  expect(readdirSync(join(folder, "dist"))).toHaveLength(4);
  const { status, stdout } = await inShell("npx --no-install tutti doctor --json", app.folder, {
    TUTTI_ENGINE: "wasm",
  });
  expect(status).toBe(0);
  expect(jsonLines(stdout).at(-1)).toMatchObject({ engine: { name: "onnxruntime-web" } });
});

test("imports from npm only what it asks for, and passes on the licence of what travels in its bundle", () => {
  const folder = join(packageFolder(), "bundle");
  const { dependencies, optionalDependencies } = JSON.parse(
    readFileSync(join(packageFolder(), "package.json"), "utf8"),
  ) as {
    dependencies: Readonly<Record<string, string>>;
    optionalDependencies?: Readonly<Record<string, string>>;
  };
  const imported = new Set<string>();
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".js"))) {
    const text = readFileSync(join(folder, file), "utf8");
    for (const [, from, lazily] of text.matchAll(
      /^(?:import|export)\b[^"'`;]*?"([^".][^"]*)";$|\bimport\("([^".][^"]*)"\)/gm,
    ))
      imported.add(from ?? lazily!);
  }
  const packages = [...imported].filter((specifier) => !isBuiltin(specifier));
  expect(packages).toEqual(expect.arrayContaining(["jiti", "onnxruntime-node", "onnxruntime-web", "sharp"]));
  expect(Object.keys({ ...dependencies, ...optionalDependencies })).toEqual(expect.arrayContaining(packages));
  const licences = readFileSync(join(folder, "LICENSES.txt"), "utf8");
  for (const name of ["ws", "yargs", "protobufjs", "piscina"])
    expect(licences).toMatch(new RegExp(`^${name} \\d`, "m"));
});

test("a worker process loads neither what builds graphs nor a coordinator", () => {
  const folder = join(packageFolder(), "bundle");
  const loaded = new Set<string>();
  const load = (file: string): void => {
    if (loaded.has(file)) return;
    loaded.add(file);
    const text = readFileSync(join(folder, file), "utf8");
    for (const [, imported] of text.matchAll(/^(?:import|export)\b[^"'`;]*?"\.\/([^"]+)";$/gm)) load(imported!);
  };
  for (const entry of ["local-worker.js", "chunk-graph-check.js", "lane-thread.js"]) load(entry);
  const bytes = [...loaded].reduce((sum, file) => sum + readFileSync(join(folder, file)).length, 0);
  expect(loaded).not.toContain("index.js");
  expect(loaded).not.toContain("chunk-train.js");
  expect(bytes).toBeGreaterThan(400_000); // of which the most is the operator table, the schemas of messages and ws
  expect(bytes).toBeLessThan(1_000_000);
});

test("asks for exact versions, and for no package of the workspace", () => {
  const manifest = JSON.parse(readFileSync(join(packageFolder(), "package.json"), "utf8")) as {
    version: string;
    dependencies: Readonly<Record<string, string>>;
    bundleDependencies: readonly string[];
  };
  for (const [name, range] of Object.entries(manifest.dependencies)) expect(range, name).toMatch(/^\d+\.\d+\.\d+$/);
  const own = Object.keys(manifest.dependencies).filter((name) => name.startsWith("@tutti/"));
  expect([...own, "onnxruntime-web"].toSorted()).toEqual(manifest.bundleDependencies.toSorted());
  expect(own.length).toBeGreaterThan(2);
  // All of them inside, none beside.
  expect(readdirSync(join(app.folder, "node_modules")).includes("@tutti")).toBe(false);
});

test("trains in a folder that has nothing else, to the same bits as the workspace", async () => {
  const out = join(temporaryFolder(), "run");
  copyFileSync(join(root, "examples/linear.ts"), join(app.folder, "run.ts"));
  const command = `npx --no-install tutti train run.ts --workers 2 --out ${out} --dashboard-port 0 --json`;
  const ran = await inShell(command, app.folder);
  expect(ran).toMatchObject({ status: 0 });
  const events = jsonLines(ran.stdout);
  const done = events.at(-1)!;
  expect(events.filter(({ type }) => type === "dashboard")).toHaveLength(1); // its page was found
  expect(done).toMatchObject({ type: "done", outcome: "completed", steps: 1000 });
  // The noise of the data has a variance of 0.01.
  expect((done.validation as { mse: number }).mse).toBeLessThan(0.0105);
  expect(events.filter(({ type, event }) => type === "worker" && event === "joined")).toHaveLength(2);
  const here = await tutti(["train", "examples/linear.ts", "--workers", "0", "--json", "--out", `${out}-here`]);
  expect(done.weightsSha256).toBe(jsonLines(here.stdout).at(-1)!.weightsSha256);
});

test("gives a run file its columns' types: a misspelt column does not compile", async () => {
  const text = (column: string): string => `import { data, defineRun, nn, optim } from "tutti";
const model = nn.linear(2, 1);
export default defineRun({
  data: { train: data.csv("points.csv", { columns: { x: { dtype: "float32", from: ["a", "b"] }, y: "float32" } }) },
  model,
  step: ({ x, ${column} }) => ({ loss: nn.mse(model(x).squeeze(1), ${column}) }),
  optimizer: optim.adam({ lr: 1e-2 }),
  batchSize: 32,
});
`;
  const compile = async (column: string) => {
    writeFileSync(join(app.folder, "typed.ts"), text(column));
    const tsc = join(root, "node_modules/.bin/tsc");
    return inShell(
      `${tsc} --noEmit --strict --exactOptionalPropertyTypes --module nodenext --target es2023 --types "" --skipLibCheck typed.ts`,
      app.folder,
    );
  };
  expect(await compile("y")).toMatchObject({ status: 0, stdout: "" });
  const misspelt = await compile("z");
  expect(misspelt.status).not.toBe(0);
  expect(misspelt.stdout).toContain("Property 'z' does not exist on type");
});
