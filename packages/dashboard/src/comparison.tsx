import { useState } from "preact/hooks";
import { Charts } from "./charts.tsx";
import { DataTable } from "./data-table.tsx";
import { count, duration, figure } from "./format.ts";
import type { RunView } from "./run-view.ts";
import { useTheme } from "./theme.ts";

/** Several runs beside each other: how they ended, their curves over each other, and what was configured otherwise. */
export function Comparison({ runs, isLost }: { readonly runs: readonly RunView[]; readonly isLost: boolean }) {
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const theme = useTheme();
  const shown = runs.filter(({ id }) => !hidden.has(id));
  const toggle = (id: string): void => {
    const next = new Set(hidden);
    if (!next.delete(id)) next.add(id);
    setHidden(next);
  };
  const metrics = [...new Set(runs.flatMap(({ status }) => Object.keys(status.validation?.metrics ?? {})))];
  return (
    <>
      <header class="top">
        <div class="title">
          <img src="./icon.svg" alt="" width="28" height="28" />
          <h1>{runs.length} runs</h1>
          {isLost && (
            <span class="state lost" role="alert">
              Connection lost, trying again
            </span>
          )}
        </div>
      </header>
      <main>
        <section class="card" aria-labelledby="runs">
          <h2 id="runs">Runs</h2>
          <DataTable
            caption="How the runs ended; those that are ticked are drawn"
            label="Runs, scrollable"
            columns={[
              { name: "Run" },
              { name: "State" },
              ...["Steps", "Loss", "Validation loss", ...metrics, "Trained"].map((name) => ({ name, isFigure: true })),
              { name: "Weights" },
            ]}
            rows={runs.map(({ id, status }, i) => ({
              key: id,
              cells: [
                <label class="check">
                  <input type="checkbox" checked={!hidden.has(id)} onChange={() => toggle(id)} />
                  <i class="key" style={{ background: theme.lines[i % theme.lines.length] }} aria-hidden="true" />
                  {status.name}
                </label>,
                status.state,
                count(status.step),
                figure(status.lastStep?.loss),
                figure(status.validation?.loss),
                ...metrics.map((name) => figure(status.validation?.metrics[name])),
                duration(status.trainedMs),
                <code>{status.done?.weightsSha256.slice(0, 12) ?? "–"}</code>,
              ],
            }))}
          />
        </section>
        <Charts runs={shown.map((run) => ({ run, color: runs.indexOf(run), label: run.status.name }))} />
        <Differences runs={shown} />
      </main>
    </>
  );
}

/** The values of the definition that are not the same in all runs. */
function Differences({ runs }: { readonly runs: readonly RunView[] }) {
  const known = runs.filter(({ configuration }) => configuration !== null);
  const unknown = runs.filter(({ configuration }) => configuration === null).map(({ status }) => status.name);
  const names = [...new Set(known.flatMap(({ configuration }) => Object.keys(configuration ?? {})))].sort();
  const differing = names.filter((name) => new Set(known.map(({ configuration }) => configuration?.[name])).size > 1);
  return (
    <section class="card" aria-labelledby="differences">
      <h2 id="differences">Differences in configuration</h2>
      {unknown.length > 0 && <p class="none">Without a checkpoint, and so unknown: {unknown.join(", ")}.</p>}
      {differing.length === 0 ? (
        <p class="none">None.</p>
      ) : (
        <DataTable
          caption="Values of the definition that are not the same in all runs"
          label="Differences, scrollable"
          columns={[{ name: "Name" }, ...known.map(({ status }) => ({ name: status.name }))]}
          rows={differing.map((name) => ({
            key: name,
            cells: [name, ...known.map(({ configuration }) => <code>{configuration?.[name] ?? "–"}</code>)],
          }))}
        />
      )}
    </section>
  );
}
