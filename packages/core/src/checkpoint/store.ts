import { type FileHandle, mkdir, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Piscina } from "piscina";
import { TuttiError } from "../errors/index.ts";
import { temporaryEnding } from "./durable-file.ts";
import { outputNotWritable } from "./output-error.ts";
import { invalid, type NamedTensor } from "./safetensors.ts";
import { type Checkpoint, decodeSnapshot, type Snapshot } from "./snapshot.ts";
import type { WriteJob, WriteResult } from "./write-thread.ts";

/** A snapshot whose tensors the store takes over. */
export type OwnedSnapshot = Snapshot<Uint8Array<ArrayBuffer>>;

export interface SavedCheckpoint {
  readonly path: string;
  readonly bytes: number;
}

export interface LatestCheckpoint {
  /** The newest checkpoint that can be read; undefined when there is none. */
  readonly checkpoint: Checkpoint | undefined;
  /** Newer ones that cannot, newest first. */
  readonly damaged: readonly { readonly path: string; readonly reason: string }[];
}

const folderName = "checkpoints";
const bestName = "best.safetensors";
const stepFile = /^step-(\d{8,})\.safetensors$/;

/**
 * The checkpoints of one output directory: `checkpoints/step-00000123.safetensors` (the last `keep` of them) and
 * `checkpoints/best.safetensors`. One thread writes, one file at a time: a save that comes while another is written
 * waits, its snapshot in memory (`pending` counts them). The caller holds the directory's lock.
 */
export class CheckpointStore {
  readonly #folder: string;
  readonly #keep: number;
  #writer: Promise<Piscina<WriteJob, WriteResult>> | undefined;
  #saves: Promise<unknown> = Promise.resolve();
  #pending = 0;

  /**
   * Opens the store of an output directory, makes the folder and removes what a killed process left half-written.
   * @param options.keep how many step files stay, at least 1.
   * Throws OUTPUT_NOT_WRITABLE, BAD_OPTION.
   */
  static async open(directory: string, options: { readonly keep: number }): Promise<CheckpointStore> {
    if (!Number.isSafeInteger(options.keep) || options.keep < 1) {
      throw new TuttiError(
        "BAD_OPTION",
        `keep: expected how many checkpoints to keep, at least 1, found ${options.keep}`,
      );
    }
    const folder = join(directory, folderName);
    try {
      await mkdir(folder, { recursive: true });
      for (const name of await readdir(folder)) {
        if (name.endsWith(`.safetensors${temporaryEnding}`)) await rm(join(folder, name), { force: true });
      }
    } catch (error) {
      throw outputNotWritable(folder, error);
    }
    return new CheckpointStore(folder, options.keep);
  }

  private constructor(folder: string, keep: number) {
    this.#folder = folder;
    this.#keep = keep;
  }

  /** Saves that are written or wait to be. */
  get pending(): number {
    return this.#pending;
  }

