// Writes measured tables into docs/reliability.md, from the files named: what TUTTI_CHAOS_REPORT made test/chaos/chaos.test.ts
// write, or what bench/soak.mjs printed.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const page = fileURLToPath(new URL("../../docs/reliability.md", import.meta.url));

const time = (ms) => (ms === null ? "–" : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

function markdown(header, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(header), line(header.map(() => "---")), ...rows.map(line)].join("\n");
}

function faultTable({ seed, steps, coordinators, stepsAgain, wallMs, faults }) {
  const rows = faults.map(({ fault, tried, stepsLost, samplesLost, bitsEqual, recoveryP50Ms, recoveryP99Ms }) =>
    [fault, tried, stepsLost, samplesLost, bitsEqual ? "yes" : "**no**", time(recoveryP50Ms), time(recoveryP99Ms)].map(
      String,
    ),
  );
  const summary = `Seed ${seed}: ${steps} steps by ${coordinators} coordinators in ${time(wallMs)}, ${stepsAgain} of them computed again from checkpoints.`;
  return `${summary}\n\n${markdown(["Fault", "Tried", "Steps lost", "Samples lost", "Bits equal", "Recovery p50", "p99"], rows)}`;
}

function soakTable({ steps, kills, cuts, coordinator, worker }) {
  const rows = Object.entries({ coordinator, "the worker that lives": worker }).map(
    ([who, { rssMb, threads, descriptors }]) => [
      who,
      rssMb.map((mb) => `${mb.toFixed(0)} MB`).join(" → "),
      threads.join(" → "),
      descriptors.join(" → "),
    ],
  );
  return `${steps} steps, ${kills} workers killed, ${cuts} connections cut.\n\n${markdown(["Process", "Resident memory", "Threads", "Descriptors"], rows)}`;
}

for (const path of process.argv.slice(2)) {
  const text = readFileSync(path, "utf8");
  const isSoak = text.includes('"type":"summary"');
  const [name, table] = isSoak
    ? ["soak", soakTable(JSON.parse(text.trim().split("\n").at(-1)))]
    : ["table", faultTable(JSON.parse(text))];
  const place = new RegExp(`<!-- ${name} -->[\\s\\S]*<!-- /${name} -->`);
  const found = readFileSync(page, "utf8");
  writeFileSync(
    page,
    found.replace(place, () => `<!-- ${name} -->\n${table}\n<!-- /${name} -->`),
  );
}
