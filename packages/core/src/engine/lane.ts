import type { ShardProgram } from "../step/shard-program.ts";
import type { Piece, PieceOutcome } from "./piece.ts";

/** Something that computes one piece at a time: a thread, or the calling thread itself. */
export interface Lane {
  /** Throws ENGINE_FAILED when the engine refuses the program, ENGINE_MISSING when there is no engine. */
  load(program: ShardProgram): Promise<void>;
  run(piece: Piece): Promise<PieceOutcome>;
  /** To be called when nothing runs. */
  close(): Promise<void>;
}
