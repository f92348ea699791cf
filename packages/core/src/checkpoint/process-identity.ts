import { readFileSync } from "node:fs";
import { hostname } from "node:os";

/** Who holds a lock. */
export interface ProcessIdentity {
  readonly host: string;
  readonly pid: number;
  /**
   * Boot and start time of the process where the system tells (Linux), so that a reused pid is not taken for the
   * holder; "" elsewhere.
   */
  readonly started: string;
}

export function ownIdentity(): ProcessIdentity {
  return { host: hostname(), pid: process.pid, started: startOf(process.pid) ?? "" };
}

/** False when the process is certainly gone. Of another host nothing is known: true. */
export function mayBeAlive(identity: ProcessIdentity): boolean {
  if (identity.host !== hostname()) return true;
  try {
    process.kill(identity.pid, 0); // signal 0 only asks
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
  if (identity.started === "") return true;
  const started = startOf(identity.pid);
  return started === undefined || started === identity.started;
}

/** See proc(5): field 3 of stat is the state, field 22 the start time in ticks since boot. "" for a zombie. */
function startOf(pid: number): string | undefined {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // the name before may hold anything
    const isGone = fields[0] === "Z" || fields[0] === "X";
    return isGone ? "" : `${boot}/${fields[19]}`;
  } catch {
    return undefined;
  }
}
