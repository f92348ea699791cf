import type { ColumnTypes } from "./column.ts";
import { contentFingerprint, type DataPlace, type Dataset, type Table } from "./dataset.ts";

/** For each category as a column counts it, its place in the list that readers shall see; by column. */
export type Places = ReadonlyMap<string, Int32Array>;

/**
 * Rows with what is known of them, whose categories are counted otherwise than they are stored.
 *
 * @param stored closed with what this returns.
 */
export async function tableDataset(stored: Dataset, table: Table, places: Places): Promise<Dataset> {
  const own = new TableDataset(stored, stored.fingerprint, table, places);
  return places.size === 0 ? own : new TableDataset(stored, await contentFingerprint(own), table, places);
}

class TableDataset implements Dataset {
  readonly size: number;
  readonly columns: ColumnTypes;
  readonly fingerprint: string;
  readonly table: Table;
  readonly place: DataPlace | undefined;
  readonly #stored: Dataset;
  readonly #places: Places;

  constructor(stored: Dataset, fingerprint: string, table: Table, places: Places) {
    this.size = stored.size;
    this.columns = stored.columns;
    this.fingerprint = fingerprint;
    this.table = table;
    this.place = places.size === 0 ? stored.place : undefined;
    this.#stored = stored;
    this.#places = places;
  }

  read(rows: ArrayLike<number>, target: Readonly<Record<string, Uint8Array>>): void | Promise<void> {
    const done = this.#stored.read(rows, target);
    return done === undefined ? this.#recount(target) : done.then(() => this.#recount(target));
  }

  close(): Promise<void> {
    return this.#stored.close();
  }

  #recount(target: Readonly<Record<string, Uint8Array>>): void {
    for (const [name, places] of this.#places) {
      const bytes = target[name];
      if (bytes === undefined) continue;
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      for (let at = 0; at < bytes.byteLength; at += 4) view.setInt32(at, places[view.getInt32(at, true)]!, true);
    }
  }
}
