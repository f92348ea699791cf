import type { RunStatus, WorkerStatus } from "@tutti/core/events";
import { useState } from "preact/hooks";
import { Confirm } from "./confirm.tsx";
import { count, duration, figure, percent } from "./format.ts";
import type { Order } from "./run-page.tsx";
import { Scroller } from "./scroller.tsx";

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
        <Scroller label="Workers, scrollable">
          <table class="workers">
            <caption class="unseen">Connected workers</caption>
            <thead>
              <tr>
                <th scope="col">Worker</th>
                <th scope="col">Host</th>
                <th scope="col">State</th>
                <th scope="col" class="number">
                  Lanes
                </th>
                <th scope="col" class="number">
                  Shards/s
                </th>
                <th scope="col">Share of the last step</th>
                <th scope="col" class="number">
                  Round trip
                </th>
                <th scope="col" class="number">
                  Last heard
                </th>
                <th scope="col" class="number">
                  Leases
                </th>
                {canSteer && (
                  <th scope="col">
                    <span class="unseen">Drain</span>
                  </th>
                )}
              </tr>
            </thead>
            <tbody>
              {workers.map((worker) => (
                <tr key={worker.id}>
                  <th scope="row">{worker.id}</th>
                  <td class="host">{worker.host}</td>
                  <td>
                    <span class={`dot ${worker.state}`} />
                    {worker.state}
                  </td>
                  <td class="number">{worker.lanes}</td>
                  <td class="number">{figure(worker.shardsPerSecond)}</td>
                  <td>
                    <span class="share">
                      <span class="bar" aria-hidden="true">
                        <span style={{ width: `${(100 * worker.share) / widest}%` }} />
                      </span>
                      {percent(worker.share)}
                    </span>
                  </td>
                  <td class="number">{duration(worker.roundTripMs)}</td>
                  <td class={`number ${worker.silentMs > 3000 ? "late" : ""}`}>
                    {(worker.silentMs / 1000).toFixed(1)} s ago
                  </td>
                  <td class="number">{count(worker.leases)}</td>
                  {canSteer && (
                    <td class="number">
                      <button
                        type="button"
                        class="small"
                        disabled={worker.state === "draining" || (isAlone && worker.state === "active")}
                        aria-label={`Drain worker ${worker.id}`}
                        title={isAlone ? "The only worker that computes cannot be drained" : undefined}
                        onClick={() => setDraining(worker)}
                      >
                        Drain
                      </button>
                    </td>
                  )}
                </tr>
              ))}
            </tbody>
          </table>
        </Scroller>
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
