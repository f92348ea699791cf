import { TuttiError } from "@tutti/core/errors";
import type { ShardProgram } from "@tutti/core/step";
import type { MessageOf, ToWorker } from "@tutti/core/wire";
import type { CanaryTask, WorkerParts } from "./worker-parts.ts";

/** The canary's rows are kept as of this round; coordinators count theirs from 1. */
const canaryRound = 0;

export interface PreparationParts extends Pick<WorkerParts, "lanes" | "memory" | "checkProgram" | "numericClass"> {
  /** A buffer for the canary's parameters, whose content is void afterwards. */
  readonly borrow: () => { readonly address: number; readonly version: number };
  /** Nobody waits for it any more: whoever joined next has this memory now. */
  readonly isGone: () => boolean;
  readonly ready: (numericClass: string) => void;
  readonly failed: (error: unknown) => void;
}

/** What a worker does before its first lease: loads the run's programs, and computes the canary. */
export class Preparation {
  readonly #parts: PreparationParts;
  readonly #programs = new Map<string, ShardProgram>();
  readonly #canaries: { program: string; address: number }[] = [];
  #loading: Promise<void> = Promise.resolve();
  #done: Promise<void> = Promise.resolve();

  constructor(parts: PreparationParts) {
    this.#parts = parts;
  }

  /** Settles when what was begun has ended: may take a lane for ever, as leases may. */
  get done(): Promise<void> {
    return this.#done;
  }

  /** Throws PROTOCOL for a program that has not come. */
  program(id: string): ShardProgram {
    const program = this.#programs.get(id);
    if (program === undefined) throw new TuttiError("PROTOCOL", `no program ${id}`);
    return program;
  }

  isTraining(id: string): boolean {
    return this.#programs.get(id)?.mode === "train";
  }

  /** Throws GRAPH_INVALID. */
  load(message: MessageOf<ToWorker, "program">, payload: Uint8Array | undefined): void {
    const onnx = Uint8Array.from(payload ?? []);
    this.#parts.checkProgram(onnx);
    const program: ShardProgram = { ...message.manifest, id: message.id, onnx };
    this.#programs.set(message.id, program);
    const before = this.#loading;
    const load = this.#parts.lanes.load(program);
    this.#loading = Promise.all([before, load]).then(() => {});
    this.#done = this.#loading;
    this.#loading.catch((error) => this.#parts.failed(error));
  }

  canary(message: MessageOf<ToWorker, "canary">, payload: Uint8Array | undefined): void {
    const { batches } = this.#parts.memory;
    const index = this.#canaries.length;
    batches.put(canaryRound, index, message.program, 0, payload ?? new Uint8Array(0));
    this.#canaries.push({ program: message.program, address: batches.get(canaryRound, index)!.address });
    if (!message.last) return;
    this.#done = this.#loading
      .then(() => this.#parts.numericClass(this.#canaryTask()))
      .then((numericClass) => {
        if (this.#parts.isGone()) return;
        batches.release(canaryRound);
        this.#parts.ready(numericClass);
      })
      .catch((error) => this.#parts.failed(error));
  }

  #canaryTask(): CanaryTask {
    const { address: parameters, version: generation } = this.#parts.borrow();
    const programs = this.#canaries.map((canary) => ({
      program: this.program(canary.program),
      columns: canary.address,
    }));
    return { programs, parameters, generation };
  }
}
