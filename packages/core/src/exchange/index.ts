export * from "./generations.ts";
export * from "./reduction.ts";
export * from "./step-update.ts";
