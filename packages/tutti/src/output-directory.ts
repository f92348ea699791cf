import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { StateView, Validation } from "@tutti/coordinator";
import {
  type Checkpoint,
  CheckpointStore,
  type DirectoryLock,
  lockDirectory,
  MetricsLog,
  type OwnedSnapshot,
} from "@tutti/core/checkpoint";
import type { PlainObject } from "@tutti/core/data";
import { TuttiError } from "@tutti/core/errors";
import type { RunEvent } from "@tutti/core/events";
import { type CompiledRun, differences, exportOnnx, parameterViews } from "@tutti/core/run";

export interface ResumeOptions {
  readonly resume: boolean;
  readonly allowChanges: boolean;
}

/** Where a run's files are. */
export interface OutputPaths {
  readonly directory: string;
  /** The newest checkpoint, if one was written. */
  readonly checkpoint?: string;
  readonly best?: string;
  readonly metrics: string;
  readonly onnx?: string;
}

/**
 * A run's output directory, locked while the run lasts: `checkpoints/`, `metrics.jsonl` and `model.onnx`. Decides what
 * is due to be saved; a new save waits for the one before it.
 */
export class OutputDirectory {
  readonly directory: string;
  /** What to go on from; undefined for a new run. */
  readonly resumed: Checkpoint | undefined;
  readonly damaged: readonly { readonly path: string; readonly reason: string }[];
  readonly #compiled: CompiledRun;
  readonly #lock: DirectoryLock;
  readonly #store: CheckpointStore;
  readonly #metrics: MetricsLog;
  readonly #onEvent: (event: RunEvent) => void;
  #saving: Promise<void> = Promise.resolve();
  #best: number | undefined;
  #lastSavedStep: number;
  #lastMetrics: Readonly<Record<string, number>> = {};
  #paths: { checkpoint?: string; best?: string; onnx?: string } = {};

  /**
   * Throws OUTPUT_LOCKED, OUTPUT_NOT_WRITABLE; OUTPUT_IN_USE if there are checkpoints and `resume` is not set;
   * DEFINITION_CHANGED, naming the differences, if they are another definition's and changes are not allowed.
   */
  static async open(
    directory: string,
    compiled: CompiledRun,
    options: ResumeOptions,
    onEvent: (event: RunEvent) => void,
  ): Promise<OutputDirectory> {
    const lock = lockDirectory(directory);
    let store: CheckpointStore | undefined;
    try {
      store = await CheckpointStore.open(directory, { keep: compiled.definition.plain.checkpoint.keep });
      const { checkpoint, damaged } = await store.latest();
      if (!options.resume && (checkpoint !== undefined || damaged.length > 0)) {
        throw new TuttiError(
          "OUTPUT_IN_USE",
          `${directory} holds the checkpoints of another run: go on from them with --resume, or choose another directory with --out`,
        );
      }
      if (checkpoint !== undefined && checkpoint.definitionDigest !== compiled.digest && !options.allowChanges) {
        const changes = differences(checkpoint.definition, compiled.record);
        throw new TuttiError(
          "DEFINITION_CHANGED",
          `${checkpoint.path} was written by another definition: ${changes.join("; ")}. Undo the change, or accept it with --allow-changes (the result is then no longer that of one undisturbed run)`,
          { changes },
        );
      }
      const metrics = await MetricsLog.open(join(directory, "metrics.jsonl"));
      await metrics.cutBackTo(checkpoint?.step ?? 0);
      return new OutputDirectory(directory, compiled, lock, store, metrics, checkpoint, damaged, onEvent);
    } catch (error) {
      await store?.close();
      lock.release();
      throw error;
    }
  }

  private constructor(
    directory: string,
    compiled: CompiledRun,
    lock: DirectoryLock,
    store: CheckpointStore,
    metrics: MetricsLog,
    resumed: Checkpoint | undefined,
    damaged: readonly { readonly path: string; readonly reason: string }[],
    onEvent: (event: RunEvent) => void,
  ) {
    this.directory = directory;
    this.#compiled = compiled;
    this.#lock = lock;
    this.#store = store;
    this.#metrics = metrics;
    this.resumed = resumed;
    this.damaged = damaged;
    this.#onEvent = onEvent;
    this.#lastSavedStep = resumed?.step ?? 0; // there is nothing to keep of an untrained run
    if (resumed === undefined) return;
    this.#lastMetrics = resumed.metrics;
    this.#paths.checkpoint = resumed.path;
    if (typeof resumed.state.best === "number") this.#best = resumed.state.best;
  }

