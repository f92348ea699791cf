import { TuttiError } from "../errors/index.ts";
import { bytesOf, type ColumnDType, type ColumnType, elementsPerSample } from "./column.ts";
import { contiguousColumn, type Dataset, memoryDataset, type StoredColumn } from "./dataset.ts";
import { type DataFile, dataFile, openDataFile, readFailure, readStream } from "./file.ts";
import { type DataSource, type OpenContext, type PlainObject, requireColumns } from "./source.ts";

/** Third byte of the magic number, as in the format's only description (Y. LeCun, "The MNIST database"). */
const dtypeOfCode: Readonly<Record<number, ColumnDType>> = {
  8: "uint8",
  9: "int8",
  11: "int16",
  12: "int32",
  13: "float32",
  14: "float64",
};

/**
 * One idx file (plain or gzipped) per column; its first dimension counts the rows. Big-endian values become
 * little-endian; dtype and sample shape are the file's.
 * @param files column name to path, relative to the run file.
 */
export function idx<const Files extends Readonly<Record<string, string>>>(
  files: Files,
): DataSource<{ readonly [Name in keyof Files]: ColumnType }> {
  requireColumns("idx", files);
  for (const [name, path] of Object.entries(files)) {
    if (typeof path !== "string" || path === "") {
      throw new TuttiError("BAD_OPTION", `data.idx: column "${name}": expected the path of an idx file`);
    }
  }
  return {
    kind: "idx",
    describe: { ...files },
    withDescription(describe: PlainObject) {
      const names = Object.keys(files);
      if (Object.keys(describe).length !== names.length || !names.every((name) => Object.hasOwn(describe, name))) {
        throw new TuttiError(
          "BAD_OPTION",
          `data.idx: expected a path for each of ${names.join(", ")} and nothing else`,
        );
      }
      return idx(describe as Files);
    },
    open: (context) => openIdx(files, context),
  };
}

async function openIdx(files: Readonly<Record<string, string>>, context: OpenContext): Promise<Dataset> {
  const stored: Record<string, StoredColumn> = {};
  const paths: Record<string, string> = {};
  let first: { size: number; given: string } | undefined;
  for (const [name, path] of Object.entries(files)) {
    const file = dataFile(context.baseDirectory, path);
    const { size, type, bytes } = await readIdx(file);
    first ??= { size, given: file.given };
    if (size !== first.size) {
      throw new TuttiError(
        "DATA_INVALID",
        `${file.given}: expected ${first.size} rows as in ${first.given}, found ${size}`,
        { ...file },
      );
    }
    stored[name] = contiguousColumn(type, bytes);
    paths[name] = file.resolved;
  }
  return memoryDataset(first!.size, stored, paths);
}

interface IdxContent {
  readonly size: number;
  readonly type: ColumnType;
  /** Packed little-endian samples. */
  readonly bytes: Uint8Array;
}

async function readIdx(file: DataFile): Promise<IdxContent> {
  const handle = await openDataFile(file);
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of await readStream(handle)) chunks.push(chunk as Uint8Array);
  } catch (error) {
    throw readFailure(file, error);
  } finally {
    await handle.close();
  }
  return decodeIdx(Buffer.concat(chunks), file);
}

function decodeIdx(content: Uint8Array, file: DataFile): IdxContent {
  const refuse = (problem: string) => new TuttiError("DATA_INVALID", `${file.given}: ${problem}`, { ...file });
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  if (content.byteLength < 4 || view.getUint16(0) !== 0) {
    throw refuse("expected an idx file, which starts with two zero bytes");
  }
  const dtype = dtypeOfCode[view.getUint8(2)];
  if (dtype === undefined) throw refuse(`unknown idx data type 0x${view.getUint8(2).toString(16).padStart(2, "0")}`);
  const rank = view.getUint8(3);
  const headerBytes = 4 + 4 * rank;
  if (rank === 0) throw refuse("expected at least one dimension, found a scalar");
  if (content.byteLength < headerBytes) throw refuse(`is cut off inside its header of ${headerBytes} bytes`);
  const dimensions = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  const [size, ...shape] = dimensions;
  if (dimensions.includes(0)) throw refuse(`expected rows and no empty dimension, found [${dimensions.join(", ")}]`);
  const type: ColumnType = { dtype, shape };
  const expectedBytes = headerBytes + size! * elementsPerSample(type) * bytesOf(dtype);
  if (content.byteLength !== expectedBytes) {
    throw refuse(
      `its header says [${dimensions.join(", ")}] ${dtype}, ${expectedBytes} bytes in all; found ${content.byteLength}`,
    );
  }
  return { size: size!, type, bytes: littleEndian(content.subarray(headerBytes), bytesOf(dtype)) };
}

function littleEndian(bytes: Uint8Array, elementBytes: number): Uint8Array {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (elementBytes === 1) return bytes;
  if (elementBytes === 2) return buffer.swap16();
  return elementBytes === 4 ? buffer.swap32() : buffer.swap64();
}
