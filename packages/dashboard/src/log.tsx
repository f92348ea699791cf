import type { LogEntry } from "@tutti/core/events";
import { useState } from "preact/hooks";

const shown = 200;

/** What happened, newest first. */
export function Log({ entries }: { readonly entries: readonly LogEntry[] }) {
  const [isQuiet, setIsQuiet] = useState(false);
  const visible = entries.filter(({ level }) => !isQuiet || level !== "info").slice(-shown);
  return (
    <section class="card" aria-labelledby="log">
      <div class="head">
        <h2 id="log">Log</h2>
        <label class="check">
          <input type="checkbox" checked={isQuiet} onChange={(event) => setIsQuiet(event.currentTarget.checked)} />
          Warnings and errors only
        </label>
      </div>
      {visible.length === 0 ? (
        <p class="none">Nothing so far.</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a part that scrolls must be reachable by keyboard
        <div class="scroll" role="log" aria-live="polite" aria-label="Log, newest first" tabIndex={0}>
          <ol reversed class="log">
            {visible.toReversed().map(({ number, atMs, level, text }) => (
              <li key={number} class={level}>
                {atMs !== null && <time dateTime={new Date(atMs).toISOString()}>{clock(atMs)}</time>}
                {level !== "info" && <b>{level}</b>}
                <span>{text}</span>
              </li>
            ))}
          </ol>
        </div>
      )}
    </section>
  );
}

function clock(atMs: number): string {
  return new Date(atMs).toLocaleTimeString("en", { hour12: false });
}
