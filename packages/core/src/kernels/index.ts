export { type ComputeMemory, computeMemory } from "./compute-memory.ts";
export { createKernels, type Kernels } from "./kernels.ts";
