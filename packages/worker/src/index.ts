export * from "./connect.ts";
export * from "./run-worker.ts";
export * from "./worker.ts";
export * from "./worker-memory.ts";
