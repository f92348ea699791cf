import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunEvent } from "@tutti/core/events";
import { expect, test } from "vitest";
import {
  type ChaosResult,
  faultKinds,
  faultLines,
  faultTable,
  type Judgement,
  judge,
  possibleFaults,
  trainUnderFaults,
  undisturbed,
} from "../../packages/tutti/src/chaos/index.ts";
import { loadRunFile } from "../../packages/tutti/src/load-run.ts";
import { processesWith } from "../cli/command.ts";
import { resultOf, root, temporaryFolder, trained } from "../system/tutti-process.ts";
import { smallDisk } from "./small-disk.ts";

const runFile = join(root, "test/fixtures/few-digits.ts");
const [steps, samples] = [320, 20_000];
/** TUTTI_CHAOS_SEED replays one; the machine's own timing is not replayed. */
const seed = Number(process.env.TUTTI_CHAOS_SEED ?? 1);

test.each(["star", "mesh"] as const)(
  `gives the same bits after 50 faults to processes and connections, exchange %s (TUTTI_CHAOS_SEED=${seed})`,
  async (exchange) => {
    const expected = await trained([runFile, "--workers", "0", "--lanes", "1", "--out", temporaryFolder()]);
    expect(expected.steps).toHaveLength(steps);
    const disk = smallDisk(16 << 20);
    const out = disk === undefined ? temporaryFolder() : join(disk.folder, "out");
    const [temporary, mark] = [temporaryFolder(), randomUUID()];
    const result = await trainUnderFaults({
      ...{ runFile, out, seed, workers: 3, kinds: faultKinds, maxFaults: 60, exchange },
      ...(disk === undefined ? {} : { disk }),
      env: { TUTTI_TEST_MARK: mark, TMPDIR: temporary },
      onFault: ({ step, kind, detail }) => console.log(`after step ${step}: ${kind}${detail && ` (${detail})`}`),
    });
    expect(await report(result, out)).toMatchObject({
      difference: undefined,
      stepsLost: 0,
      samplesLost: 0,
      leftBehind: [],
    });

    const saysDirect = result.generations.flat().filter(isDirect);
    if (exchange === "star") expect(saysDirect).toEqual([]);
    else expect(saysDirect.length).toBeGreaterThan(3);

    // The same again by means of the tests' own.
    const found = resultOf(result.generations.flat());
    expect(found.weightsSha256).toBe(expected.weightsSha256);
    expect(found).toEqual(expected);
    expect(result.faults.length).toBeGreaterThanOrEqual(50);
    const kinds = possibleFaults(faultKinds, disk);
    expect([...new Set(result.faults.map(({ kind }) => kind))].sort()).toEqual([...kinds].sort());
    expect(result.generations.length).toBeGreaterThan(3);

    const recorded = readFileSync(join(out, "metrics.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string; step: number; samples: number })
      .filter(({ type }) => type === "step");
    expect(recorded.map(({ step }) => step)).toEqual(Array.from({ length: steps }, (_, i) => i + 1));
    expect(recorded.reduce((sum, step) => sum + step.samples, 0)).toBe(samples);

    expect(result).toMatchObject({ workersLeft: [], rivalsAdmitted: 0 });
    // A worker may find that it is cut off for too long; it may not break.
    expect(result.workerEnds.filter(({ reason }) => reason !== "UNREACHABLE")).toEqual([]);
    expect(processesWith(`TUTTI_TEST_MARK=${mark}`)).toEqual([]);
    expect(openSockets(result)).toEqual([]);
    expect(readdirSync(temporary).filter((name) => name !== "jiti")).toEqual([]); // compiled run files are kept
    expect(readdirSync(out).sort()).toEqual(["checkpoints", "metrics.jsonl", "model.onnx"]);
    expect(readdirSync(join(out, "checkpoints")).sort()).toEqual([
      "best.safetensors",
      "step-00000315.safetensors",
      "step-00000320.safetensors",
    ]);
  },
  900_000,
);

const isDirect = (event: RunEvent): boolean =>
  event.type === "notice" && event.message === "workers exchange sums directly";

/** Prints the table of docs/reliability.md; TUTTI_CHAOS_REPORT names a file to write its figures to. */
async function report(result: ChaosResult, out: string): Promise<Judgement> {
  const { definition, directory } = await loadRunFile(runFile);
  const judgement = await judge(result, out, await undisturbed(definition, { baseDirectory: directory, steps }));
  const lines = faultLines([{ result, judgement }]);
  console.log(faultTable(lines).join("\n"));
  console.log(
    `${result.generations.length} coordinators, ${judgement.stepsAgain} steps computed again, ${Math.round(result.wallMs / 1000)} s`,
    JSON.stringify(result.workerEnds),
  );
  const path = process.env.TUTTI_CHAOS_REPORT;
  if (path === undefined) return judgement;
  const { done, generations, wallMs } = result;
  const figures = {
    seed,
    steps: done.steps,
    coordinators: generations.length,
    stepsAgain: judgement.stepsAgain,
    wallMs,
  };
  writeFileSync(path, `${JSON.stringify({ ...figures, faults: lines }, undefined, 2)}\n`);
  return judgement;
}

/**
 * Sockets that any process still holds at a port where a coordinator listened (Linux). Without an inode they are nobody's: the
 * system's own, in TIME_WAIT or telling the other end of a process that was killed.
 */
function openSockets({ generations }: ChaosResult): readonly string[] {
  const ports = generations.flat().flatMap((event) => {
    const port = event.type === "notice" ? /listening for workers at .*:(\d+)$/.exec(event.message)?.[1] : undefined;
    return port === undefined ? [] : [Number(port).toString(16).toUpperCase().padStart(4, "0")];
  });
  return readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = "", remote = "", , , , , , , inode]) =>
      ports.some((port) => (local.endsWith(`:${port}`) || remote.endsWith(`:${port}`)) && inode !== "0"),
    )
    .map((fields) => fields.slice(1, 4).join(" "));
}
