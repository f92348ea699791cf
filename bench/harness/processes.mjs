import { readdirSync, readFileSync } from "node:fs";

/** Proportional set size of a process and all that descend from it, in MB (Linux): shared pages are counted once. */
export function pssMb(root) {
  const parents = new Map();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) \S /s, "");
      parents.set(Number(pid), Number(stat.split(" ")[0]));
    } catch {
      // it has ended meanwhile
    }
  }
  const descends = (pid) => pid === root || (parents.has(pid) && descends(parents.get(pid)));
  let kb = 0;
  let processes = 0;
  for (const pid of parents.keys()) {
    if (!descends(pid)) continue;
    try {
      kb += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0);
      processes++;
    } catch {
      // it has ended meanwhile
    }
  }
  return { mb: kb / 1024, processes };
}

/** The same of each of the processes, the root first, by what is mapped: { pid, mb, kinds: { [kind]: MB } }. */
export function pssByKind(root) {
  const pids = [root];
  for (const pid of pids) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const children = readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").trim();
      if (children !== "") pids.push(...children.split(" ").map(Number));
    }
  }
  return pids.map((pid) => {
    const kinds = {};
    let kind = "";
    for (const line of readFileSync(`/proc/${pid}/smaps`, "utf8").split("\n")) {
      const [, begin, end, name] = /^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \d+\s*(.*)$/.exec(line) ?? [];
      if (begin !== undefined) kind = kindOf(name, (Number.parseInt(end, 16) - Number.parseInt(begin, 16)) / 1024);
      const [, kb] = /^Pss:\s+(\d+)/.exec(line) ?? [];
      if (kb !== undefined) kinds[kind] = (kinds[kind] ?? 0) + Number(kb) / 1024;
    }
    return { pid, mb: Object.values(kinds).reduce((sum, mb) => sum + mb, 0), kinds };
  });
}

/** V8 maps its heap in pages of 256 KB, and now and then one or two of them at once. */
function kindOf(name, kb) {
  if (name.includes("onnxruntime")) return "ONNX Runtime's library";
  if (/\/node$/.test(name)) return "Node's program";
  if (name.startsWith("/memfd") || name.includes("(deleted)")) return "file shared with a worker";
  if (name.includes(".so")) return "other libraries";
  if (name === "[heap]") return "malloc of the main arena";
  if (name !== "" && !name.startsWith("[anon")) return "other";
  return kb >= 256 && kb <= 512 ? "V8's heap" : "other anonymous memory: malloc of threads, arena of tensors, code";
}
