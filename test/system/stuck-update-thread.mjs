// In the place of update-thread.js: takes a range, and is stuck with it in a call that cannot be ended from outside. When that is
// over, there is a file that says so.
import { execFileSync } from "node:child_process";
import { parentPort, workerData } from "node:worker_threads";
import { SharedRanges } from "../../packages/core/dist/exchange/shared-ranges.js";

const ranges = new SharedRanges(2, workerData.ranges);
parentPort.postMessage("ready");
for (;;) {
  const { jobs } = ranges;
  if (ranges.take() !== undefined)
    execFileSync(process.execPath, [
      "--eval",
      `setTimeout(() => fs.writeFileSync(${JSON.stringify(process.env.TUTTI_TEST_STUCK_THREAD)}, ""), 1000)`,
    ]);
  ranges.waitForJob(jobs);
}
