export * from "./faults.ts";
export * from "./judgement.ts";
export * from "./link.ts";
export * from "./report.ts";
export * from "./train-under-faults.ts";
