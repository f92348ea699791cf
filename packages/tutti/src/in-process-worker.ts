import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import type { Coordinator } from "@tutti/coordinator";
import { systemClock } from "@tutti/core/clock";
import type { Dataset } from "@tutti/core/data";
import { engineName, numericClass } from "@tutti/core/engine";
import { connectionPair } from "@tutti/core/wire";
import { Worker, WorkerMemory } from "@tutti/worker";
import type { InProcessLanes } from "./in-process-lanes.ts";

/**
 * A worker in this process (`workers: 0`): the same logic over a connection without sockets. Returns how to end it, but for
 * its lanes. Throws ENGINE_MISSING.
 */
export async function inProcessWorker(
  coordinator: Coordinator,
  { memory, lanes: opening }: InProcessLanes,
  data: ReadonlyMap<string, Dataset>,
  log: (line: string) => void,
): Promise<() => Promise<void>> {
  const lanes = await opening;
  const { coordinatorEnd, workerEnd } = connectionPair(true);
  const worker = new Worker({
    connection: workerEnd,
    lanes,
    memory: new WorkerMemory(memory),
    clock: systemClock(),
    checkProgram: () => {}, // made by this very process
    numericClass: (task) => numericClass({ ...task, lanes, memory }),
    identity: {
      instance: randomUUID(),
      host: hostname(),
      pid: process.pid,
      engine: engineName(),
      node: process.version,
    },
    log,
    data,
  });
  coordinator.accept(coordinatorEnd);
  const parted = worker.run();
  parted.then((parting) => {
    if (parting.kind === "refused") coordinator.fail(new Error(parting.message));
  });
  return async () => {
    await parted;
  };
}
