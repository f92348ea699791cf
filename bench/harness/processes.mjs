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
