import type { RunStatus } from "@tutti/core/events";
import { useState } from "preact/hooks";
import { Confirm } from "./confirm.tsx";
import { count, duration, percent } from "./format.ts";
import type { Order } from "./run-page.tsx";

const states: Readonly<Record<RunStatus["state"], string>> = {
  waiting: "Waiting for workers",
  training: "Training",
  paused: "Paused",
  stopping: "Stopping",
  completed: "Completed",
  "early-stopped": "Stopped early",
  stopped: "Stopped",
  failed: "Failed",
  unfinished: "Unfinished",
};

/** Name, state, how far it is, and the buttons that steer it. */
export function RunHeader({
  status,
  isLost,
  canSteer,
  onOrder,
}: {
  readonly status: RunStatus;
  readonly isLost: boolean;
  readonly canSteer: boolean;
  readonly onOrder: Order;
}) {
  const [answer, setAnswer] = useState("");
  const [isStopping, setIsStopping] = useState(false);
  const { state, run, step } = status;
  const total = run?.totalSteps ?? 0;
  const share = total === 0 ? 0 : step / total;
  const order = async (request: Parameters<Order>[0], done: string): Promise<void> => {
    const { isDone, text } = await onOrder(request);
    setAnswer(isDone ? done : text);
  };
  const isOver = status.done !== null || status.error !== null;
  return (
    <header class="top">
      <div class="title">
        <img src="./icon.svg" alt="" width="28" height="28" />
        <h1>{status.name}</h1>
        <span class={`state ${state}`} role="status">
          {states[state]}
        </span>
        {isLost && status.isLive && !isOver && (
          <span class="state lost" role="alert">
            Connection lost, trying again
          </span>
        )}
      </div>
      {canSteer && (
        <fieldset class="buttons" aria-label="Steer the run">
          {state === "paused" ? (
            <button type="button" class="main" onClick={() => void order({ action: "resume" }, "Resumed")}>
              Resume
            </button>
          ) : (
            <button
              type="button"
              disabled={state === "stopping"}
              onClick={() => void order({ action: "pause" }, "Pauses after the step under way")}
            >
              Pause
            </button>
          )}
          <button
            type="button"
            onClick={() => void order({ action: "checkpoint" }, "Writes a checkpoint after the step under way")}
          >
            Checkpoint
          </button>
          <button type="button" class="danger" onClick={() => setIsStopping(true)}>
            Stop
          </button>
        </fieldset>
      )}
      <p class="answer" role="status">
        {answer}
      </p>
      {run !== null && (
        <div class="progress">
          <progress value={step} max={Math.max(1, total)} aria-label="Steps done">
            {percent(share)}
          </progress>
          <p>
            Step <b>{count(step)}</b> of {count(total)} · {percent(share)} · epoch{" "}
            {count(Math.min(Math.floor(step / run.stepsPerEpoch) + 1, Math.ceil(total / run.stepsPerEpoch)))} of{" "}
            {count(Math.ceil(total / run.stepsPerEpoch))} · {duration(status.trainedMs)} trained
            {status.leftMs !== null && !isOver && state !== "paused" && <> · {duration(status.leftMs)} left</>}
          </p>
        </div>
      )}
      {status.error !== null && (
        <p class="failure" role="alert">
          <b>{status.error.code}</b> {status.error.message}
        </p>
      )}
      {isStopping && (
        <Confirm
          title="Stop the run?"
          text="It ends after the step under way, with a checkpoint: --resume goes on from there, bit for bit."
          action="Stop the run"
          onClose={(isSure) => {
            setIsStopping(false);
            if (isSure) void order({ action: "stop" }, "Stops after the step under way");
          }}
        />
      )}
    </header>
  );
}
