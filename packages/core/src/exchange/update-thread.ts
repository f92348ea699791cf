import { parentPort, workerData } from "node:worker_threads";
import { createKernels } from "../kernels/index.ts";
import type { SharedMemory } from "../memory/index.ts";
import { compileOptimizer, type OptimizerDefinition, type OptimizerLayout } from "../optim/index.ts";
import { type RangeTools, workOnRange } from "./range-work.ts";
import { SharedRanges } from "./shared-ranges.ts";

/** What a thread that helps to apply updates is started with. */
export interface UpdateThreadData {
  readonly memory: SharedMemory;
  readonly ranges: SharedArrayBuffer;
  readonly blockSquares: SharedArrayBuffer;
  readonly normBlockFloats: number;
  readonly optimizer: OptimizerDefinition;
  readonly layout: OptimizerLayout;
}

// The thread does nothing else until it is ended.
const data = workerData as UpdateThreadData;
const optimizer = compileOptimizer(data.optimizer, data.layout);
const tools: RangeTools = {
  kernels: createKernels(data.memory),
  optimizer,
  normBlockFloats: data.normBlockFloats,
  blockSquares: new Float64Array(data.blockSquares),
};
const ranges = new SharedRanges(optimizer.slots.length, data.ranges);
parentPort?.postMessage("ready");
for (;;) {
  const { jobs } = ranges;
  for (let range = ranges.take(); range !== undefined; range = ranges.take()) {
    try {
      workOnRange(tools, ranges.work, range.begin, range.end);
      ranges.finished();
    } catch {
      ranges.failed(); // the calling thread does it again, and finds why
    }
  }
  ranges.waitForJob(jobs);
}
