import { useEffect, useMemo, useState } from "preact/hooks";
import { Comparison } from "./comparison.tsx";
import { Connection, type Link, tokenOfAddress } from "./connection.ts";
import { Locked } from "./locked.tsx";
import { RunPage } from "./run-page.tsx";
import { RunViews } from "./run-view.ts";

/** The page: one run, or several beside each other. */
export function App() {
  const views = useMemo(() => new RunViews(), []);
  const [link, setLink] = useState<Link>("connecting");
  const [, setUpdates] = useState(0);
  const connection = useMemo(
    () =>
      new Connection(tokenOfAddress(), {
        link: setLink,
        update: (update) => {
          views.merge(update);
          setUpdates((updates) => updates + 1);
        },
      }),
    [views],
  );
  useEffect(() => {
    void connection.run();
  }, [connection]);

  const [only] = views.runs;
  const isLost = link === "lost" || link === "connecting";
  useEffect(() => {
    if (only === undefined) return;
    const { state, name, step, run } = only.status;
    const share = run === null ? "" : ` ${Math.floor((100 * step) / Math.max(1, run.totalSteps))} %`;
    document.title = views.runs.length > 1 ? "Runs – Tutti" : `${name} ${state}${share} – Tutti`;
  });
  if (link === "locked") return <Locked onToken={(token) => connection.unlock(token)} />;
  if (only === undefined)
    return (
      <main class="empty">
        <p role="status">{isLost ? "Connecting…" : "There is no run here."}</p>
      </main>
    );
  return views.runs.length > 1 ? (
    <Comparison runs={views.runs} isLost={isLost} />
  ) : (
    <RunPage
      run={only}
      isLost={isLost}
      isSteerable={views.isSteerable}
      onOrder={(request) => connection.order(request)}
    />
  );
}
