// Reads every value of a Parquet file once and prints what that took: node parquet-read.mjs READER PATH [PEERS]
// The sum of numbers and lengths of words shows that all have read the same.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [, , reader, path, peers] = process.argv;
const names = [...Array.from({ length: 20 }, (_, i) => `x${i}`), "island", "label"];
const peer = async (name) => {
  const loaded = await import(pathToFileURL(createRequire(`${peers}/package.json`).resolve(name)).href);
  return { ...loaded.default, ...loaded };
};
let [rows, sum] = [0, 0];
const take = (value) => {
  sum += typeof value === "string" ? value.length : Number(value);
};
const takeAll = (values) => {
  for (let i = 0; i < values.length; i++) take(values[i]);
};

const readers = {
  async hyparquet() {
    const { asyncBufferFromFile, parquetRead } = await peer("hyparquet");
    const { compressors } = await peer("hyparquet-compressors");
    const onChunk = ({ columnName, columnData }) => {
      takeAll(columnData);
      if (columnName === "label") rows += columnData.length;
    };
    await parquetRead({ file: await asyncBufferFromFile(path), compressors, columns: names, onChunk });
  },
  async "parquet-wasm"() {
    const [{ readParquet }, { tableFromIPC }] = [await peer("parquet-wasm"), await peer("apache-arrow")];
    const table = tableFromIPC(readParquet(readFileSync(path)).intoIPCStream());
    for (const name of names) takeAll(table.getChild(name).toArray());
    rows = table.numRows;
  },
  async "@dsnp/parquetjs"() {
    const { ParquetReader } = await peer("@dsnp/parquetjs");
    const file = await ParquetReader.openFile(path);
    const cursor = file.getCursor();
    for (let record = await cursor.next(); record !== null; record = await cursor.next()) {
      for (const name of names) take(record[name]);
      rows++;
    }
  },
  async "@duckdb/node-api"() {
    const { DuckDBInstance } = await peer("@duckdb/node-api");
    const connection = await (await DuckDBInstance.create(":memory:", { threads: "1" })).connect();
    const result = await connection.stream(`select ${names.join(", ")} from read_parquet('${path}')`);
    for (let chunk = await result.fetchChunk(); chunk?.rowCount > 0; chunk = await result.fetchChunk()) {
      for (let i = 0; i < names.length; i++) {
        const column = chunk.getColumnVector(i);
        if (column.items?.length > 0 && typeof column.items[0] === "number")
          takeAll(column.items.subarray(0, chunk.rowCount));
        else for (let row = 0; row < chunk.rowCount; row++) take(column.getItem(row));
      }
      rows += chunk.rowCount;
    }
  },
};
const startMs = performance.now();
await readers[reader]();
const ms = performance.now() - startMs;
console.log(JSON.stringify({ rows, sum: Math.round(sum), ms, peakMb: process.resourceUsage().maxRSS / 1024 }));
process.exit(0);
