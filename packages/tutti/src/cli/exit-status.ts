import type { ErrorCode } from "@tutti/core/errors";

/** 0: it worked · 1: the run failed · 2: the command line, the run file, its data or its places are at fault. */
export type ExitStatus = 0 | 1 | 2;

/** Exit status of a process that was told twice to stop, as of a shell's process that died of SIGINT. */
export const interruptedStatus = 130;

/** What whoever called can put right before trying again; docs/errors.md says so of each. */
const callersFaults: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "BAD_OPTION",
  "BAD_RUN_FILE",
  "CHECKPOINT_INVALID",
  "DATA_DIFFERS",
  "DATA_INVALID",
  "DATA_MISSING",
  "DEFINITION_CHANGED",
  "GRAPH_INVALID",
  "MIXES_SAMPLES",
  "NO_GRADIENT",
  "ONNX_UNSUPPORTED",
  "OUTPUT_IN_USE",
  "OUTPUT_LOCKED",
  "OUTPUT_NOT_WRITABLE",
  "PORT_IN_USE",
  "SHAPE_MISMATCH",
  "TLS_FAILED",
  "UNAUTHORIZED",
  "WEIGHTS_INVALID",
]);

export function exitStatusOf(code: ErrorCode): 1 | 2 {
  return callersFaults.has(code) ? 2 : 1;
}
