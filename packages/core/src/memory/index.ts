export * from "./arena.ts";
export { MemoryFile } from "./memory-file.ts";
export type { SharedMemory } from "./web-assembly.ts";