  /**
   * Writes a step's checkpoint; resolves when it is safe on disk and older ones beyond `keep` are gone. Checkpoints of
   * later steps are removed too: they belong to a history that this run has left.
   * @param snapshot taken over: the ArrayBuffers of its tensors are transferred, not copied (the graph's are copied).
   * @param options.best also makes it `best.safetensors`.
   * Rejects with CHECKPOINT_WRITE_FAILED; then no half-written file is left and all older checkpoints are.
   */
  save(snapshot: OwnedSnapshot, options: { readonly best?: boolean } = {}): Promise<SavedCheckpoint> {
    const path = join(this.#folder, `step-${String(snapshot.step).padStart(8, "0")}.safetensors`);
    const alsoAs = options.best === true ? join(this.#folder, bestName) : undefined;
    return this.#write(snapshot, path, alsoAs, async () => {
      const steps = (await this.#steps()).filter(({ step }) => step !== snapshot.step);
      const older = steps.filter(({ step }) => step < snapshot.step);
      const later = steps.filter(({ step }) => step > snapshot.step);
      return [...later, ...older.slice(this.#keep - 1)].map((file) => file.path);
    });
  }

  /** Writes `best.safetensors` only; otherwise as `save`. */
  saveBest(snapshot: OwnedSnapshot): Promise<SavedCheckpoint> {
    return this.#write(snapshot, join(this.#folder, bestName), undefined, async () => []);
  }

  /** Reads the newest step checkpoint; falls back to the one before when it is damaged, and says so. */
  async latest(): Promise<LatestCheckpoint> {
    const damaged: { path: string; reason: string }[] = [];
    for (const { path } of await this.#steps()) {
      try {
        return { checkpoint: await readCheckpoint(path), damaged };
      } catch (error) {
        if (!(error instanceof TuttiError) || error.code !== "CHECKPOINT_INVALID") throw error;
        damaged.push({ path, reason: error.message });
      }
    }
    return { checkpoint: undefined, damaged };
  }

  /** Waits for the saves under way and ends the thread. */
  async close(): Promise<void> {
    await this.#saves;
    await (await this.#writer)?.destroy();
  }

  /** Step files, newest first. */
  async #steps(): Promise<readonly { readonly step: number; readonly path: string }[]> {
    const names = await readdir(this.#folder);
    return names
      .flatMap((name) => {
        const digits = stepFile.exec(name)?.[1];
        return digits === undefined ? [] : [{ step: Number(digits), path: join(this.#folder, name) }];
      })
      .sort((a, b) => b.step - a.step);
  }

  #write(
    snapshot: OwnedSnapshot,
    path: string,
    alsoAs: string | undefined,
    outdated: () => Promise<readonly string[]>,
  ): Promise<SavedCheckpoint> {
    this.#pending++;
    const saved = this.#saves.then(async (): Promise<SavedCheckpoint> => {
      try {
        const job: WriteJob = { snapshot, path, alsoAs, thenRemove: await outdated() };
        this.#writer ??= openWriter();
        const result = await (await this.#writer).run(job, { name: "write", transferList: buffersOf(snapshot) });
        if (result.kind === "written") return { path, bytes: result.bytes };
        throw writeFailed(path, result.reason);
      } catch (error) {
        if (error instanceof TuttiError) throw error;
        throw writeFailed(path, error instanceof Error ? error.message : String(error));
      } finally {
        this.#pending--;
      }
    });
    this.#saves = saved.catch(() => {}); // each save reports its own failure; the next one still runs
    return saved;
  }
}

/** Reads and checks one checkpoint file. Throws CHECKPOINT_INVALID with file and reason, also when there is none. */
export async function readCheckpoint(path: string): Promise<Checkpoint> {
  return decodeSnapshot(await readWhole(path), path);
}

async function readWhole(path: string): Promise<Uint8Array> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    const { size } = await handle.stat();
    const bytes = new Uint8Array(size); // its own buffer: tensors in it are aligned for their elements
    for (let from = 0; from < size; ) {
      const { bytesRead } = await handle.read(bytes, from, Math.min(size - from, 64 * 1024 * 1024), from);
      if (bytesRead === 0) throw new Error("it became shorter while it was read");
      from += bytesRead;
    }
    return bytes;
  } catch (error) {
    throw invalid(path, `it cannot be read (${error instanceof Error ? error.message : String(error)})`);
  } finally {
    await handle?.close();
  }
}

function buffersOf(snapshot: OwnedSnapshot): ArrayBuffer[] {
  const tensors: readonly NamedTensor<Uint8Array<ArrayBuffer>>[] = [
    ...snapshot.parameters,
    ...snapshot.optimizer,
    ...snapshot.buffers,
  ];
  return [...new Set(tensors.map(({ data }) => data.buffer))];
}

/** One thread. What makes it is loaded when there is something to save, not before the first step. */
async function openWriter(): Promise<Piscina<WriteJob, WriteResult>> {
  const piscina = await import("piscina");
  return new piscina.Piscina({ filename: threadEntry(), maxThreads: 1, minThreads: 0, idleTimeout: 60_000 });
}

/** Threads run built code; from the sources (unit tests) that is the last build. */
function threadEntry(): string {
  const entry = import.meta.url.endsWith(".ts") ? "../../dist/checkpoint/write-thread.js" : "./write-thread.js";
  return new URL(entry, import.meta.url).href;
}

function writeFailed(path: string, reason: string): TuttiError {
  return new TuttiError("CHECKPOINT_WRITE_FAILED", `${path}: the checkpoint cannot be written: ${reason}`, {
    path,
    reason,
  });
}
