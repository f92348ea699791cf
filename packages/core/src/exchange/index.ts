export * from "./generations.ts";
export * from "./reduction.ts";
export * from "./step-update.ts";
export { UpdateThreads, type UpdateThreadsOptions } from "./update-threads.ts";
