import { cpus } from "node:os";
import { chooseEngine, type EngineChoice, engineVersion } from "./engine-choice.ts";
import { loadEngine } from "./runtime.ts";

/** What `tutti doctor` says about the engine. */
export interface EngineInfo {
  readonly name: EngineChoice["name"];
  readonly version: string;
  /** Why it is the slower WebAssembly build, when it is. */
  readonly reason?: string;
  readonly node: string;
  readonly cpu: string;
  readonly arch: string;
  /** Whether lanes share parameters and gradients; otherwise each copies them. */
  readonly zeroCopy: boolean;
}

/** Loads the engine into the calling thread to ask it. Throws ENGINE_MISSING, BAD_OPTION. */
export async function engineInfo(): Promise<EngineInfo> {
  const choice = chooseEngine();
  const { zeroCopy } = await loadEngine();
  return {
    ...choice,
    version: engineVersion(choice),
    node: process.version,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    arch: process.arch,
    zeroCopy,
  };
}
