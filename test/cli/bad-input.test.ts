import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../system/tutti-process.ts";
import { type CommandResult, jsonLines, runFile, runText, tutti } from "./command.ts";

/** One clear line on stderr, the right status, no stack trace, no process left. */
function expectRefusal(result: CommandResult, status: number, code: string, message: RegExp): void {
  const { stderr, orphans } = result;
  expect({ status: result.status, stderr }).toMatchObject({ status });
  const lines = stderr
    .trimEnd()
    .split("\n")
    .filter((line) => !line.startsWith("hint: "));
  expect(lines.at(-1)).toMatch(new RegExp(`^error\\[${code}\\]: `));
  expect(lines.at(-1)).toMatch(message);
  expect(lines.filter((line) => line.startsWith("error"))).toHaveLength(1);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(orphans).toEqual([]);
}

/** Every file below a folder, but the run file and the data that a test wrote. */
function filesMade(folder: string, written: readonly string[]): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !written.includes(path));
}

const csvSource = (columns: string): string => `const train = data.csv("table.csv", { columns: ${columns} });`;
const csvStep = "step: ({ x, y }) => ({ loss: nn.mse(model(x), y.reshape([y.shape[0], 1])) }),";
const csvColumns = '{ x: { dtype: "float32", from: ["a", "b"] }, y: "float32" }';

const cases: readonly {
  name: string;
  parts?: Parameters<typeof runText>[0];
  csv?: string;
  set?: readonly string[];
  status: number;
  code: string;
  message: RegExp;
}[] = [
  {
    name: "a data file that does not exist",
    parts: { source: csvSource(csvColumns), step: csvStep },
    ...{ status: 2, code: "DATA_MISSING", message: /table\.csv: no such file/ },
  },
  {
    name: "a csv with a ragged row",
    parts: { source: csvSource(csvColumns), step: csvStep },
    csv: "a,b,y\n1,2,3\n4,5\n",
    ...{ status: 2, code: "DATA_INVALID", message: /table\.csv.*(row|line) [23]/ },
  },
  {
    name: "a word in a number column",
    parts: { source: csvSource(csvColumns), step: csvStep },
    csv: "a,b,y\n1,2,3\n4,five,6\n",
    ...{ status: 2, code: "DATA_INVALID", message: /table\.csv.*"b".*five/ },
  },
  {
    name: "a label beyond the classes",
    parts: {
      source:
        'const train = data.arrays({ x: { dtype: "float32", shape: [2], values: new Float32Array(8) }, y: Uint8Array.of(0, 1, 7, 0) });',
      model: "const model = nn.linear(2, 3);",
      step: "step: ({ x, y }) => ({ loss: nn.crossEntropy(model(x), y) }),",
    },
    ...{ status: 2, code: "DATA_INVALID", message: /"y".*7/ },
  },
  {
    name: "a shape mismatch in the model, with the place in the run file",
    parts: { model: "const model = nn.linear(3, 1);" },
    ...{ status: 2, code: "SHAPE_MISMATCH", message: /\[…,3\].*\[N,2\].*run\.ts:\d+/ },
  },
  {
    name: "a loss of rank 0",
    parts: { step: "step: ({ x, y }) => ({ loss: nn.mse(model(x), y).mean() })," },
    ...{ status: 2, code: "MIXES_SAMPLES", message: /mean: reduces.*run\.ts:\d+/ },
  },
  {
    name: "a loss that becomes NaN",
    parts: { options: "optimizer: optim.sgd({ lr: 1e30 }), batchSize: 4, epochs: 30, shards: 2," },
    ...{ status: 1, code: "NON_FINITE", message: /step \d+.*(NaN|infinite)/ },
  },
  {
    name: "a run file that throws, with the place",
    parts: { model: "const model = nn.linear(2, 1);\nthrow new Error('no luck');" },
    ...{ status: 2, code: "BAD_RUN_FILE", message: /run\.ts:\d+.*no luck/ },
  },
  {
    name: "a run file with a syntax error",
    parts: { model: "const model = = nn.linear(2, 1);" },
    ...{ status: 2, code: "BAD_RUN_FILE", message: /run\.ts/ },
  },
  {
    name: "a misspelt option of the definition",
    parts: { options: "optimizer: optim.sgd({ lr: 0.001 }), batchSize: 4, epoch: 3," },
    ...{ status: 2, code: "BAD_OPTION", message: /epoch: unknown option.*epochs/ },
  },
  {
    name: "a --set of a value that does not exist",
    set: ["optimizer.learningRate=1"],
    ...{ status: 2, code: "BAD_OPTION", message: /optimizer\.learningRate/ },
  },
  {
    name: "a --set of the wrong kind",
    set: ["epochs=many"],
    ...{ status: 2, code: "BAD_OPTION", message: /epochs.*"many"/ },
  },
];

