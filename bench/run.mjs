// npm run bench -- [QUESTION…] [--quick] [--rounds N] [--case NAME] [--node PATH] [--write]
// Every question is a module of this folder: `measure(context)` gives tables and the figures behind them.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { describeMachine, machineText } from "./harness/machine.mjs";
import { markdownTable, replaceSection, textTable } from "./harness/report.mjs";

/** Asked by name only: tables to work by, not to publish. */
const more = ["ops", "nodes", "lanes", "parquet", "start-timeline"];
const questions = ["steps", "exchange", "optimizer", "start", "tfjs", "loading", "limits"];
const root = fileURLToPath(new URL("..", import.meta.url));
const usage = `npm run bench -- [QUESTION…] [options]
Questions: ${questions.join(", ")}, all of them by default; ${more.join(", ")}.
  --quick        few short rounds: figures to work by, not to publish
  --rounds N     rounds of each contestant (5; 3 with --quick)
  --case NAME    only this case of the question; repeatable
  --node PATH    another Node binary to measure beside this one; repeatable
  --out FILE     where the figures go as JSON (runs/bench.json)
  --write        writes the tables into docs/performance.md and the figures into docs/performance.json
PYTHON names the interpreter that has PyTorch (/usr/bin/python3).`;

function options() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        quick: { type: "boolean", default: false },
        rounds: { type: "string" },
        case: { type: "string", multiple: true, default: [] },
        node: { type: "string", multiple: true, default: [] },
        out: { type: "string" },
        write: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    return fail(error.message);
  }
}

function fail(message) {
  console.error(`${message}\n\n${usage}`);
  process.exit(2);
}

const { values, positionals } = options();
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const unknown = positionals.find((name) => ![...questions, ...more].includes(name));
if (unknown !== undefined) fail(`there is no question ${unknown}`);
const rounds = Number(values.rounds ?? (values.quick ? 3 : 5));
if (!Number.isInteger(rounds) || rounds < 1) fail(`--rounds: expected a whole number from 1, found ${values.rounds}`);
if (!existsSync(`${root}packages/tutti/dist/index.js`)) fail("not built yet: npm run setup");

const nodes = [process.execPath, ...values.node].map((path) => {
  const { status, stdout } = spawnSync(path, ["--version"], { encoding: "utf8" });
  return status === 0 ? { path, name: stdout.trim().replace(/^v/, "") } : fail(`--node ${path}: cannot be run`);
});
const machine = describeMachine();
console.log(`${machineText(machine)}\n`);
const startMs = performance.now();
const context = {
  rounds,
  sliceMs: values.quick ? 300 : 500,
  warmUpMs: values.quick ? 500 : 2000,
  quick: values.quick,
  only: values.case,
  nodes,
  hasTorch: machine.torch !== undefined,
  log: (line) => console.error(line),
};
const report = { machine, nodes: nodes.map(({ name }) => name), rounds, when: new Date().toISOString(), questions: {} };
for (const name of positionals.length > 0 ? positionals : questions) {
  const { measure } = await import(`./${name}.mjs`);
  const began = performance.now();
  const { tables, results } = await measure(context);
  for (const table of tables) console.log(`${textTable(table)}\n`);
  report.questions[name] = { seconds: Math.round((performance.now() - began) / 1000), tables, results };
}
console.log(`${Math.round((performance.now() - startMs) / 1000)} s, medians of ${rounds} rounds`);

const out = values.out ?? (values.write ? `${root}docs/performance.json` : `${root}runs/bench.json`);
mkdirSync(dirname(out), { recursive: true });
writeFileSync(out, `${JSON.stringify(report, undefined, 2)}\n`);
console.log(`figures: ${out}`);
if (values.write) {
  const path = `${root}docs/performance.md`;
  let page = readFileSync(path, "utf8");
  page = replaceSection(page, "machine", `${machineText(machine)}. Medians of ${rounds} rounds.`);
  for (const [name, { tables }] of Object.entries(report.questions)) {
    page = replaceSection(page, name, `\n${tables.map(markdownTable).join("\n\n")}\n`);
  }
  writeFileSync(path, page);
  console.log(`tables: ${path}`);
}
