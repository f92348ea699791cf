// Which reader of Parquet files? Time and memory to read every value once, and what the package takes on disk.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parquetWriteBuffer } from "hyparquet-writer";
import { figure } from "./harness/report.mjs";
import { alternate, median } from "./harness/rounds.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const peers = `${here}peers/parquet`;
const rows = 400_000;
/** What each needs installed. */
const packages = {
  hyparquet: ["hyparquet", "hyparquet-compressors"],
  "parquet-wasm": ["parquet-wasm", "apache-arrow"],
  "@dsnp/parquetjs": ["@dsnp/parquetjs"],
  "@duckdb/node-api": ["@duckdb"],
};

function writeFile(path) {
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const column = (make) => Array.from({ length: rows }, make);
  const number = (i) => (i % 4 === 0 ? () => Math.floor(next() * 1000) : () => Math.fround(next() * 20 - 10));
  const columnData = [
    ...Array.from({ length: 20 }, (_, i) => ({ name: `x${i}`, type: "FLOAT", data: column(number(i)) })),
    { name: "island", type: "STRING", data: column(() => ["Biscoe", "Dream", "Torgersen"][Math.floor(next() * 3)]) },
    { name: "label", type: "INT32", data: column(() => Math.floor(next() * 3)) },
  ];
  writeFileSync(path, Buffer.from(parquetWriteBuffer({ columnData, rowGroupSize: 100_000 })));
}

function read(reader, path) {
  const side = `${here}sides/parquet-read.mjs`;
  const { status, stdout, stderr } = spawnSync(process.execPath, [side, reader, path, peers], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${reader}: ${stderr}`);
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

function megabytesOf(name) {
  const own = `${peers}/node_modules/${name}`;
  const files = readdirSync(own, { recursive: true }).map((file) => statSync(join(own, file)));
  return files.reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0) / 1e6;
}

export async function measure({ rounds, only, log }) {
  if (!existsSync(`${peers}/node_modules`)) {
    log("parquet: installing the readers into bench/peers/parquet/node_modules (170 MB)");
    const args = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"];
    const { status, stderr } = spawnSync("npm", args, { cwd: peers, encoding: "utf8" });
    if (status !== 0) throw new Error(`npm could not install the readers: ${stderr.trim().split("\n").at(-1)}`);
  }
  const folder = mkdtempSync(join(tmpdir(), "tutti-parquet-"));
  try {
    const path = join(folder, "table.parquet");
    writeFile(path);
    const names = Object.keys(packages).filter((name) => only.length === 0 || only.includes(name));
    const found = await alternate(Object.fromEntries(names.map((name) => [name, () => read(name, path)])), rounds);
    const sums = new Set(Object.values(found).flatMap((all) => all.map(({ sum }) => sum)));
    if (sums.size !== 1) throw new Error(`the readers disagree: ${[...sums].join(", ")}`);
    const results = names.map((name) => ({
      reader: name,
      ms: median(found[name].map(({ ms }) => ms)),
      peakMb: median(found[name].map(({ peakMb }) => peakMb)),
      packageMb: packages[name].reduce((sum, one) => sum + megabytesOf(one), 0),
    }));
    const megabytes = figure(statSync(path).size / 1e6);
    const title = `Every value of ${rows} rows of 20 floats, a word and an integer (${megabytes} MB, Snappy), read once`;
    return {
      results,
      tables: [
        {
          title,
          columns: ["", "ms", "rows/s", "peak RSS, MB", "package, MB"],
          rows: results.map(({ reader, ms, peakMb, packageMb }) => [
            reader,
            figure(ms),
            figure((rows / ms) * 1000),
            figure(peakMb),
            figure(packageMb),
          ]),
        },
      ],
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