for (const { name, parts, csv, set = [], status, code, message } of cases) {
  for (const workers of [0, 2]) {
    test(`refuses ${name} (${workers} workers)`, async () => {
      const folder = temporaryFolder();
      const written = [runFile(folder, runText(parts)), join(folder, "table.csv")];
      if (csv !== undefined) writeFileSync(written[1]!, csv);
      const out = join(folder, "out");
      const settings = set.flatMap((assignment) => ["--set", assignment]);
      const result = await tutti(["train", written[0]!, "--workers", `${workers}`, "--out", out, ...settings]);
      expectRefusal(result, status, code, message);
      const left = filesMade(folder, written);
      // What the run had already said of itself may stay; a lock, a half-written file or a model may not.
      expect(left.filter((path) => !path.endsWith("metrics.jsonl"))).toEqual([]);
    });
  }
}

test("says the same error as one line of --json, and nothing else on stdout", async () => {
  const folder = temporaryFolder();
  const run = runFile(folder, runText({ model: "const model = nn.linear(3, 1);" }));
  const { status, stdout, stderr } = await tutti([
    "train",
    run,
    "--workers",
    "0",
    "--json",
    "--out",
    join(folder, "out"),
  ]);
  expect(status).toBe(2);
  const [line, ...more] = jsonLines(stdout);
  expect(more).toEqual([]);
  expect(line).toMatchObject({ type: "error", code: "SHAPE_MISMATCH" });
  expect(stderr).toContain(`error[SHAPE_MISMATCH]: ${String(line?.message)}`);
});

test("shows the stack trace with TUTTI_DEBUG=1", async () => {
  const folder = temporaryFolder();
  const run = runFile(folder, runText({ model: "const model = nn.linear(3, 1);" }));
  const { stderr } = await tutti(["train", run, "--workers", "0", "--out", join(folder, "out")], {
    env: { TUTTI_DEBUG: "1" },
  });
  expect(stderr).toMatch(/^\s+at .*run\.ts/m);
});

const usages: readonly { name: string; args: readonly string[]; message: RegExp }[] = [
  { name: "no command", args: [], message: /expected a command/ },
  { name: "an unknown command", args: ["trane", "run.ts"], message: /trane/ },
  { name: "an unknown option", args: ["train", "run.ts", "--worker", "2"], message: /worker/ },
  { name: "an option without its value", args: ["train", "run.ts", "--workers"], message: /workers/ },
  {
    name: "a number of workers that is none",
    args: ["train", "run.ts", "--workers", "two"],
    message: /--workers.*"two"/,
  },
  { name: "a negative number", args: ["train", "run.ts", "--workers=-1"], message: /--workers.*"-1"/ },
  {
    name: "an option given twice",
    args: ["train", "run.ts", "--lanes", "1", "--lanes", "2"],
    message: /--lanes.*2 of them/,
  },
  {
    name: "a port out of range",
    args: ["coordinator", "run.ts", "--port", "70000"],
    message: /--port.*65535.*"70000"/,
  },
  {
    name: "a worker count that is no list",
    args: ["verify", "run.ts", "--workers", "1;2"],
    message: /--workers.*1,2,3/,
  },
  { name: "an address that is no WebSocket's", args: ["worker", "http://localhost:1"], message: /ws:\/\/HOST:PORT/ },
  { name: "a missing run file argument", args: ["train"], message: /run|argument/i },
];

