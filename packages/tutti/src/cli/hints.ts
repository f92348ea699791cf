import type { ErrorCode } from "@tutti/core/errors";

/**
 * What to do about errors whose message cannot know it; the others say it themselves. The text of docs/errors.md, which a test
 * compares.
 */
const hints: Partial<Readonly<Record<ErrorCode, string>>> = {
  AUDIT_UNDECIDED: "join a third worker and resume; one of the two machines computes wrongly",
  BITS_DIFFER: "report it with the output of `tutti doctor`: this must not happen",
  CHAOS_FAILED: "report it with the seed in the message: this must not happen",
  CHECKPOINT_INVALID: "use an older checkpoint of the run",
  CHECKPOINT_WRITE_FAILED: "make room on the disk, then `--resume`",
  CONNECTION_LOST: "workers come back by themselves; look at the other side's log",
  DATA_MISSING: "paths start from the run file's folder, and columns have the file's names",
  ENGINE_FAILED: "report it with the run file",
  GRAPH_INVALID: "check where the file or the coordinator comes from",
  LANE_HUNG: "the process ends itself and another takes its work; if it recurs, report it",
  NON_FINITE: "lower the learning rate, clip gradients (`clipNorm`), check the data",
  NUMERIC_CLASS: "use machines of one CPU family with the same versions",
  OUTPUT_NOT_WRITABLE: "check rights and free space",
  PROTOCOL: "install the same version of Tutti on all machines",
  QUARANTINED: "that machine computes wrongly: check its memory and cooling",
  UNAUTHORIZED: "set `TUTTI_TOKEN` or `--token-file` to the coordinator's",
  UNREACHABLE: "check host, port and firewall",
  WEIGHTS_INVALID: "compare names and shapes with `tutti inspect`",
  WORKER_FAILED: "see the workers' own lines above the error",
  WORKER_IDLE: "report it: `verify` would prove nothing about that worker",
};

export function hintFor(code: ErrorCode): string | undefined {
  return hints[code];
}
