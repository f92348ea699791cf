import { TuttiError } from "../errors/index.ts";
import type { ColumnDType, ColumnType } from "./column.ts";

/** What a .npy file says of its array (NumPy Enhancement Proposal 1, "A Simple File Format for NumPy Arrays"). */
export interface NpyHeader {
  /** Bytes before the first element. */
  readonly headerBytes: number;
  readonly rows: number;
  readonly type: ColumnType;
}

/** NumPy's little-endian type strings; "|" where an element is one byte. */
const dtypeOfDescription: Readonly<Record<string, ColumnDType>> = {
  "<f4": "float32",
  "<f8": "float64",
  "|i1": "int8",
  "|u1": "uint8",
  "<i2": "int16",
  "<u2": "uint16",
  "<i4": "int32",
  "<i8": "int64",
  "|b1": "bool",
};

/** Every header begins within so many bytes of a file's start; longer ones than this are refused. */
export const mostHeaderBytes = 64 * 1024;

/**
 * Reads the header of versions 1 to 3. The first axis counts rows.
 * @param start the file's first bytes: `mostHeaderBytes` of them, or all there are.
 * @param where the file or archive entry, for messages. Throws DATA_INVALID with what to do in NumPy.
 */
export function decodeNpyHeader(start: Uint8Array, where: string): NpyHeader {
  const refuse = (problem: string): TuttiError => new TuttiError("DATA_INVALID", `${where}: ${problem}`, { where });
  const magic = Buffer.from(start.buffer, start.byteOffset, Math.min(6, start.byteLength)).toString("latin1");
  if (magic !== "\x93NUMPY" || start.byteLength < 12)
    throw refuse('expected a .npy file, which starts with "\\x93NUMPY"; write one with numpy.save');
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const version = view.getUint8(6);
  if (version < 1 || version > 3) throw refuse(`is of .npy version ${version}; 1 to 3 are read`);
  const textStart = version === 1 ? 10 : 12;
  const textBytes = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const headerBytes = textStart + textBytes;
  if (headerBytes > start.byteLength) throw refuse(`is cut off inside its header of ${headerBytes} bytes`);
  const text = new TextDecoder().decode(start.subarray(textStart, headerBytes));
  const description = /'descr':\s*'([^']*)'/.exec(text)?.[1];
  const order = /'fortran_order':\s*(True|False)/.exec(text)?.[1];
  const shapeText = /'shape':\s*\(([\d,\s]*)\)/.exec(text)?.[1];
  if (order === undefined || shapeText === undefined || (description === undefined && !text.includes("'descr':"))) {
    throw refuse(`has no valid .npy header: ${JSON.stringify(text.slice(0, 200))}`);
  }
  const dtype = description === undefined ? undefined : dtypeOfDescription[description];
  if (dtype === undefined) {
    throw refuse(
      `holds elements of NumPy's type ${description ?? "of several fields"}; expected one of ${Object.keys(dtypeOfDescription).join(", ")}: convert it, for example with array.astype("<f4")`,
    );
  }
  const shape = shapeText
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map(Number);
  const [rows, ...sampleShape] = shape;
  if (rows === undefined) throw refuse("holds a single value; expected an array whose first axis counts rows");
  if (shape.includes(0)) throw refuse(`expected rows and no empty axis, found (${shape.join(", ")})`);
  if (order === "True" && shape.length > 1) {
    throw refuse("is in Fortran's order; save numpy.ascontiguousarray(array) instead");
  }
  return { headerBytes, rows, type: { dtype, shape: sampleShape } };
}
