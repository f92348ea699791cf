import { execFile } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import * as tutti from "../../packages/tutti/dist/index.js";
import { root, temporaryFolder } from "../system/tutti-process.ts";

const execute = promisify(execFile);

/** "train", "nn.linear", "optim.schedule.cosine" and so on: what a run file can call. */
function callables(value: object, prefix = ""): readonly string[] {
  return Object.entries(value).flatMap(([name, member]) => {
    if (typeof member === "function") return [`${prefix}${name}`];
    return typeof member === "object" && member !== null ? callables(member, `${prefix}${name}.`) : [];
  });
}

test("npm run docs writes a page with an explanation for everything that the package exports", async () => {
  const out = join(temporaryFolder(), "reference");
  await execute(process.execPath, [join(root, "scripts/docs.mjs"), out], { cwd: root });
  const names = callables(tutti);
  expect(names.length).toBeGreaterThan(100);
  const unexplained = names.filter((name) => {
    const page = ["functions", "classes", "variables"].map((kind) => join(out, kind, `${name}.html`)).find(existsSync);
    return page === undefined || !readFileSync(page, "utf8").includes('class="tsd-comment tsd-typography"><p>');
  });
  expect(unexplained).toEqual([]);
});

test("an export without a docstring fails npm run docs", async () => {
  const folder = temporaryFolder();
  const options = JSON.parse(readFileSync(join(root, "scripts/reference/typedoc.json"), "utf8")) as object;
  const file = join(folder, "index.ts");
  writeFileSync(
    file,
    "/** Said. */\nexport function said(): void {}\nexport interface Unsaid {\n  readonly x: number;\n}\n",
  );
  writeFileSync(
    join(folder, "tsconfig.json"),
    '{ "compilerOptions": { "strict": true, "types": [] }, "files": ["index.ts"] }',
  );
  writeFileSync(
    join(folder, "typedoc.json"),
    JSON.stringify({
      ...options,
      entryPoints: [file],
      tsconfig: join(folder, "tsconfig.json"),
      out: join(folder, "out"),
    }),
  );
  const typedoc = join(root, "scripts/reference/node_modules/typedoc/bin/typedoc");
  const failed = execute(process.execPath, [typedoc, "--options", join(folder, "typedoc.json")], { cwd: folder });
  await expect(failed).rejects.toMatchObject({
    stderr: expect.stringMatching(/Unsaid.*does not have any documentation/),
  });
});
