import type { ErrorCode } from "@tutti/core/errors";

/** 0: it worked · 1: the run failed · 2: the command line, the run file, its data or its places are at fault. */
export type ExitStatus = 0 | 1 | 2;

/** Exit status of a process that was told twice to stop, as of a shell's process that died of SIGINT. */
export const interruptedStatus = 130;

const statusOfCode: Readonly<Record<ErrorCode, 1 | 2>> = {
  BAD_OPTION: 2,
  BAD_RUN_FILE: 2,
  BITS_DIFFER: 1,
  CHECKPOINT_INVALID: 2,
  CHECKPOINT_WRITE_FAILED: 1,
  CONNECTION_LOST: 1,
  DATA_INVALID: 2,
  DATA_MISSING: 2,
  DEFINITION_CHANGED: 2,
  ENGINE_FAILED: 1,
  ENGINE_MISSING: 1,
  GRAPH_INVALID: 2,
  INTERNAL: 1,
  INTERRUPTED: 1,
  MIXES_SAMPLES: 2,
  NON_FINITE: 1,
  NO_GRADIENT: 2,
  NUMERIC_CLASS: 1,
  OUTPUT_IN_USE: 2,
  OUTPUT_LOCKED: 2,
  OUTPUT_NOT_WRITABLE: 2,
  PORT_IN_USE: 2,
  PROTOCOL: 1,
  SHAPE_MISMATCH: 2,
  UNAUTHORIZED: 2,
  UNREACHABLE: 1,
  WORKER_FAILED: 1,
  WORKER_IDLE: 1,
};

export function exitStatusOf(code: ErrorCode): 1 | 2 {
  return statusOfCode[code];
}
