export * from "./coordinator.ts";
export {
  type CoordinatorOptions,
  defaultChunkFloats,
  type StartingPoint,
  type StateView,
} from "./coordinator-options.ts";
export type { Exchange } from "./exchange-choice.ts";
export * from "./lease-plan.ts";
export { defaultMembership, type MembershipConfig } from "./membership-policy.ts";
export type { Progress } from "./progress.ts";
export type { TraceEvent } from "./run-trace.ts";
export * from "./server.ts";
export * from "./training-run.ts";
export type { Validation } from "./validator.ts";
