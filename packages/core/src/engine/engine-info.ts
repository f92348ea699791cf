import { cpus } from "node:os";
import { engineVersion, loadEngine } from "./runtime.ts";

/** What `tutti doctor` says about the engine. */
export interface EngineInfo {
  readonly name: "onnxruntime-node";
  readonly version: string;
  readonly node: string;
  readonly cpu: string;
  readonly arch: string;
  /** Whether lanes share parameters and gradients; otherwise each copies them. */
  readonly zeroCopy: boolean;
}

/** Loads the engine into the calling thread to ask it. Throws ENGINE_MISSING. */
export async function engineInfo(): Promise<EngineInfo> {
  const { zeroCopy } = await loadEngine();
  return {
    name: "onnxruntime-node",
    version: engineVersion(),
    node: process.version,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    arch: process.arch,
    zeroCopy,
  };
}
