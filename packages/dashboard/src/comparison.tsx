import { useState } from "preact/hooks";
import { Charts } from "./charts.tsx";
import { count, duration, figure } from "./format.ts";
import type { RunView } from "./run-view.ts";
import { Scroller } from "./scroller.tsx";
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
          <Scroller label="Runs, scrollable">
            <table>
              <caption class="unseen">How the runs ended; those that are ticked are drawn</caption>
              <thead>
                <tr>
                  <th scope="col">Run</th>
                  <th scope="col">State</th>
                  <th scope="col" class="number">
                    Steps
                  </th>
                  <th scope="col" class="number">
                    Loss
                  </th>
                  <th scope="col" class="number">
                    Validation loss
                  </th>
                  {metrics.map((name) => (
                    <th scope="col" class="number" key={name}>
                      {name}
                    </th>
                  ))}
                  <th scope="col" class="number">
                    Trained
                  </th>
                  <th scope="col">Weights</th>
                </tr>
              </thead>
              <tbody>
                {runs.map(({ id, status }, i) => (
                  <tr key={id}>
                    <th scope="row">
                      <label class="check">
                        <input type="checkbox" checked={!hidden.has(id)} onChange={() => toggle(id)} />
                        <i class="key" style={{ background: theme.lines[i % theme.lines.length] }} aria-hidden="true" />
                        {status.name}
                      </label>
                    </th>
                    <td>{status.state}</td>
                    <td class="number">{count(status.step)}</td>
                    <td class="number">{figure(status.lastStep?.loss)}</td>
                    <td class="number">{figure(status.validation?.loss)}</td>
                    {metrics.map((name) => (
                      <td class="number" key={name}>
                        {figure(status.validation?.metrics[name])}
                      </td>
                    ))}
                    <td class="number">{duration(status.trainedMs)}</td>
                    <td>
                      <code>{status.done?.weightsSha256.slice(0, 12) ?? "–"}</code>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Scroller>
        </section>
        <Charts runs={shown.map((run) => ({ run, color: runs.indexOf(run), label: run.status.name }))} />
        <Differences runs={shown} />
      </main>
    </>
  );
}

/** The values of the definition that are not the same in all runs. */
function Differences({ runs }: { readonly runs: readonly RunView[] }) {
  const names = [...new Set(runs.flatMap(({ configuration }) => Object.keys(configuration ?? {})))].sort();
  const differing = names.filter((name) => new Set(runs.map(({ configuration }) => configuration?.[name])).size > 1);
  const unknown = runs.filter(({ configuration }) => configuration === null).map(({ status }) => status.name);
  return (
    <section class="card" aria-labelledby="differences">
      <h2 id="differences">Differences in configuration</h2>
      {unknown.length > 0 && <p class="none">Without a checkpoint, and so unknown: {unknown.join(", ")}.</p>}
      {differing.length === 0 ? (
        <p class="none">None.</p>
      ) : (
        <Scroller label="Differences, scrollable">
          <table>
            <caption class="unseen">Values of the definition that are not the same in all runs</caption>
            <thead>
              <tr>
                <th scope="col">Name</th>
                {runs.map(({ id, status }) => (
                  <th scope="col" key={id}>
                    {status.name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {differing.map((name) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  {runs.map(({ id, configuration }) => (
                    <td key={id}>
                      <code>{configuration?.[name] ?? "–"}</code>
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </Scroller>
      )}
    </section>
  );
}
