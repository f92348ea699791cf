import type { RunStatus, WorkerStatus } from "@tutti/core/events";
import { useState } from "preact/hooks";
import { Confirm } from "./confirm.tsx";
import { DataTable } from "./data-table.tsx";
import { count, duration, figure, percent } from "./format.ts";
import type { Order } from "./run-page.tsx";

/** Who computes, how fast, and how its connection is. */
export function Workers({
  status,
  canSteer,
  onOrder,
}: {
  readonly status: RunStatus;
  readonly canSteer: boolean;
  readonly onOrder: Order;
}) {
  const { workers } = status;
  const [draining, setDraining] = useState<WorkerStatus | undefined>();
  const [answer, setAnswer] = useState("");
  const drain = async ({ id }: WorkerStatus): Promise<void> => {
    const { isDone, text } = await onOrder({ action: "drain", worker: id });
    setAnswer(isDone ? `${id} leaves after the step under way` : text);
  };
  const isAlone = workers.filter(({ state }) => state === "active").length <= 1;
  const widest = Math.max(...workers.map(({ share }) => share), 1e-9);
  return (
    <section class="card" aria-labelledby="workers">
      <h2 id="workers">Workers</h2>
      <p class="answer" role="status">
        {answer}
      </p>
      {workers.length === 0 ? (
        <p class="none">{status.done === null ? "No worker is connected." : "The workers have been dismissed."}</p>
      ) : (
        <DataTable
          caption="Connected workers"
          label="Workers, scrollable"
          class="workers"
          columns={[
            { name: "Worker" },
            { name: "Host" },
            { name: "State" },
            { name: "Lanes", isFigure: true },
            { name: "Shards/s", isFigure: true },
            { name: "Share of the last step" },
            { name: "Round trip", isFigure: true },
            { name: "Last heard", isFigure: true },
            { name: "Leases", isFigure: true },
            ...(canSteer ? [{ name: "Drain", content: <span class="unseen">Drain</span> }] : []),
          ]}
          rows={workers.map((worker) => ({
            key: worker.id,
            cells: [
              worker.id,
              worker.host,
              <span>
                <span class={`dot ${worker.state}`} />
                {worker.state}
              </span>,
              worker.lanes,
              figure(worker.shardsPerSecond),
              <Share share={worker.share} widest={widest} />,
              duration(worker.roundTripMs),
              <span class={worker.silentMs > 3000 ? "late" : ""}>{(worker.silentMs / 1000).toFixed(1)} s ago</span>,
              count(worker.leases),
              ...(canSteer ? [<DrainButton worker={worker} isAlone={isAlone} onDrain={setDraining} />] : []),
            ],
          }))}
        />
      )}
      {draining !== undefined && (
        <Confirm
          title={`Drain worker ${draining.id}?`}
          text="It finishes what it computes, gets nothing more and is sent away; others take its part. The weights stay the same bits."
          action="Drain"
          onClose={(isSure) => {
            setDraining(undefined);
            if (isSure) void drain(draining);
          }}
        />
      )}
    </section>
  );
}

function Share({ share, widest }: { readonly share: number; readonly widest: number }) {
  return (
    <span class="share">
      <span class="bar" aria-hidden="true">
        <span style={{ width: `${(100 * share) / widest}%` }} />
      </span>
      {percent(share)}
    </span>
  );
}

function DrainButton({
  worker,
  isAlone,
  onDrain,
}: {
  readonly worker: WorkerStatus;
  readonly isAlone: boolean;
  readonly onDrain: (worker: WorkerStatus) => void;
}) {
  return (
    <button
      type="button"
      class="small"
      disabled={worker.state === "draining" || (isAlone && worker.state === "active")}
      aria-label={`Drain worker ${worker.id}`}
      title={isAlone ? "The only worker that computes cannot be drained" : undefined}
      onClick={() => onDrain(worker)}
    >
      Drain
    </button>
  );
}
