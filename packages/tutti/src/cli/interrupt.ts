import { interruptedStatus } from "./exit-status.ts";
import type { Output } from "./output.ts";
import type { Reporter } from "./report/reporter.ts";

/**
 * The first SIGINT, SIGTERM or SIGHUP, or the end of whoever read stdout, calls `stop`; the second signal ends the
 * process at once.
 * @param reporter says so, if given, where it would disturb a progress bar, and gives the terminal back before an end at once.
 * @returns gives the signals back to the system.
 */
export function onInterrupt(output: Output, stop: () => void, reporter?: Reporter): () => void {
  let isStopping = false;
  const begin = (): void => {
    if (isStopping) return;
    isStopping = true;
    stop();
  };
  const interrupted = (signal: NodeJS.Signals): void => {
    if (isStopping) {
      reporter?.close();
      process.exit(interruptedStatus);
    }
    (reporter ?? output).log(`${signal}: stopping; once more to end at once`);
    begin();
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, interrupted);
  output.closed.addEventListener("abort", begin);
  return () => {
    for (const signal of signals) process.off(signal, interrupted);
    output.closed.removeEventListener("abort", begin);
  };
}
