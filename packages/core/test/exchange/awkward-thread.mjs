// In the place of update-thread.js: a thread that takes a range and does not do it: `howToFail` is "stuck" or "failing".
import { parentPort, workerData } from "node:worker_threads";
import { SharedRanges } from "../../dist/exchange/shared-ranges.js";

const ranges = new SharedRanges(1, workerData.ranges);
parentPort.postMessage("ready");
for (;;) {
  const { jobs } = ranges;
  while (ranges.take() !== undefined) {
    if (globalThis.howToFail === "stuck") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    ranges.failed();
  }
  ranges.waitForJob(jobs);
}
