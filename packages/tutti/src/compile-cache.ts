import module from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

/**
 * Where Node (from 22.8) keeps the machine code of what it has loaded once, so that the next start does not compile it again: the
 * user's own cache folder, for in the shared temporary one somebody else could have put other code. NODE_COMPILE_CACHE names
 * another, NODE_DISABLE_COMPILE_CACHE=1 keeps none; Node heeds both by itself.
 */
export function compileCacheFolder(): string {
  const { NODE_COMPILE_CACHE: chosen, XDG_CACHE_HOME: caches, LOCALAPPDATA: windows } = process.env;
  if (chosen !== undefined && chosen !== "") return chosen;
  if (process.platform === "win32" && windows !== undefined) return join(windows, "tutti", "compile-cache");
  const base = process.platform === "darwin" ? join(homedir(), "Library", "Caches") : join(homedir(), ".cache");
  return join(caches === undefined || caches === "" ? base : caches, "tutti", "compile-cache");
}

/** For the rest of this process; does nothing where Node has no such cache or cannot write there. */
export function enableCompileCache(): void {
  if ("enableCompileCache" in module) module.enableCompileCache(compileCacheFolder());
}
