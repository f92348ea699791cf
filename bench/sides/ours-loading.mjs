// Reads one file to its end and prints what that took: node ours-loading.mjs READER PATH BYTES
import { createReadStream } from "node:fs";
import { dirname } from "node:path";
import { data } from "@tutti/core/data";
import { parse } from "csv-parse";

const [, , reader, path, bytes] = process.argv;
const numbers = Array.from({ length: 20 }, (_, i) => `x${i}`);
const columns = { x: { dtype: "float32", from: numbers }, island: "category", label: "uint8" };

const readers = {
  csv: () => data.csv(path, { columns }).open({ baseDirectory: dirname(path) }),
  "csv, inferred": () => data.csv(path).open({ baseDirectory: dirname(path) }),
  parquet: () => data.parquet(path, { columns }).open({ baseDirectory: dirname(path) }),
  jsonl: () => data.jsonl(path, { columns }).open({ baseDirectory: dirname(path) }),
  /** The same fields as numbers and words, in arrays that grow; nothing is checked or hashed. */
  "csv-parse": async () => {
    const found = numbers.map(() => []);
    const islands = [];
    let size = 0;
    for await (const record of createReadStream(path).pipe(parse({ from: 2 }))) {
      for (let i = 0; i < numbers.length; i++) found[i].push(Number(record[i]));
      islands.push(record[20]);
      size++;
    }
    return { size };
  },
};
const startMs = performance.now();
const { size } = await readers[reader]();
const ms = performance.now() - startMs;
const peakMb = process.resourceUsage().maxRSS / 1024;
console.log(JSON.stringify({ rows: size, mbPerSecond: Number(bytes) / 1e3 / ms, peakMb }));
process.exit(0);
