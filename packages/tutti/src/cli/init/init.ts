import { existsSync, readFileSync } from "node:fs";
import { cp, mkdir, readdir, writeFile } from "node:fs/promises";
import { basename, join, relative, resolve } from "node:path";
import { TuttiError } from "@tutti/core/errors";
import { ownFolder } from "../../own-package.ts";
import type { Output } from "../output.ts";
import { writeShapes } from "./shapes.ts";
import { type TemplateName, templates } from "./templates.ts";

/** Images of each class: four fifths train. */
const shapesOfEach = 200;

/**
 * `tutti init`: a project that trains, in a folder that is new or does not hold any of its files. Throws BAD_OPTION,
 * OUTPUT_NOT_WRITABLE.
 */
export async function init(
  { directory, template, json }: { directory: string; template: TemplateName; json: boolean },
  output: Output,
): Promise<void> {
  const folder = resolve(directory);
  const source = join(ownFolder, "templates", template);
  const { hasShapes } = templates[template];
  const written = {
    "package.json": packageJson(folder),
    "tsconfig.json": tsconfig,
    ".gitignore": "node_modules/\nruns/\n",
  };
  const names = [...(await readdir(source)), ...Object.keys(written), ...(hasShapes ? ["shapes"] : [])];
  const taken = names.filter((name) => existsSync(join(folder, name)));
  if (taken.length > 0) {
    throw new TuttiError(
      "BAD_OPTION",
      `${directory} holds ${taken.join(", ")} already, and nothing is overwritten: name another folder`,
    );
  }
  try {
    await mkdir(folder, { recursive: true });
    await cp(source, folder, { recursive: true, dereference: true });
    for (const [name, text] of Object.entries(written)) await writeFile(join(folder, name), text);
    if (hasShapes) await writeShapes(join(folder, "shapes"), shapesOfEach);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TuttiError("OUTPUT_NOT_WRITABLE", `${directory}: ${reason}`, {}, { cause });
  }
  const files = names.toSorted();
  if (json) {
    output.json({ type: "init", directory: folder, template, files });
    return;
  }
  const there = relative(process.cwd(), folder);
  output.line(`${there === "" ? "Here" : there}: ${templates[template].describe}`);
  output.line(`  ${files.join("  ")}`);
  output.line();
  output.line("Next:");
  if (there !== "") output.line(`  cd ${there}`);
  output.line(
    "  npm install --onnxruntime-node-install=skip    the CPU engine is in the package; without the flag npm fetches CUDA, too",
  );
  output.line("  npx tutti train run.ts");
}

const tsconfig = `${JSON.stringify(
  {
    compilerOptions: {
      ...{ target: "es2023", module: "nodenext", strict: true, noEmit: true },
      ...{ allowImportingTsExtensions: true, skipLibCheck: true, types: ["node"] },
    },
    include: ["*.ts"],
  },
  null,
  2,
)}\n`;

function packageJson(folder: string): string {
  const name = basename(folder)
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, "-")
    .replace(/^[._-]+/, "");
  const manifest = {
    name: name === "" ? "tutti-project" : name,
    ...{ private: true, type: "module" },
    scripts: { train: "tutti train run.ts", verify: "tutti verify run.ts" },
    dependencies: { tutti: ownSpecifier() },
    devDependencies: { "@types/node": "^22.19.1" },
  };
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** How the new project gets this very version: from where this one was installed, if that was a file. */
function ownSpecifier(): string {
  const { version } = manifestAt(ownFolder);
  const project = resolve(ownFolder, "../.."); // what holds node_modules/tutti
  const specifier = manifestAt(project).dependencies?.tutti;
  return specifier?.startsWith("file:")
    ? `file:${resolve(project, specifier.slice("file:".length))}`
    : `^${version ?? "0.0.0"}`;
}

function manifestAt(folder: string): {
  readonly version?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
} {
  const path = join(folder, "package.json");
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as ReturnType<typeof manifestAt>) : {};
}
