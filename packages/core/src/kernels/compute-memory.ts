import { Arena } from "../memory/index.ts";
import { createKernels, type Kernels } from "./kernels.ts";

/** A process's arena and the kernels over it. */
export interface ComputeMemory {
  readonly arena: Arena;
  readonly kernels: Kernels;
}

export function computeMemory(arena: Arena = new Arena()): ComputeMemory {
  return { arena, kernels: createKernels(arena.memory) };
}
