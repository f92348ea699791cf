import type { Ledger as LedgerFigures } from "@tutti/core/events";
import { count } from "./format.ts";

const rows: readonly (readonly [keyof LedgerFigures, string, isFault: boolean])[] = [
  ["samples", "Samples counted, each exactly once", false],
  ["leasesDealtAgain", "Leases dealt again", false],
  ["duplicatesDropped", "Duplicate answers dropped", false],
  ["duplicatesDiffering", "Duplicates with other bits", true],
  ["staleDropped", "Late answers dropped", false],
  ["nodesAudited", "Sums audited", false],
  ["workersHealed", "Workers given the parameters again", true],
  ["workersQuarantined", "Workers quarantined", true],
  ["skippedSteps", "Steps left out (not finite)", true],
];

/** Proof that every sample counted once, and what was done for it. */
export function Ledger({ ledger }: { readonly ledger: LedgerFigures }) {
  return (
    <section class="card" aria-labelledby="ledger">
      <h2 id="ledger">Ledger</h2>
      <dl class="ledger">
        {rows.map(([name, text, isFault]) => (
          <div key={name} class={isFault && ledger[name] > 0 ? "fault" : ""}>
            <dt>{text}</dt>
            <dd>{count(ledger[name])}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
