import { once } from "node:events";
import { serveDashboard } from "@tutti/coordinator/dashboard";
import { readFinishedRuns } from "../finished-runs.ts";
import { onInterrupt } from "./interrupt.ts";
import type { Output } from "./output.ts";
import { readToken } from "./secrets.ts";

export interface UiArguments {
  readonly directories: readonly string[];
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly tokenFile: string | undefined;
  readonly json: boolean;
}

/** `tutti ui`: serves a page with finished runs until it is interrupted. Throws BAD_OPTION, PORT_IN_USE. */
export async function showFinishedRuns(
  { directories, host = "127.0.0.1", port, tokenFile, json }: UiArguments,
  output: Output,
): Promise<void> {
  const runs = await readFinishedRuns(directories);
  const token = await readToken(tokenFile);
  const dashboard = await serveDashboard({ host, ...(port === undefined ? {} : { port }), token, runs });
  if (json) output.json({ type: "dashboard", url: dashboard.url });
  else output.line(`${runs.length === 1 ? "1 run" : `${runs.length} runs`} at ${dashboard.url} (Ctrl-C ends)`);
  const ended = new AbortController();
  const release = onInterrupt(output, () => ended.abort());
  const awake = setInterval(() => {}, 1 << 30); // the server itself keeps no process alive
  if (!ended.signal.aborted) await once(ended.signal, "abort");
  clearInterval(awake);
  release();
  await dashboard.close();
}
