export { type ComputeMemory, computeMemory } from "./compute-memory.ts";
export { Draws, drawUniform } from "./draws.ts";
export { createKernels, type Kernels, type PackedFormat, packedBlockFloats, packedBytes } from "./kernels.ts";
