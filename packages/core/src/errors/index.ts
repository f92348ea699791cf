/**
 * Every error Tutti raises on purpose, with the one line docs/errors.md lists for it (a test compares the two).
 * A new error adds its code here, its row there.
 */
export const errorCodes = {
  AUDIT_UNDECIDED: "two workers computed different bits and no third was there to decide",
  BAD_OPTION: "a command-line option or a value of the definition is unknown or of the wrong kind",
  BAD_RUN_FILE: "the run file cannot be loaded or does not export a definition",
  BITS_DIFFER: "the same run gave other weights on another number of workers",
  CHAOS_FAILED: "a run under injected faults hung, ended, lost steps or samples, or left something behind",
  CHECKPOINT_INVALID: "a checkpoint file is missing, damaged, cut off or of another format",
  CHECKPOINT_WRITE_FAILED: "a checkpoint could not be written; the ones before it are untouched",
  CONNECTION_LOST: "a connection to a coordinator or worker failed or was closed by the other side",
  DATA_DIFFERS: "a worker that reads a run's data for itself lacks a data set or has another than the coordinator",
  DATA_INVALID: "a data file holds a value that cannot be read as declared",
  DATA_MISSING: "a data file or a column does not exist",
  DEFINITION_CHANGED: "the run to resume was defined otherwise",
  ENGINE_FAILED: "ONNX Runtime refused a program or failed while running it",
  ENGINE_MISSING: "ONNX Runtime's native binding does not load on this machine",
  EXPORT_DIFFERS: "an exported model computes other values than the run's own graph",
  GRAPH_INVALID: "a graph received or read is malformed, too large, or uses an operator that is not allowed",
  INTERNAL: "an invariant of Tutti itself does not hold",
  INTERRUPTED: "the command was interrupted before it had an answer",
  LANE_HUNG: "a lane of this worker does not come back from computing",
  MIXES_SAMPLES: "the step function combines values of different samples",
  NON_FINITE: "a loss or gradient is NaN or infinite",
  NO_GRADIENT: "a trainable parameter or operator has no gradient on the path to the loss",
  NUMERIC_CLASS: "a machine rounds differently from the one the run started on",
  ONNX_UNSUPPORTED: "a model file uses an operator, dtype or option that cannot be imported",
  OUTPUT_IN_USE: "the output directory holds another run's checkpoints",
  OUTPUT_LOCKED: "another process uses the output directory",
  OUTPUT_NOT_WRITABLE: "the output directory or a file in it cannot be made or written",
  PORT_IN_USE: "the port to listen on is taken by another program",
  PROTOCOL: "the other side of a connection broke the protocol or speaks another version",
  QUARANTINED: "a worker computed other bits than two others and was sent away",
  SHAPE_MISMATCH: "the shapes or dtypes given to an operator do not fit",
  TLS_FAILED: "a coordinator's certificate is not trusted, or it speaks no TLS",
  UNAUTHORIZED: "the coordinator wants another token",
  UNREACHABLE: "no coordinator answers at the given address",
  WEIGHTS_INVALID: "a weights file cannot be read, or its tensors are not those of the model",
  WORKER_FAILED: "local worker processes could not be started or kept ending",
  WORKER_IDLE: "a worker that could have computed shards computed none",
} as const;

export type ErrorCode = keyof typeof errorCodes;

/**
 * The one error class. `message` says what was expected, what was found, where, and what to do.
 * `details` is for programs; only `{code, message}` crosses the wire.
 */
export class TuttiError extends Error {
  override readonly name = "TuttiError";
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}

/** True for a TuttiError of any copy of this package: by name and code, never by `instanceof`. */
export function isTuttiError(error: unknown): error is TuttiError {
  return error instanceof Error && error.name === "TuttiError" && "code" in error;
}
