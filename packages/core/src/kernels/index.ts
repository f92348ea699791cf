export { createKernels, type Kernels } from "./kernels.ts";
