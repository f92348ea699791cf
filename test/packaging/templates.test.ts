import { cpSync, existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { expect, test } from "vitest";
import { type TemplateName, templateNames } from "../../packages/tutti/src/cli/init/templates.ts";
import { jsonLines, tutti } from "../cli/command.ts";
import { root, temporaryFolder } from "../system/tutti-process.ts";
import { inShell } from "./installed.ts";

/** A new project, with the workspace's packages in place of `npm install`. */
async function project(template: TemplateName): Promise<string> {
  const parent = temporaryFolder();
  const { status, stdout, stderr } = await tutti(["init", "my-app", "--template", template, "--json"], { cwd: parent });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const folder = join(parent, "my-app");
  expect(jsonLines(stdout)[0]).toMatchObject({ type: "init", template, files: readdirSync(folder).toSorted() });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  return folder;
}

/** What a short training reaches, and what is sure without any: a guess of the most frequent class, or of any character. */
const expected: Readonly<Record<TemplateName, { set: string; metric: string; reaches: (value: number) => boolean }>> = {
  tabular: { set: "epochs=12", metric: "accuracy", reaches: (accuracy) => accuracy > 0.9 }, // guessing: 0.44
  images: { set: "epochs=16", metric: "accuracy", reaches: (accuracy) => accuracy > 0.75 }, // guessing: 0.33
  "onnx-finetune": { set: "epochs=16", metric: "accuracy", reaches: (accuracy) => accuracy > 0.75 },
  text: { set: "steps=60", metric: "perplexity", reaches: (perplexity) => perplexity < 20 }, // guessing: 256
};

test.each(templateNames)("tutti init --template %s makes a project that trains and type-checks", async (template) => {
  const folder = await project(template);
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    name: string;
    dependencies: Readonly<Record<string, string>>;
  };
  expect(manifest).toMatchObject({ name: "my-app", private: true, type: "module" });
  const { set, metric, reaches } = expected[template];
  const trained = await inShell(`npx --no-install tutti train run.ts --set ${set} --json`, folder);
  expect(trained.status, trained.stderr).toBe(0);
  const done = jsonLines(trained.stdout).at(-1)!;
  const value = (done.validation as Readonly<Record<string, number>>)[metric]!;
  expect(reaches(value), `${metric} ${value}`).toBe(true);
  expect(existsSync(join(folder, "runs/run/model.onnx"))).toBe(true);
  const checked = await inShell(`${join(root, "node_modules/.bin/tsc")} -p .`, folder);
  expect(checked).toMatchObject({ status: 0, stdout: "" });
  if (template === "text") {
    const { status, stdout } = await inShell("node write.js 40", folder);
    expect(status).toBe(0);
    expect(stdout.length).toBeGreaterThan(30);
    expect(stdout).toMatch(/^The /);
  }
});

test("draws images that another decoder reads as they were drawn, the same in every project", async () => {
  const folder = await project("images");
  const file = join(folder, "shapes/circle/007.png");
  const { data, info } = await sharp(file).raw().toBuffer({ resolveWithObject: true });
  expect(info).toMatchObject({ width: 28, height: 28 });
  // A filled shape on black with noise up to 60: nothing between the two, and enough of both.
  const grey = Array.from({ length: 28 * 28 }, (_, i) => data[i * info.channels]!);
  const bright = grey.filter((value) => value >= 120).length;
  expect(grey.filter((value) => value > 60 && value < 120)).toEqual([]);
  expect(bright).toBeGreaterThan(60); // a circle of radius 5 has 78 pixels
  expect(bright).toBeLessThan(400); // one of 11 has 380
  const again = await project("onnx-finetune");
  expect(readFileSync(join(again, "shapes/circle/007.png"))).toEqual(readFileSync(file));
});

test("overwrites nothing, and names what is in the way", async () => {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, "run.ts"), "mine");
  const { status, stderr } = await tutti(["init"], { cwd });
  expect(status).toBe(2);
  expect(stderr).toMatch(/^error\[BAD_OPTION\]: \. holds run\.ts already, and nothing is overwritten/);
  expect(readdirSync(cwd)).toEqual(["run.ts"]);
  expect(readFileSync(join(cwd, "run.ts"), "utf8")).toBe("mine");
});

test("names the templates when there is no such one", async () => {
  const { status, stderr } = await tutti(["init", "x", "--template", "audio"], { cwd: temporaryFolder() });
  expect(status).toBe(2);
  expect(stderr).toMatch(/^error\[BAD_OPTION\]: .*tabular.*images.*text.*onnx-finetune/);
});

test("a project made by a tutti that was installed from a file installs it from that file, too", async () => {
  const app = temporaryFolder();
  const own = join(app, "node_modules/tutti");
  cpSync(join(root, "packages/tutti"), own, { recursive: true, filter: (path) => !path.includes("node_modules/.") });
  writeFileSync(join(app, "package.json"), '{ "dependencies": { "tutti": "file:../tutti-0.1.0.tgz" } }');
  const made = await inShell(`${process.execPath} ${join(own, "bin/tutti.js")} init new`, app);
  expect(made.status, made.stderr).toBe(0);
  const manifest = JSON.parse(readFileSync(join(app, "new/package.json"), "utf8")) as {
    dependencies: Readonly<Record<string, string>>;
  };
  expect(manifest.dependencies.tutti).toBe(`file:${join(app, "../tutti-0.1.0.tgz")}`);
});