  get paths(): OutputPaths {
    return { directory: this.directory, metrics: join(this.directory, "metrics.jsonl"), ...this.#paths };
  }

  record(event: RunEvent): void {
    if (event.type !== "notice" && event.type !== "dashboard") this.#metrics.append(event);
  }

  /** Saves what is due after a step. Waits while an earlier save is still being written. */
  async afterStep(state: StateView, validation: Validation | undefined, isLast: boolean): Promise<void> {
    if (validation !== undefined) this.#lastMetrics = validation;
    if (isLast && state.step === this.#lastSavedStep) {
      await this.#saving;
      return;
    }
    const isBest = this.#isBest(validation);
    const isDue = isLast || state.step % this.#compiled.checkpointEverySteps === 0;
    if (!isDue && !isBest) return;
    await this.#save(state, isDue, isBest);
    if (isLast) await this.#saving;
  }

  /** Saves although nothing is due, unless this step has its checkpoint already. Waits as `afterStep` does. */
  async saveNow(state: StateView): Promise<void> {
    if (state.step === this.#lastSavedStep) {
      const what =
        state.step === 0 ? "there is nothing to keep before the first step" : "it has its checkpoint already";
      this.#onEvent({ type: "notice", message: `step ${state.step}: ${what}` });
    } else await this.#save(state, true, false);
  }

  async #save(state: StateView, isDue: boolean, isBest: boolean): Promise<void> {
    await this.#saving;
    await this.#metrics.flush();
    const snapshot = this.#snapshot(state);
    if (isDue) this.#lastSavedStep = state.step;
    const saved = isDue ? this.#store.save(snapshot, { best: isBest }) : this.#store.saveBest(snapshot);
    this.#saving = saved.then(({ path }) => {
      if (isDue) this.#paths.checkpoint = path;
      if (isBest) this.#paths.best = join(this.directory, "checkpoints", "best.safetensors");
      this.#onEvent({ type: "checkpoint", step: state.step, path, best: isBest });
    });
    this.#saving.catch(() => {}); // whoever waits for it next sees it
  }

  /** Writes model.onnx from the final weights (averaged ones where there are), when the step function names outputs. */
  async exportModel(state: StateView): Promise<void> {
    const parameters = usedWeights(state, this.#compiled);
    const graph = this.#compiled.inferenceGraph;
    if (graph === undefined) return;
    const path = join(this.directory, "model.onnx");
    await writeFile(path, exportOnnx(graph, parameterViews(this.#compiled.layout, parameters)));
    this.#paths.onnx = path;
  }

  async close(): Promise<void> {
    try {
      await this.#saving;
    } finally {
      await this.#store.close();
      await this.#metrics.close();
      this.#lock.release();
    }
  }

  #isBest(validation: Validation | undefined): boolean {
    const { best } = this.#compiled.definition.plain.checkpoint;
    const value = best === null ? undefined : validation?.[best.metric];
    if (best === null || value === undefined || Number.isNaN(value)) return false;
    if (this.#best !== undefined && (best.mode === "min" ? value >= this.#best : value <= this.#best)) return false;
    this.#best = value;
    return true;
  }

  #snapshot(state: StateView): OwnedSnapshot {
    const { layout, trainable, buffers, optimizer, plan, definition, digest, record, inferenceGraph } = this.#compiled;
    const copy = (
      entry: {
        readonly name: string;
        readonly shape: readonly number[];
        readonly offset: number;
        readonly length: number;
      },
      name: string,
      from: Float32Array,
    ) => {
      const values = new Float32Array(entry.length);
      values.set(from.subarray(entry.offset, entry.offset + entry.length));
      return { name, dtype: "float32" as const, shape: entry.shape, data: new Uint8Array(values.buffer) };
    };
    return {
      step: state.step,
      epoch: Math.floor(state.step / plan.stepsPerEpoch),
      position: state.step % plan.stepsPerEpoch,
      seed: definition.plain.seed,
      definitionDigest: digest,
      definition: record,
      numericClass: state.numericClass,
      metrics: this.#lastMetrics,
      state: {
        skippedSteps: state.skippedSteps,
        progress: plainProgress(state.progress),
        ...(state.owesValidation ? { owesValidation: true } : {}),
        ...(this.#best === undefined ? {} : { best: this.#best }),
      },
      parameters: layout.entries
        .filter((entry) => !buffers.includes(entry))
        .map((entry) => copy(entry, entry.name, state.parameters)),
      optimizer: optimizer.slots.flatMap((slot, i) =>
        trainable.entries.map((entry) => copy(entry, `optimizer.${slot.name}/${entry.name}`, state.slots[i]!)),
      ),
      buffers: [
        ...buffers.map((entry) => copy(entry, entry.name, state.parameters)),
        ...batchCounts(this.#compiled, state.step - state.skippedSteps),
      ],
      inferenceGraph: inferenceGraph ?? new Uint8Array(0),
    };
  }
}

/** PyTorch's `num_batches_tracked` beside each running mean: how many updates it has followed; none in a skipped step. */
function batchCounts({ statistics, buffers }: CompiledRun, updates: number): OwnedSnapshot["buffers"] {
  return statistics.map(({ mean }) => {
    const { name } = buffers.find(({ offset }) => offset === mean)!;
    const data = new Uint8Array(BigInt64Array.of(BigInt(updates)).buffer);
    return { name: name.replace(/running_mean$/, "num_batches_tracked"), dtype: "int64" as const, shape: [], data };
  });
}

function plainProgress({ plateau, earlyStopping }: StateView["progress"]): PlainObject {
  return { plateau: { ...plateau }, earlyStopping: { ...earlyStopping } };
}

/** The weights for inference: the parameters, with the averaged weights in place of what is averaged. */
function usedWeights({ step, skippedSteps, parameters, slots }: StateView, compiled: CompiledRun): Float32Array {
  const { averageSlot } = compiled.optimizer;
  if (averageSlot === undefined || step === skippedSteps) return parameters;
  const weights = new Float32Array(parameters);
  weights.set(slots[averageSlot]!);
  return weights;
}
