import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../system/tutti-process.ts";
import { tutti } from "./command.ts";

const commands = [
  "init",
  "train",
  "coordinator",
  "worker",
  "verify",
  "plan",
  "export",
  "inspect",
  "data",
  "replay",
  "ui",
  "doctor",
];
const reference = readFileSync(join(root, "docs/cli.md"), "utf8");

test("lists every command", async () => {
  const { status, stdout } = await tutti(["--help"]);
  expect(status).toBe(0);
  for (const command of commands) expect(stdout).toContain(`tutti ${command}`);
});

for (const command of commands) {
  test(`explains ${command} with an example, and docs/cli.md has its options`, async () => {
    const { status, stdout, stderr } = await tutti([command, "--help"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(new RegExp(`Examples:\\n\\s+.*tutti ${command}`));
    const section = reference.split(/^## /m).find((part) => part.startsWith(`\`tutti ${command}`)) ?? "";
    const options = [...stdout.matchAll(/^\s+(?:-\w, +)?(--[\w-]+)/gm)].map(([, option]) => option!);
    for (const option of options.filter((name) => !["--help", "--version", "--json"].includes(name))) {
      expect(section, `${command} ${option}`).toContain(option);
    }
  });
}

test("prints its version", async () => {
  const { version } = JSON.parse(readFileSync(join(root, "packages/tutti/package.json"), "utf8")) as {
    version: string;
  };
  expect((await tutti(["--version"])).stdout.trim()).toBe(version);
});
