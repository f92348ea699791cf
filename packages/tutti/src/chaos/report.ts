import { duration, table } from "../cli/format.ts";
import { faultKinds } from "./faults.ts";
import type { Judgement } from "./judgement.ts";
import type { ChaosResult } from "./train-under-faults.ts";

/** A run under faults and what became of it. */
export interface Round {
  readonly result: ChaosResult;
  readonly judgement: Judgement;
}

/** How a run fared with one kind of fault. Losses and bits are those of the whole runs it happened in. */
export interface FaultLine {
  readonly fault: string;
  readonly tried: number;
  readonly stepsLost: number;
  readonly samplesLost: number;
  readonly bitsEqual: boolean;
  /** From the fault to the next committed step; null if none of them was followed by one. */
  readonly recoveryP50Ms: number | null;
  readonly recoveryP99Ms: number | null;
}

/** One line for each kind of fault that happened, then one for all. */
export function faultLines(rounds: readonly Round[]): readonly FaultLine[] {
  const kinds = faultKinds.filter((kind) => rounds.some(({ result }) => result.faults.some((f) => f.kind === kind)));
  return [...kinds, "all"].map((fault) => {
    const hit = rounds.filter(({ result }) => fault === "all" || result.faults.some(({ kind }) => kind === fault));
    const faults = hit.flatMap(({ result }) => result.faults.filter(({ kind }) => fault === "all" || kind === fault));
    const recoveries = faults
      .flatMap(({ recoveryMs }) => (recoveryMs === undefined ? [] : [recoveryMs]))
      .sort((a, b) => a - b);
    return {
      fault,
      tried: faults.length,
      stepsLost: hit.reduce((sum, { judgement }) => sum + judgement.stepsLost, 0),
      samplesLost: hit.reduce((sum, { judgement }) => sum + judgement.samplesLost, 0),
      bitsEqual: hit.every(({ judgement }) => judgement.difference === undefined),
      recoveryP50Ms: percentile(recoveries, 0.5),
      recoveryP99Ms: percentile(recoveries, 0.99),
    };
  });
}

/** For people: columns of text. */
export function faultTable(lines: readonly FaultLine[]): readonly string[] {
  return table([
    ["fault", "tried", "steps lost", "samples lost", "bits", "recovery p50", "p99"],
    ...lines.map((line) => [
      line.fault,
      `${line.tried}`,
      `${line.stepsLost}`,
      `${line.samplesLost}`,
      line.bitsEqual ? "equal" : "DIFFER",
      line.recoveryP50Ms === null ? "–" : duration(line.recoveryP50Ms),
      line.recoveryP99Ms === null ? "–" : duration(line.recoveryP99Ms),
    ]),
  ]);
}

/** The smallest value that at least this share of them does not exceed. @param ascending sorted. */
function percentile(ascending: readonly number[], share: number): number | null {
  return ascending[Math.max(0, Math.ceil(share * ascending.length) - 1)] ?? null;
}
