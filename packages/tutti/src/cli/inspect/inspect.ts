import { type FileHandle, open, readFile } from "node:fs/promises";
import { TuttiError } from "@tutti/core/errors";
import type { Output } from "../output.ts";
import { checkpointFacts, checkpointLines } from "./checkpoint-facts.ts";
import { modelFacts, modelLines } from "./model-facts.ts";

/** `tutti inspect`: what a checkpoint or a model holds. Throws DATA_MISSING, CHECKPOINT_INVALID, GRAPH_INVALID. */
export async function inspect({ file, json }: { file: string; json: boolean }, output: Output): Promise<void> {
  if (await isSafetensors(file)) {
    const facts = await checkpointFacts(file);
    if (json) output.json(facts);
    else for (const line of checkpointLines(facts)) output.line(line);
  } else {
    const facts = modelFacts(file, await readFile(file));
    if (json) output.json(facts);
    else for (const line of modelLines(facts)) output.line(line);
  }
}

/** By content: safetensors begin with the length of their JSON header in eight bytes, then "{". ONNX begins with a field tag. */
async function isSafetensors(file: string): Promise<boolean> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, "r");
    const start = new Uint8Array(9);
    const { bytesRead } = await handle.read(start, 0, 9, 0);
    return bytesRead === 9 && start[8] === "{".charCodeAt(0);
  } catch (cause) {
    throw new TuttiError(
      "DATA_MISSING",
      `${file}: cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      {},
      { cause },
    );
  } finally {
    await handle?.close();
  }
}
