import { TuttiError } from "../errors/index.ts";

/** The error of an output path that the system does not let us make or write, and its reason. */
export function outputNotWritable(path: string, error: unknown): TuttiError {
  const reason = error instanceof Error ? error.message : String(error);
  return new TuttiError(
    "OUTPUT_NOT_WRITABLE",
    `${path}: cannot be made or written: ${reason}; make room or choose another output directory`,
    { path, reason },
  );
}
