import type { FileMetaData, PageHeader } from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";

/** Bytes of a file, as hyparquet asks for them. */
export interface ByteSource {
  readonly byteLength: number;
  slice(start: number, end?: number): Promise<ArrayBuffer>;
}

/**
 * Holds the headers of all pages that will be read against the sizes and counts that the file's footer gives. A damaged one
 * could otherwise have the decoder go round for ever, or for billions of values that are not there.
 *
 * @param columns names of those that are read, at the top of the schema.
 * @throws Error that says what does not fit.
 */
export async function checkPages(
  source: ByteSource,
  metadata: FileMetaData,
  columns: readonly string[],
): Promise<void> {
  const rows = metadata.row_groups.reduce((sum, group) => sum + Number(group.num_rows), 0);
  if (rows !== Number(metadata.num_rows)) throw new Error(`its footer says ${metadata.num_rows} rows and ${rows}`);
  for (const [index, group] of metadata.row_groups.entries()) {
    if (group.num_rows < 0) throw new Error(`row group ${index + 1} has ${group.num_rows} rows`);
    for (const { meta_data: chunk } of group.columns) {
      const name = chunk?.path_in_schema[0];
      if (chunk === undefined || name === undefined || !columns.includes(name)) continue;
      const start = Number(chunk.dictionary_page_offset ?? chunk.data_page_offset);
      const size = Number(chunk.total_compressed_size);
      const where = `row group ${index + 1}, column "${name}"`;
      if (start < 0 || size < 0 || start + size > source.byteLength) {
        throw new Error(`${where} is said to lie at bytes ${start} to ${start + size} of ${source.byteLength}`);
      }
      // Every value but those of lists is one of a row.
      if (chunk.path_in_schema.length === 1 && chunk.num_values !== group.num_rows) {
        throw new Error(`${where} has ${chunk.num_values} values for ${group.num_rows} rows`);
      }
      checkChunk(await source.slice(start, start + size), Number(chunk.num_values), where);
    }
  }
}

function checkChunk(bytes: ArrayBuffer, values: number, where: string): void {
  const reader = { view: new DataView(bytes), offset: 0 };
  let found = 0;
  while (reader.offset < bytes.byteLength && found < values) {
    const at = reader.offset;
    const header = parquetHeader(reader);
    const rest = bytes.byteLength - reader.offset;
    if (!isSound(header, rest, values)) throw new Error(`${where}: the header of its page at byte ${at} is damaged`);
    found += (header.data_page_header_v2 ?? header.data_page_header)?.num_values ?? 0;
    reader.offset += header.compressed_page_size;
  }
  if (found !== values) throw new Error(`${where}: its pages have ${found} of ${values} values`);
}

/** True if all fields that the specification requires are there and possible. */
function isSound(header: PageHeader, bytes: number, values: number): boolean {
  const { compressed_page_size: size, uncompressed_page_size: unpacked } = header;
  if (!isCount(size, bytes) || !isCount(unpacked, mostPageBytes)) return false;
  const v2 = header.data_page_header_v2;
  if (v2 !== undefined) {
    const counts = [v2.num_values, v2.num_nulls, v2.num_rows];
    const levels = [v2.definition_levels_byte_length, v2.repetition_levels_byte_length];
    return (
      isNamed(v2.encoding) && counts.every((count) => isCount(count, values)) && levels.every((n) => isCount(n, size))
    );
  }
  const page = header.data_page_header ?? header.dictionary_page_header;
  return page !== undefined && isNamed(page.encoding) && isCount(page.num_values, values);
}

// What hyparquet declares as numbers is absent where the file lacks it.
const isCount = (found: unknown, most: number): boolean =>
  typeof found === "number" && Number.isInteger(found) && found >= 0 && found <= most;
const isNamed = (found: unknown): boolean => typeof found === "string";

/** Writers make pages of about 1 MB; one of a whole row group is still possible. */
const mostPageBytes = 2 ** 31;
