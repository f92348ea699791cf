/** One buffer of parameters. */
export interface ParameterBuffer {
  /** Bytes in the worker's arena, a multiple of 64. */
  readonly address: number;
  /** The step whose parameters it holds; −1 while it is being written or empty. */
  readonly step: number;
  /** Differs whenever the content does. */
  readonly version: number;
}

/**
 * A worker's two generations of parameters: t, which leases are computed from, and t+1, whose chunks are staged beside it
 * until the commit. `ParameterStore` copies them from the wire; `SharedParameters` points into the coordinator's own memory.
 */
export interface Parameters {
  /** The current parameters, once whole. */
  readonly current: ParameterBuffer;
  /** The averaged weights that were sent for this step, once whole. */
  readonly average: ParameterBuffer;
  /** Where t+1 is staged: whoever still computes from this buffer gets torn numbers. */
  readonly stagingAddress: number;
  /** Some chunk of t+1 has come. */
  readonly isStaging: boolean;
  /** A buffer for the canary, whose content is void afterwards. */
  borrow(): { readonly address: number; readonly version: number };
  /** One chunk of the parameters at step t, sent on joining. Chunks come in order. Throws PROTOCOL. */
  receive(step: number, chunk: number, bytes: Uint8Array): void;
  /** One chunk of the averaged weights at the current step; what is not averaged is as in the current parameters. Throws PROTOCOL. */
  receiveAverage(step: number, chunk: number, chunks: number, floats: number, bytes: Uint8Array): void;
  /** One chunk of t+1, in any order; it may be a view of the place where it belongs. Throws PROTOCOL. */
  stage(step: number, chunk: number, bytes: Uint8Array): void;
  /** Hash of what was staged, "" if it is not whole or cannot differ. */
  readonly stagedHash: string;
  /** Makes t+1 current. Returns the hash of what was staged, "" if it is not whole; undefined if it cannot differ. */
  commit(step: number): string | undefined;
  /** The step was left out: the same parameters now count as those of `step`. */
  skip(step: number): void;
  /** Forgets what was staged. */
  abort(): void;
}
