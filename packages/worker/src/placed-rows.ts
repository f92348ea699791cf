import type { Dataset } from "@tutti/core/data";
import { ColumnReader } from "@tutti/core/engine";
import { TuttiError } from "@tutti/core/errors";
import type { ShardProgram } from "@tutti/core/step";
import type { BatchStore } from "./batch-store.ts";

/** A shard whose rows this worker reads for itself. */
export interface PlacedShard {
  readonly round: number;
  readonly shard: number;
  readonly program: ShardProgram;
  readonly firstPosition: number;
  readonly dataset: string;
  /** Of its rows, uint32, little-endian. */
  readonly numbers: Uint8Array;
}

/** Reads rows from the worker's own data sets into the store; a lease waits until those of its shards are there. */
export class PlacedRows {
  readonly #datasets: ReadonlyMap<string, Dataset>;
  readonly #batches: BatchStore;
  /** What is being read or could not be, by round and shard. */
  readonly #readings = new Map<number, Map<number, Reading>>();

  constructor(datasets: ReadonlyMap<string, Dataset>, batches: BatchStore) {
    this.#datasets = datasets;
    this.#batches = batches;
  }

  read(placed: PlacedShard): void {
    const readings = this.#readings.get(placed.round) ?? new Map<number, Reading>();
    this.#readings.set(placed.round, readings);
    if (readings.has(placed.shard)) return;
    const kept = { ...placed, numbers: placed.numbers.slice() }; // the message's bytes are the connection's
    readings.set(placed.shard, new Reading(() => this.#read(kept, readings)));
  }

  /** Calls `then` once the rows of a lease's shards are there: at once where nothing is being read; never after `forget`. */
  whenRead(
    { round, lo, hi }: { readonly round: number; readonly lo: number; readonly hi: number },
    then: () => void,
    failed: (error: unknown) => void,
  ): void {
    const readings = this.#readings.get(round);
    if (readings === undefined) {
      then();
      return;
    }
    const needed = [...readings].flatMap(([shard, reading]) => (shard >= lo && shard < hi ? [reading.done] : []));
    const ifWanted = (action: () => void): void => {
      if (this.#readings.get(round) === readings) action();
    };
    Promise.all(needed).then(
      () => ifWanted(then),
      (error: unknown) => ifWanted(() => failed(error)),
    );
  }

  /** The round is over. */
  forget(round: number): void {
    this.#readings.delete(round);
  }

  forgetAll(): void {
    this.#readings.clear();
  }

  async #read(placed: PlacedShard, readings: Map<number, Reading>): Promise<void> {
    const { round, shard, program, firstPosition, dataset: name, numbers } = placed;
    const dataset = this.#datasets.get(name);
    if (dataset === undefined) throw new TuttiError("PROTOCOL", `this worker has no data set "${name}"`);
    const view = new DataView(numbers.buffer, numbers.byteOffset, numbers.byteLength);
    const rows = Uint32Array.from({ length: program.samples }, (_, i) => view.getUint32(4 * i, true));
    const { bytes } = await new ColumnReader(program).read(dataset, rows);
    // The round may have ended meanwhile: nobody would free what is put now.
    if (this.#readings.get(round) === readings) this.#batches.put(round, shard, program.id, firstPosition, bytes);
  }
}

/** Rows that are being read, are there, or could not be read: then whoever needs them next has them read again. */
class Reading {
  readonly #read: () => Promise<void>;
  #done: Promise<void>;
  #hasFailed = false;

  constructor(read: () => Promise<void>) {
    this.#read = read;
    this.#done = this.#start();
  }

  get done(): Promise<void> {
    if (this.#hasFailed) this.#done = this.#start();
    return this.#done;
  }

  #start(): Promise<void> {
    this.#hasFailed = false;
    const done = this.#read();
    done.catch(() => {
      this.#hasFailed = true; // the lease that needs it says so
    });
    return done;
  }
}
