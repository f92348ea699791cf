import type * as Ort from "onnxruntime-node";
import { isTuttiError, TuttiError } from "../errors/index.ts";
import type { ShardProgram } from "../step/shard-program.ts";
import { firstLine } from "./engine-choice.ts";
import { elementsOf } from "./packed-tensors.ts";
import type { Engine } from "./runtime.ts";
import { bytesPerElement } from "./tensor-memory.ts";

export type Tensors = Readonly<Record<string, Ort.Tensor>>;

/** A compiled graph. Belongs to the thread that opened it; recreating sessions leaks, so they live as long as the run. */
export class Session {
  readonly id: string;
  readonly #session: Ort.InferenceSession;
  readonly #fillsFetches: boolean;
  readonly #largeOutputs: readonly string[];

  private constructor(program: ShardProgram, session: Ort.InferenceSession, fillsFetches: boolean) {
    this.id = program.id;
    this.#session = session;
    this.#fillsFetches = fillsFetches;
    const outputs = [
      ...program.sums.map(({ name, shape }) => ({ name, shape, dtype: "float32" as const })),
      ...program.collects,
    ];
    this.#largeOutputs = outputs
      .filter(({ shape, dtype }) => elementsOf(shape) * bytesPerElement(dtype) >= largeBytes)
      .map(({ name }) => name);
  }

  /** Compiles `program`. Throws ENGINE_FAILED when the engine refuses it or it disagrees with its manifest. */
  static async open(engine: Engine, program: ShardProgram): Promise<Session> {
    let session: Ort.InferenceSession;
    try {
      session = await engine.runtime.InferenceSession.create(await forEngine(engine, program), engine.sessionOptions);
    } catch (error) {
      throw engineFailed(program.id, "does not compile", error);
    }
    const disagreement = findDisagreement(session, program);
    if (disagreement !== undefined) {
      await session.release();
      throw engineFailed(program.id, "disagrees with its manifest", disagreement);
    }
    return new Session(program, session, engine.fillsFetches);
  }

  /** Fills the tensors of `fetches` from `feeds`. Throws ENGINE_FAILED. */
  async run(feeds: Tensors, fetches: Tensors): Promise<void> {
    try {
      if (this.#fillsFetches) {
        const copies = await this.#session.run(feeds, fetches); // of what `fetches` now holds
        for (const name of this.#largeOutputs) freeNow(copies[name]);
        return;
      }
      const results = await this.#session.run(feeds, Object.keys(fetches));
      for (const [name, fetch] of Object.entries(fetches)) copyValues(results[name], fetch);
    } catch (error) {
      throw engineFailed(this.id, "does not run", error);
    }
  }

  close(): Promise<void> {
    return this.#session.release();
  }
}

/** Outputs from this size on are freed as soon as they are there. */
const largeBytes = 65_536;

/** Not in the types of this language level; Node has it from 22 on. */
interface TransferableBuffer {
  readonly transfer?: (newByteLength: number) => ArrayBuffer;
}

/**
 * Gives back the memory of a tensor that nobody reads. Left to the garbage collector, megabytes a step are taken from the
 * system anew each time, and the collections themselves take a quarter of a small model's step.
 */
function freeNow(tensor: Ort.Tensor | undefined): void {
  if (tensor === undefined || !ArrayBuffer.isView(tensor.data)) return;
  const buffer: ArrayBufferLike & TransferableBuffer = tensor.data.buffer;
  buffer.transfer?.(0);
}

/** The graph as it is opened. What brings convolutions into blocks is loaded only for programs that have any. */
async function forEngine(engine: Engine, { onnx }: ShardProgram): Promise<Uint8Array> {
  if (!Buffer.from(onnx.buffer, onnx.byteOffset, onnx.byteLength).includes("Conv")) return onnx;
  const { blockedProgram } = await import("./blocked-program.ts");
  return blockedProgram(engine, onnx);
}

/** Copies a result's bytes; the two are of one dtype and shape. */
function copyValues(from: Ort.Tensor | undefined, to: Ort.Tensor): void {
  if (from === undefined || !ArrayBuffer.isView(from.data) || !ArrayBuffer.isView(to.data)) {
    throw new TuttiError("INTERNAL", "the engine gave no numbers");
  }
  bytesOf(to.data).set(bytesOf(from.data));
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

export function engineFailed(programId: string, what: string, cause: unknown): TuttiError {
  if (isTuttiError(cause)) return cause;
  return new TuttiError(
    "ENGINE_FAILED",
    `program ${programId.slice(0, 12)} ${what}: ${firstLine(cause)}`,
    { programId },
    { cause },
  );
}

/** The first input or output that manifest and graph know differently: feeding it would read or write the wrong bytes. */
function findDisagreement(session: Ort.InferenceSession, program: ShardProgram): string | undefined {
  const float32 = (name: string, shape: readonly number[]) => ({ name, dtype: "float32", shape });
  const floats = [...program.parameters, ...program.randoms];
  const fed = [...program.columns, ...floats.map(({ name, shape }) => float32(name, shape))];
  const fetched = [
    ...program.sums.map(({ name, shape }) => float32(name, shape)),
    float32(program.scalars.name, [program.scalars.length]),
    ...program.collects,
  ];
  for (const view of [...program.parameters, ...program.sums]) {
    const elements = view.shape.reduce((product, size) => product * size, 1);
    if (view.length !== elements) return `${view.name} has ${elements} elements, the manifest gives it ${view.length}`;
    if (!Number.isInteger(view.offset / 16) || view.offset < 0) {
      return `${view.name} lies at float ${view.offset}, expected a multiple of 16`;
    }
  }
  for (const { name, offset, length } of program.sums) {
    if (offset + length > program.sumsFloats)
      return `${name} ends at float ${offset + length} of ${program.sumsFloats} sums`;
  }
  return (
    compare("input", session.inputMetadata, fed, false) ?? compare("output", session.outputMetadata, fetched, true)
  );
}

function compare(
  kind: "input" | "output",
  found: readonly Ort.InferenceSession.ValueMetadata[],
  listed: readonly { readonly name: string; readonly dtype: string; readonly shape: readonly number[] }[],
  all: boolean,
): string | undefined {
  const byName = new Map(listed.map((tensor) => [tensor.name, tensor]));
  for (const value of found) {
    const tensor = byName.get(value.name);
    if (tensor === undefined) return `${kind} ${value.name} is not in the manifest`;
    if (!value.isTensor) return `${kind} ${value.name} is no tensor`;
    const agrees =
      value.type === tensor.dtype &&
      value.shape.length === tensor.shape.length &&
      value.shape.every((size, axis) => typeof size === "string" || size === tensor.shape[axis]);
    if (!agrees) {
      return `${kind} ${value.name} is ${value.type}[${value.shape}], the manifest says ${tensor.dtype}[${tensor.shape}]`;
    }
    byName.delete(value.name);
  }
  // A column that the graph does not use is no harm; an output that is missing would keep an old sum.
  const [unfound] = byName.keys();
  return all && unfound !== undefined ? `${kind} ${unfound} is not in the graph` : undefined;
}
