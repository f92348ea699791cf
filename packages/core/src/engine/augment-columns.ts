import { TuttiError } from "../errors/index.ts";
import { type RandomStream, randomStream } from "../random/index.ts";
import type { Augmentation, ProgramAugmentation } from "../step/augmentation.ts";
import type { ProgramColumn, ProgramManifest } from "../step/shard-program.ts";
import type { RandomPosition } from "./draw-randoms.ts";
import { elementsOf, packedColumns } from "./packed-tensors.ts";
import { bytesPerElement, type TensorMemory } from "./tensor-memory.ts";

/**
 * Copies a shard's packed columns and changes them as its program says. What becomes of a sample is a pure function of the run's
 * seed, the epoch and the sample's position in it: random value i of a change is that of the stream ("augment", column, place of the change,
 * epoch), one for each axis or value of each position.
 *
 * @param from address of the rows as they were sent, packed as `packedColumns` says; stays as it is.
 * @param to address of as many bytes that are free.
 */
export function augmentColumns(
  memory: TensorMemory,
  program: ProgramManifest,
  augmentation: ProgramAugmentation,
  from: number,
  to: number,
  { seed, step, firstPosition }: RandomPosition,
): void {
  const { offsets, totalBytes } = packedColumns(program);
  const copy = memory.view("uint8", to, totalBytes) as Uint8Array;
  copy.set(memory.view("uint8", from, totalBytes) as Uint8Array);
  const { stepsPerEpoch, batchSize, columns } = augmentation;
  const epoch = Math.floor(step / stepsPerEpoch);
  const first = (step % stepsPerEpoch) * batchSize + firstPosition;
  for (const { column: name, changes } of columns) {
    const index = program.columns.findIndex((column) => column.name === name);
    const column = program.columns[index];
    if (column === undefined) continue; // the step function does not use it
    const samples = new Samples(memory, to + offsets[index]!, column);
    for (const [place, change] of changes.entries()) {
      samples.change(change, randomStream(seed, "augment", name, place, epoch), first);
    }
  }
}

/** The samples of a packed column, changed in place. */
class Samples {
  readonly #memory: TensorMemory;
  readonly #address: number;
  readonly #column: ProgramColumn;
  readonly #count: number;
  /** Of one sample. */
  readonly #shape: readonly number[];
  readonly #sampleBytes: number;

  constructor(memory: TensorMemory, address: number, column: ProgramColumn) {
    const [count = 0, ...shape] = column.shape;
    this.#memory = memory;
    this.#address = address;
    this.#column = column;
    this.#count = count;
    this.#shape = shape;
    this.#sampleBytes = elementsOf(shape) * bytesPerElement(column.dtype);
  }

  change(change: Augmentation, random: RandomStream, firstPosition: number): void {
    for (let sample = 0; sample < this.#count; sample++) {
      const position = firstPosition + sample;
      switch (change.kind) {
        case "flip":
          if (random.uint32At(position) < change.probability * 2 ** 32) this.#flip(sample, change.axis);
          break;
        case "crop":
          for (const [i, axis] of change.axes.entries()) {
            const word = random.uint32At(position * change.axes.length + i);
            // Exact: the product is below 2^53, and the divisor a power of two.
            const shift = Math.floor((word * (2 * change.padding + 1)) / 2 ** 32) - change.padding;
            this.#shift(sample, axis, shift);
          }
          break;
        case "noise":
          this.#addNoise(sample, change.std, random, position);
          break;
      }
    }
  }

  /** A sample's bytes as [outer, size of the axis, bytes of what lies within]. */
  #along(
    sample: number,
    axis: number,
  ): { readonly rows: readonly Uint8Array[]; readonly size: number; readonly inner: number } {
    const bytes = this.#memory.view(
      "uint8",
      this.#address + sample * this.#sampleBytes,
      this.#sampleBytes,
    ) as Uint8Array;
    const size = this.#shape[axis]!;
    const inner = elementsOf(this.#shape.slice(axis + 1)) * bytesPerElement(this.#column.dtype);
    const rowBytes = size * inner;
    const rows = Array.from({ length: bytes.byteLength / rowBytes }, (_, row) =>
      bytes.subarray(row * rowBytes, (row + 1) * rowBytes),
    );
    return { rows, size, inner };
  }

  #flip(sample: number, axis: number): void {
    const { rows, size, inner } = this.#along(sample, axis);
    for (const row of rows) {
      if (inner === 1) {
        row.reverse();
        continue;
      }
      for (let low = 0, high = size - 1; low < high; low++, high--) {
        const kept = row.slice(low * inner, (low + 1) * inner);
        row.copyWithin(low * inner, high * inner, (high + 1) * inner);
        row.set(kept, high * inner);
      }
    }
  }

  /** Value i becomes value i + shift. */
  #shift(sample: number, axis: number, shift: number): void {
    if (shift === 0) return;
    const { rows, size, inner } = this.#along(sample, axis);
    const kept = (size - Math.abs(shift)) * inner;
    const moved = Math.abs(shift) * inner;
    for (const row of rows) {
      if (shift > 0) row.copyWithin(0, moved).fill(0, kept);
      else row.copyWithin(moved, 0, kept).fill(0, 0, moved);
    }
  }

  #addNoise(sample: number, std: number, random: RandomStream, position: number): void {
    const { dtype } = this.#column;
    const count = elementsOf(this.#shape);
    const values = this.#memory.view(dtype, this.#address + sample * this.#sampleBytes, count);
    const noise = new Float32Array(count);
    random.fillNormal(noise, 0, std, position * count);
    if (values instanceof Float32Array || values instanceof Float64Array) {
      for (let i = 0; i < count; i++) values[i] = values[i]! + noise[i]!;
      return;
    }
    const [least, greatest] = integerRange(dtype);
    for (let i = 0; i < count; i++) {
      const value = Math.floor(Number(values[i]!) + noise[i]! + 0.5);
      (values as Int32Array)[i] = Math.min(greatest, Math.max(least, value));
    }
  }
}

function integerRange(dtype: string): readonly [least: number, greatest: number] {
  switch (dtype) {
    case "int8":
      return [-128, 127];
    case "uint8":
      return [0, 255];
    case "int16":
      return [-32_768, 32_767];
    case "uint16":
      return [0, 65_535];
    case "int32":
      return [-2_147_483_648, 2_147_483_647];
    default:
      throw new TuttiError("INTERNAL", `noise on a column of ${dtype}`);
  }
}
