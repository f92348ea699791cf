export * from "./coordinator.ts";
export type { CoordinatorOptions, StartingPoint, StateView } from "./coordinator-options.ts";
export * from "./lease-plan.ts";
export { defaultMembership, type MembershipConfig } from "./membership-policy.ts";
export type { Progress } from "./progress.ts";
export type { TraceEvent } from "./run-trace.ts";
export * from "./server.ts";
export * from "./training-run.ts";
export type { Validation } from "./validator.ts";
