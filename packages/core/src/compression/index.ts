export * from "./gradient-rounding.ts";
export * from "./sums-packing.ts";