for (const { name, args, message } of usages) {
  test(`refuses ${name}`, async () => {
    expectRefusal(await tutti(args), 2, "BAD_OPTION", message);
  });
}

test("refuses a run file that does not exist", async () => {
  expectRefusal(await tutti(["train", "no/such/run.ts"]), 2, "BAD_RUN_FILE", /no\/such\/run\.ts: no such file/);
});

test("refuses to listen on a port that is taken", async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void taken.close());
  const address = taken.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const folder = temporaryFolder();
  const args = ["coordinator", runFile(folder, runText()), "--port", `${port}`, "--out", join(folder, "out")];
  expectRefusal(await tutti(args), 2, "PORT_IN_USE", new RegExp(`port ${port}.*in use`));
  expect(filesMade(folder, [join(folder, "run.ts")]).filter((path) => !path.endsWith("metrics.jsonl"))).toEqual([]);
});

test("refuses to be reached from other machines without a token", async () => {
  const folder = temporaryFolder();
  const args = [
    "coordinator",
    runFile(folder, runText()),
    "--host",
    "0.0.0.0",
    "--port",
    "0",
    "--out",
    join(folder, "out"),
  ];
  expectRefusal(await tutti(args, { env: { TUTTI_TOKEN: "" } }), 2, "BAD_OPTION", /TUTTI_TOKEN/);
});

test("gives up on a coordinator that does not answer", async () => {
  const result = await tutti(["worker", "ws://127.0.0.1:9", "--retry", "0"]);
  expectRefusal(result, 1, "UNREACHABLE", /no coordinator answers at ws:\/\/127\.0\.0\.1:9/);
});

test("refuses an output directory that cannot be made", async () => {
  const folder = temporaryFolder();
  const run = runFile(folder, runText());
  writeFileSync(join(folder, "file"), "not a folder");
  const result = await tutti(["train", run, "--workers", "2", "--out", join(folder, "file", "out")]);
  expectRefusal(result, 2, "OUTPUT_NOT_WRITABLE", /file\/out/);
  expect(readFileSync(join(folder, "file"), "utf8")).toBe("not a folder");
});

test("refuses an output directory that another process uses, naming it", async () => {
  const folder = temporaryFolder();
  const out = join(folder, "out");
  mkdirSync(out);
  const lock = JSON.stringify({
    host: `not-${hostname()}`,
    pid: 4711,
    started: "1",
    token: "00000000-0000-4000-8000-000000000000",
  });
  writeFileSync(join(out, "tutti.lock"), lock);
  const result = await tutti(["train", runFile(folder, runText()), "--workers", "2", "--out", out]);
  expectRefusal(result, 2, "OUTPUT_LOCKED", /process 4711 on not-/);
  expect(readFileSync(join(out, "tutti.lock"), "utf8")).toBe(lock);
});

test("refuses to export or inspect what is no checkpoint and no model", async () => {
  const folder = temporaryFolder();
  const text = join(folder, "note.txt");
  writeFileSync(text, "just a note, and nothing that one could train");
  const model = join(folder, "model.onnx");
  expectRefusal(await tutti(["export", text, "--onnx", model]), 2, "CHECKPOINT_INVALID", /note\.txt/);
  expectRefusal(
    await tutti(["inspect", text]),
    2,
    "GRAPH_INVALID",
    /note\.txt: neither a checkpoint nor an ONNX model/,
  );
  expectRefusal(await tutti(["inspect", join(folder, "none.onnx")]), 2, "DATA_MISSING", /none\.onnx/);
  expect(filesMade(folder, [text])).toEqual([]);
});
