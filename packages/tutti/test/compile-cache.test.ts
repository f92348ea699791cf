import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { compileCacheFolder } from "../src/compile-cache.ts";
import { LocalWorkers } from "../src/local-workers.ts";

afterEach(() => vi.unstubAllEnvs());

function caches(): string {
  const folder = mkdtempSync(join(tmpdir(), "tutti-caches-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test("keeps compiled code in the user's own cache folder, or where Node was told to", () => {
  vi.stubEnv("NODE_COMPILE_CACHE", undefined);
  vi.stubEnv("XDG_CACHE_HOME", "/somebody/caches");
  expect(compileCacheFolder()).toBe("/somebody/caches/tutti/compile-cache");
  vi.stubEnv("XDG_CACHE_HOME", "");
  vi.stubEnv("HOME", "/somebody");
  expect(compileCacheFolder()).toMatch(/^\/somebody\/(\.cache|Library\/Caches)\/tutti\/compile-cache$/);
  vi.stubEnv("NODE_COMPILE_CACHE", "/elsewhere");
  expect(compileCacheFolder()).toBe("/elsewhere");
});

test("worker processes use the same folder, and none when Node was told so", async () => {
  const folder = caches();
  vi.stubEnv("NODE_COMPILE_CACHE", join(folder, "used"));
  const workers = new LocalWorkers(1);
  workers.start(1);
  await workers.close(30_000); // they end because there is nothing to join
  const knowsCache = process.versions.node.localeCompare("22.8", undefined, { numeric: true }) >= 0;
  expect(existsSync(join(folder, "used"))).toBe(knowsCache);
  vi.stubEnv("NODE_COMPILE_CACHE", join(folder, "unused"));
  vi.stubEnv("NODE_DISABLE_COMPILE_CACHE", "1");
  const others = new LocalWorkers(1);
  others.start(1);
  await others.close(30_000);
  expect(existsSync(join(folder, "unused"))).toBe(false);
});
