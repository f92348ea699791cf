import { readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../system/tutti-process.ts";

const packages = readdirSync(join(root, "packages"));

test.each(packages)("packages/%s imports at run time only what its package.json asks for", (name) => {
  const folder = join(root, "packages", name);
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    dependencies?: Readonly<Record<string, string>>;
    optionalDependencies?: Readonly<Record<string, string>>;
    devDependencies?: Readonly<Record<string, string>>;
  };
  // What is bundled into a page when it is built need not be there at run time.
  const isBundled = name === "dashboard";
  const { dependencies, optionalDependencies, devDependencies } = manifest;
  const known = { ...dependencies, ...optionalDependencies, ...(isBundled ? devDependencies : {}) };
  const sources = readdirSync(join(folder, "src"), { recursive: true, encoding: "utf8" }).filter((file) =>
    /\.tsx?$/.test(file),
  );
  const missing = sources.flatMap((file) => {
    const text = readFileSync(join(folder, "src", file), "utf8");
    const statements = text.matchAll(
      /^(?:import|export)\s(?!type\b)[^"'`;]*?from "([^".][^"]*)"|\bimport\("([^".][^"]*)"\)/gm,
    );
    return [...statements].flatMap(([, from, lazily]) => {
      const specifier = from ?? lazily!;
      const asked = specifier
        .split("/")
        .slice(0, specifier.startsWith("@") ? 2 : 1)
        .join("/");
      return isBuiltin(specifier) || asked in known ? [] : [`${file}: ${specifier}`];
    });
  });
  expect(sources.length).toBeGreaterThan(3);
  expect(missing).toEqual([]);
});
