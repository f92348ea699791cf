import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const dist = new URL("../../dist/", import.meta.url);

/** A loader in which onnxruntime-node fails as it does on a machine that its binding was not built for. */
const resolveHook = `export function resolve(specifier, context, next) {
  if (specifier === "onnxruntime-node") throw new Error("libonnxruntime.so.1: cannot open shared object file\\nmore");
  return next(specifier, context);
}`;
const dataUrl = (source: string) => `data:text/javascript,${encodeURIComponent(source)}`;
const registration = `import { register } from "node:module"; register(${JSON.stringify(dataUrl(resolveHook))});`;

const script = `
  import { inlineLane, openLanes } from ${JSON.stringify(new URL("engine/index.js", dist).href)};
  import { Arena } from ${JSON.stringify(new URL("memory/index.js", dist).href)};
  const arena = new Arena();
  async function tell(opening) {
    try {
      const lanes = await opening;
      await lanes.close();
      return { count: lanes.count };
    } catch ({ name, code, message }) {
      return { name, code, message };
    }
  }
  console.log(JSON.stringify([await tell(inlineLane({ arena })), await tell(openLanes({ arena, count: 2 }))]));
`;

test("a machine without the engine's binding gets ENGINE_MISSING with a remedy, and its process ends", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tutti-engine-"));
  const file = join(folder, "script.mjs");
  await writeFile(file, script);
  const flags = ["--import", dataUrl(registration)];
  const ended = run(process.execPath, [...flags, file], { timeout: 30_000 });
  const { stdout } = await ended.finally(() => rm(folder, { recursive: true }));
  const failure = {
    name: "TuttiError",
    code: "ENGINE_MISSING",
    message: expect.stringMatching(
      /^onnxruntime-node does not load on .*: libonnxruntime\.so\.1: cannot open shared object file\. Install it again with "npm install/,
    ),
  };
  expect(JSON.parse(stdout)).toEqual([failure, failure]);
});

test("lanes start from a script that is given with --eval", async () => {
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", script], { timeout: 30_000 });
  expect(JSON.parse(stdout)).toEqual([{ count: 1 }, { count: 2 }]);
});
