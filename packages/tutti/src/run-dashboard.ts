import type { Coordinator } from "@tutti/coordinator";
import type { RunEvent } from "@tutti/core/events";
import type { CompiledRun } from "@tutti/core/run";
import { flatConfiguration } from "./flat-configuration.ts";
import { readRunEvents } from "./run-log.ts";

export interface RunDashboardOptions {
  /** 127.0.0.1 by default; any other than loopback needs `token`. */
  readonly host?: string | undefined;
  /** 7071 by default, or a free one where that is taken; 0 takes a free one. */
  readonly port?: number | undefined;
  /** What others than loopback's must know to watch. */
  readonly token?: string | undefined;
  /** PEM texts: the page is then served over https. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** What the run is called on the page. */
  readonly name?: string | undefined;
}

export interface RunDashboard {
  readonly url: string;
  /** Shows an event. */
  event(event: RunEvent): void;
  close(): Promise<void>;
}

/**
 * Serves the page of a run. What it needs is loaded here, when it is wanted.
 * @param log the metrics of the steps that a resumed run goes on from.
 * Throws PORT_IN_USE, BAD_OPTION.
 */
export async function openRunDashboard(
  { host, port, token, tls, name = "run" }: RunDashboardOptions,
  coordinator: Coordinator,
  compiled: CompiledRun,
  log: string | undefined,
): Promise<RunDashboard> {
  const { RunHistory, serveDashboard } = await import("@tutti/coordinator/dashboard");
  const configuration = flatConfiguration(compiled.record);
  const history = new RunHistory({ id: "run", name, live: coordinator, now: Date.now, configuration });
  if (log !== undefined) for await (const event of readRunEvents(log)) history.past(event);
  const { url, close } = await serveDashboard({
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    token,
    tls,
    runs: [history],
    control: (request) => coordinator.order(request),
  });
  return { url, event: (event) => history.event(event), close };
}
