export * from "./arena.ts";
export type { SharedMemory } from "./web-assembly.ts";
