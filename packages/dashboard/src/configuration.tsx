import { DataTable } from "./data-table.tsx";

/** The plain values of the definition. */
export function Configuration({ configuration }: { readonly configuration: Readonly<Record<string, string>> }) {
  return (
    <section class="card" aria-labelledby="configuration">
      <details>
        <summary>
          <h2 id="configuration">Configuration</h2>
        </summary>
        <DataTable
          caption="Plain values of the definition"
          label="Configuration, scrollable"
          columns={[{ name: "Name" }, { name: "Value" }]}
          rows={Object.entries(configuration).map(([name, value]) => ({
            key: name,
            cells: [name, <code>{value}</code>],
          }))}
        />
      </details>
    </section>
  );
}
