import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import type { Coordinator } from "@tutti/coordinator";
import { systemClock } from "@tutti/core/clock";
import type { Dataset } from "@tutti/core/data";
import { engineName, numericClass, openLanes } from "@tutti/core/engine";
import type { ComputeMemory } from "@tutti/core/kernels";
import { connectionPair } from "@tutti/core/wire";
import { Worker, WorkerMemory } from "@tutti/worker";

/**
 * A worker in this process (`workers: 0`): the same logic over a connection without sockets, in the coordinator's own
 * memory. Returns how to end it.
 */
export async function inProcessWorker(
  coordinator: Coordinator,
  memory: ComputeMemory,
  lanesCount: number,
  data: ReadonlyMap<string, Dataset>,
  log: (line: string) => void,
): Promise<() => Promise<void>> {
  const { arena } = memory;
  const lanes = await openLanes({ arena, count: lanesCount, near: true });
  const { coordinatorEnd, workerEnd } = connectionPair(true);
  const worker = new Worker({
    connection: workerEnd,
    lanes,
    memory: new WorkerMemory(memory),
    clock: systemClock(),
    checkProgram: () => {}, // made by this very process
    numericClass: (task) => numericClass({ ...task, lanes, arena }),
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
    await lanes.close();
  };
}
