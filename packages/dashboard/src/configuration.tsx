import { Scroller } from "./scroller.tsx";

/** The plain values of the definition. */
export function Configuration({ configuration }: { readonly configuration: Readonly<Record<string, string>> }) {
  return (
    <section class="card" aria-labelledby="configuration">
      <details>
        <summary>
          <h2 id="configuration">Configuration</h2>
        </summary>
        <Scroller label="Configuration, scrollable">
          <table>
            <caption class="unseen">Plain values of the definition</caption>
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Value</th>
              </tr>
            </thead>
            <tbody>
              {Object.entries(configuration).map(([name, value]) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  <td>
                    <code>{value}</code>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroller>
      </details>
    </section>
  );
}
