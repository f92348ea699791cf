export type * from "./live.ts";
export type * from "./run.ts";
