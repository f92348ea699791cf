export * from "./augmentation.ts";
export * from "./layout.ts";
export * from "./running-statistics.ts";
export * from "./shard-program.ts";
export * from "./tree.ts";
