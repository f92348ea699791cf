import { interruptedStatus } from "./exit-status.ts";
import type { Output } from "./output.ts";

/**
 * The first SIGINT, SIGTERM or SIGHUP, or the end of whoever read stdout, calls `stop`; the second signal ends the
 * process at once.
 * @returns gives the signals back to the system.
 */
export function onInterrupt(output: Output, stop: () => void): () => void {
  let isStopping = false;
  const begin = (): void => {
    if (isStopping) return;
    isStopping = true;
    stop();
  };
  const interrupted = (signal: NodeJS.Signals): void => {
    if (isStopping) process.exit(interruptedStatus);
    output.log(`${signal}: stopping; once more to end at once`);
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
