import { TuttiError } from "../errors/index.ts";
import type { Kernels } from "../kernels/index.ts";
import { type RandomStream, randomStream, randomWords } from "../random/index.ts";
import type { Augmentation, ProgramAugmentation } from "../step/augmentation.ts";
import type { ProgramColumn, ProgramManifest } from "../step/shard-program.ts";
import type { RandomPosition } from "./draw-randoms.ts";
import { elementsOf, noiseFloats, packedColumns } from "./packed-tensors.ts";
import { bytesPerElement, type TensorMemory } from "./tensor-memory.ts";

/** Where noise is drawn: room for `noiseFloats` values. */
export interface NoiseRoom {
  readonly kernels: Kernels;
  readonly address: number;
}

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
  room: NoiseRoom,
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
      if (change.kind === "noise") {
        const words = randomWords(seed, "augment", name, place, epoch);
        samples.addNoise(room, words, change.std, first);
      } else samples.change(change, randomStream(seed, "augment", name, place, epoch), first);
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

  change(change: Exclude<Augmentation, { readonly kind: "noise" }>, random: RandomStream, firstPosition: number): void {
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

  /** To value i of the sample at a position that of the stream at position · values + i. */
  addNoise({ kernels, address }: NoiseRoom, { key, path }: ReturnType<typeof randomWords>, std: number, first: number) {
    const { dtype } = this.#column;
    const count = this.#count * elementsOf(this.#shape);
    const values = this.#memory.view(dtype, this.#address, count);
    const firstIndex = first * elementsOf(this.#shape);
    const noise = this.#memory.view("float32", address, noiseFloats) as Float32Array;
    const isFloat = values instanceof Float32Array || values instanceof Float64Array;
    const [least, greatest] = isFloat ? [0, 0] : integerRange(dtype);
    for (let done = 0; done < count; ) {
      const block = Math.floor((firstIndex + done) / 4);
      const skipped = firstIndex + done - 4 * block;
      // A piece ends where the upper half of the counter changes.
      const blocks = Math.min(noiseFloats / 4, 2 ** 32 - (block % 2 ** 32));
      kernels.normal(address, blocks, block, key, path, { mean: 0, std });
      const end = Math.min(count, done + 4 * blocks - skipped);
      for (let at = skipped - done; done < end; done++) {
        const drawn = noise[at + done]!;
        if (isFloat) values[done] = values[done]! + drawn;
        else {
          const value = Math.floor(Number(values[done]!) + drawn + 0.5);
          (values as Int32Array)[done] = Math.min(greatest, Math.max(least, value));
        }
      }
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
