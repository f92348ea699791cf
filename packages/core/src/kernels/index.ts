export { type ComputeMemory, computeMemory } from "./compute-memory.ts";
export { createKernels, type Kernels, type PackedFormat, packedBlockFloats, packedBytes } from "./kernels.ts";
