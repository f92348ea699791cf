import { TuttiError } from "@tutti/core/errors";
import { packedBlockFloats } from "@tutti/core/kernels";
import { type MessageOf, protocolVersion, type ToWorker } from "@tutti/core/wire";

type Welcome = MessageOf<ToWorker, "welcome">;

/** What a worker knows of its run from earlier memberships: another run, or an older coordinator, is none of its. */
export interface RunHistory {
  run: string | undefined;
  generation: number;
}

const mostFloats = 2 ** 29; // of one buffer: the arena holds 2³⁰ floats, and parameters are there twice
const mostChunkFloats = 2 ** 22;
const mostInlineBytes = 2 ** 20;
const mostPrograms = 4096;
const longestMs = 3_600_000;

/**
 * Refuses a welcome that a worker could not work by: sizes that contradict each other or fit no memory, times that no
 * timer can wait for, another protocol, another run or an older generation than it has worked for. Throws PROTOCOL.
 */
export function checkWelcome(welcome: Welcome, history: RunHistory): void {
  const { protocol, run, generation, parameterFloats, updatedFloats, sumsFloats, chunkFloats, rounding } = welcome;
  if (protocol !== protocolVersion) throw refused(`it speaks protocol ${protocol}, this worker ${protocolVersion}`);
  if (history.run !== undefined && run !== history.run) {
    throw refused(
      `this worker belongs to run ${history.run.slice(0, 12)}, the coordinator has run ${run.slice(0, 12)}: start a new worker for it`,
    );
  }
  if (generation < history.generation)
    throw refused(`it is of generation ${generation}, a newer one (${history.generation}) is known`);
  for (const [name, floats] of Object.entries({ parameterFloats, updatedFloats, sumsFloats, chunkFloats })) {
    if (floats % 16 !== 0) throw refused(`${name} is ${floats}, expected a multiple of 16`);
  }
  if (rounding !== undefined) {
    if (rounding.floats % 16 !== 0 || rounding.floats > sumsFloats)
      throw refused(`it rounds ${rounding.floats} of ${sumsFloats} floats of sums`);
    if (chunkFloats % packedBlockFloats !== 0)
      throw refused(
        `chunkFloats is ${chunkFloats}, expected a multiple of ${packedBlockFloats} where sums are rounded`,
      );
  }
  atMost(welcome, "parameterFloats", mostFloats);
  atMost(welcome, "updatedFloats", parameterFloats);
  atMost(welcome, "averageFloats", parameterFloats);
  atMost(welcome, "sumsFloats", mostFloats);
  atMost(welcome, "chunkFloats", mostChunkFloats);
  atMost(welcome, "inlineBytes", mostInlineBytes);
  atMost(welcome, "programs", mostPrograms);
  atMost(welcome, "heartbeatMs", longestMs);
  atMost(welcome, "silenceMs", longestMs);
}

function atMost(welcome: Welcome, name: keyof Welcome, limit: number): void {
  const found = welcome[name];
  if (typeof found !== "number" || found > limit) throw refused(`${name} is ${found}, at most ${limit} is accepted`);
}

function refused(why: string): TuttiError {
  return new TuttiError("PROTOCOL", `the coordinator's welcome is refused: ${why}`);
}
