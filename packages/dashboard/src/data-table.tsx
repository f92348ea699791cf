import type { ComponentChildren } from "preact";
import { Scroller } from "./scroller.tsx";

export interface DataTableProps {
  /** For screen readers; where one stands must be clear without it. */
  readonly caption: string;
  /** Of the part that scrolls. */
  readonly label: string;
  /** Headings; those of figures are set to the right. */
  readonly columns: readonly {
    readonly name: string;
    readonly isFigure?: boolean;
    readonly content?: ComponentChildren;
  }[];
  /** Cells by row, in the order of the columns; the first is the row's heading. */
  readonly rows: readonly { readonly key: string | number; readonly cells: readonly ComponentChildren[] }[];
  readonly class?: string;
}

/** A table with everything that makes it readable without eyes. */
export function DataTable({ caption, label, columns, rows, class: name }: DataTableProps) {
  const align = (column: number): string => (columns[column]?.isFigure ? "number" : "");
  return (
    <Scroller label={label}>
      <table class={name}>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column, i) => (
              <th scope="col" class={align(i)} key={column.name}>
                {column.content ?? column.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ key, cells: [heading, ...cells] }) => (
            <tr key={key}>
              <th scope="row" class={align(0)}>
                {heading}
              </th>
              {cells.map((cell, i) => (
                <td key={columns[i + 1]?.name} class={align(i + 1)}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroller>
  );
}
