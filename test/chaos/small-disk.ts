import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { SmallDisk } from "../../packages/tutti/src/chaos/index.ts";

/** A file system in memory of so many bytes, gone when the test is over; undefined, said aloud, where mounting is not allowed. */
export function smallDisk(bytes: number): (SmallDisk & { readonly folder: string }) | undefined {
  const folder = mkdtempSync(join(tmpdir(), "tutti-disk-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", folder], { stdio: "pipe" });
  } catch (error) {
    const why = error instanceof Error ? error.message.trim().split("\n").at(-1) : String(error);
    console.warn(`SKIPPED, a full disk: no file system can be mounted here (${why})`);
    return undefined;
  }
  onTestFinished(() => void execFileSync("umount", ["--lazy", folder]));
  const filler = join(folder, "filler");
  return {
    folder,
    fill() {
      for (let block = bytes; block >= 1024; ) {
        try {
          writeFileSync(filler, Buffer.alloc(block), { flag: "a" });
        } catch {
          block /= 4; // what fitted of it stays
        }
      }
    },
    free: () => rmSync(filler, { force: true }),
  };
}
