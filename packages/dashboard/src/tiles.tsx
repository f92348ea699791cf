import { count, duration, figure } from "./format.ts";
import type { RunView } from "./run-view.ts";

/** The figures one looks for first. */
export function Tiles({ run }: { readonly run: RunView }) {
  const { status } = run;
  const { lastStep, validation, workers, done } = status;
  const active = workers.filter(({ state }) => state === "active" || state === "draining");
  const metrics = Object.entries(validation?.metrics ?? lastStep?.metrics ?? {}).slice(0, 2);
  const tiles: readonly (readonly [string, string, string])[] = [
    ["Loss", figure(lastStep?.loss), "last batch"],
    [
      "Validation loss",
      figure(validation?.loss),
      validation === null ? "none yet" : `after step ${count(validation.step)}`,
    ],
    ...metrics.map(
      ([name, value]) => [name, figure(value), validation === null ? "last batch" : "validation"] as const,
    ),
    ["Learning rate", figure(lastStep?.lr), ""],
    ["Samples per second", count(status.samplesPerSecond), done === null ? "lately" : "over the run"],
    ["Step time", duration(lastStep?.wallMs), "last step"],
    status.isLive
      ? [
          "Workers",
          count(done === null ? active.length : done.workers.length),
          `${count(active.reduce((sum, { lanes }) => sum + lanes, 0))} lanes`,
        ]
      : ["Workers at the end", count(done?.workers.length), ""],
  ];
  return (
    <section aria-label="Figures now">
      <dl class="tiles">
        {tiles.map(([name, value, note]) => (
          <div class="tile" key={name}>
            <dt>{name}</dt>
            <dd>
              <span class="value">{value}</span>
              <span class="note">{note}</span>
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
