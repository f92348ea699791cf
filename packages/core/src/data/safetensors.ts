import { decodeHeader, dtypeOfFormat, headerEnd } from "../checkpoint/safetensors.ts";
import { isTuttiError, TuttiError } from "../errors/index.ts";
import type { ColumnType } from "./column.ts";
import { type ColumnPart, commonRows, joinParts, openStart, type StartOfFile } from "./column-files.ts";
import type { Dataset } from "./dataset.ts";
import type { DataFile } from "./file.ts";
import { defaultMemoryBytes, type FileColumn, fileDataset, type OpenFile } from "./file-dataset.ts";
import { checkFileNames, type FileNames, findFiles } from "./files.ts";
import type { DataSource, OpenContext, PlainData } from "./source.ts";
import { checkTensorColumns, columnsWanted, describeTensors, type TensorColumns } from "./tensor-columns.ts";

/**
 * Tensors of safetensors files (github.com/huggingface/safetensors) as columns; the first axis counts rows. Several files
 * have the same tensors, and their rows follow one another. Large files are not loaded: rows are read by position. Opening throws
 * DATA_MISSING, and DATA_INVALID for a file that is none or is cut off, for tensors of different numbers of rows, and for
 * dtypes other than F32, F64, I8, U8, I16, U16, I32, I64 and BOOL.
 */
export function safetensors<const Columns extends Readonly<Record<string, string>> = Readonly<Record<string, string>>>(
  files: FileNames,
  options: TensorColumns<Columns> = {},
): DataSource<{ readonly [Name in keyof Columns]: ColumnType }> {
  checkFileNames("safetensors", files);
  checkTensorColumns("safetensors", options);
  return {
    kind: "safetensors",
    describe: describeTensors(files as PlainData, options),
    withDescription({ files: otherFiles, ...otherOptions }) {
      return safetensors(otherFiles as FileNames, otherOptions as TensorColumns<Columns>);
    },
    open: (context) => openSafetensors(files, options.columns, context),
  };
}

async function openSafetensors(
  names: FileNames,
  columns: Readonly<Record<string, string>> | undefined,
  context: OpenContext,
): Promise<Dataset> {
  const opened: OpenFile[] = [];
  const files = await findFiles(context.baseDirectory, names);
  let joined: Readonly<Record<string, FileColumn>>;
  try {
    const parts = new Map<string, ColumnPart[]>();
    for (const file of files) {
      const start = await openStart(file, 8);
      opened.push(start.open);
      const found = await partsOf(file, start, columns);
      if (opened.length === 1) for (const [column] of found) parts.set(column, []);
      for (const column of parts.keys()) {
        const part = found.find(([name]) => name === column)?.[1];
        if (part === undefined || found.length !== parts.size) throw otherTensors(file, [...parts.keys()], found);
        parts.get(column)!.push(part);
      }
    }
    joined = Object.fromEntries([...parts].map(([name, list]) => [name, joinParts(name, list)]));
    commonRows(joined);
  } catch (error) {
    for (const open of opened) await open.close();
    throw error;
  }
  const place = files.length === 1 && columns === undefined ? files[0]!.resolved : undefined;
  return fileDataset(commonRows(joined), joined, context.memoryBytes ?? defaultMemoryBytes, place);
}

type Found = readonly (readonly [column: string, part: ColumnPart])[];

async function partsOf(
  file: DataFile,
  { open, fileBytes, start }: StartOfFile,
  columns: Readonly<Record<string, string>> | undefined,
): Promise<Found> {
  try {
    const { end, tensors } = await readHeader(file, { open, fileBytes, start });
    return columnsWanted(
      file,
      tensors.map(({ name }) => name),
      columns,
    ).map(([column, name]) => {
      const { format, shape, begin } = tensors.find((tensor) => tensor.name === name)!;
      const [rows, ...sampleShape] = shape;
      if (rows === undefined || shape.includes(0)) {
        const message = `${file.given}: tensor "${name}": expected a first axis that counts rows and no empty axis, found [${shape.join(", ")}]`;
        throw new TuttiError("DATA_INVALID", message, { ...file, column });
      }
      const type: ColumnType = { dtype: dtypeOfFormat(format)!, shape: sampleShape };
      return [column, { open, file: file.given, offset: end + begin, rows, type }];
    });
  } catch (error) {
    if (!isTuttiError(error) || error.code !== "CHECKPOINT_INVALID") throw error;
    const message = `${file.given}: no valid safetensors file: ${String(error.details.reason ?? error.message)}`;
    throw new TuttiError("DATA_INVALID", message, { ...file });
  }
}

/** Where the data begins and what it is. Throws CHECKPOINT_INVALID for what is no safetensors file. */
export async function readHeader(file: DataFile, { open, fileBytes, start }: StartOfFile) {
  const end = headerEnd(start, fileBytes, file.given);
  const text = new Uint8Array(end - 8);
  await open.read(text, { position: 8 });
  return { end, ...decodeHeader(text, fileBytes - end, file.given) };
}

function otherTensors(file: DataFile, expected: readonly string[], found: Found): TuttiError {
  const list = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(", ");
  return new TuttiError(
    "DATA_INVALID",
    `${file.given}: expected the tensors ${list(expected)} as in the first file, found ${list(found.map(([name]) => name))}; name those to read in columns`,
    { ...file },
  );
}
