import type { ControlRequest } from "@tutti/core/events";
import { Charts } from "./charts.tsx";
import { Configuration } from "./configuration.tsx";
import { Ledger } from "./ledger.tsx";
import { Log } from "./log.tsx";
import { RunHeader } from "./run-header.tsx";
import type { RunView } from "./run-view.ts";
import { StepParts } from "./step-parts.tsx";
import { Tiles } from "./tiles.tsx";
import { Timeline } from "./timeline.tsx";
import { Workers } from "./workers.tsx";

export type Order = (request: ControlRequest) => Promise<{ readonly isDone: boolean; readonly text: string }>;

export interface RunPageProps {
  readonly run: RunView;
  /** What is shown may be old: the connection is gone. */
  readonly isLost: boolean;
  readonly isSteerable: boolean;
  readonly onOrder: Order;
}

/** Everything about one run. */
export function RunPage({ run, isLost, isSteerable, onOrder }: RunPageProps) {
  const { status } = run;
  const canSteer = isSteerable && !isLost && status.done === null && status.error === null;
  return (
    <>
      <RunHeader status={status} isLost={isLost} canSteer={canSteer} onOrder={onOrder} />
      <main class={isLost && status.isLive && status.done === null ? "stale" : ""}>
        <Tiles run={run} />
        <Charts runs={[{ run, color: 0, label: "" }]} />
        {status.isLive && <Workers status={status} canSteer={canSteer} onOrder={onOrder} />}
        {run.timeline.length > 0 && <Timeline steps={run.timeline} />}
        <div class="columns">
          {status.lastStep !== null && <StepParts run={run} />}
          {status.ledger !== null && <Ledger ledger={status.ledger} />}
        </div>
        <Log entries={run.log} />
        {run.configuration !== null && <Configuration configuration={run.configuration} />}
      </main>
    </>
  );
}
