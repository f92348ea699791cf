import type { TimeSplit } from "@tutti/core/events";
import { duration, percent } from "./format.ts";
import type { RunView } from "./run-view.ts";

const parts: readonly (readonly [keyof TimeSplit, string])[] = [
  ["computeMs", "Computing (quickest worker)"],
  ["stragglerMs", "The slowest worker's longer computing"],
  ["uploadMs", "Its sums on the way"],
  ["dataMs", "Reading and handing out rows"],
  ["reduceMs", "Adding sums"],
  ["updateMs", "Optimizer"],
  ["downloadMs", "Handing parameters out"],
  ["waitMs", "Everything else"],
];

/** Where the time of the last step went, from the coordinator's view: exclusive parts that add up to it. */
export function StepParts({ run }: { readonly run: RunView }) {
  const { lastStep } = run.status;
  if (lastStep === null) return null;
  const { time, wallMs } = lastStep;
  return (
    <section class="card" aria-labelledby="step-parts">
      <h2 id="step-parts">The last step, {duration(wallMs)}</h2>
      <div class="parts" aria-hidden="true">
        {parts.map(([name], i) => (
          <span key={name} class={`part-${i}`} style={{ width: `${(100 * time[name]) / Math.max(wallMs, 1e-9)}%` }} />
        ))}
      </div>
      <dl class="ledger">
        {parts.map(([name, text], i) => (
          <div key={name}>
            <dt>
              <i class={`key part-${i}`} aria-hidden="true" />
              {text}
            </dt>
            <dd>
              {duration(time[name])} <span class="note">{percent(time[name] / Math.max(wallMs, 1e-9))}</span>
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
