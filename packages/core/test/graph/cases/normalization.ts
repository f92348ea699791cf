import { type CaseTable, type GradientCase, of, positive, type Reference } from "../gradient-case.ts";

interface Rows {
  readonly count: number;
  readonly columns: number;
  readonly epsilon?: number;
}

/** Mean and 1/√(variance + ε) of each row, and what they make of it. */
function standardised(
  x: Float64Array,
  { count, columns, epsilon = 1e-5 }: Rows,
): {
  xhat: Float64Array;
  means: number[];
  inverses: number[];
} {
  const xhat = new Float64Array(x.length);
  const [means, inverses]: [number[], number[]] = [[], []];
  for (let row = 0; row < count; row++) {
    const entries = x.subarray(row * columns, (row + 1) * columns);
    const mean = entries.reduce((sum, entry) => sum + entry, 0) / columns;
    const variance = entries.reduce((sum, entry) => sum + (entry - mean) ** 2, 0) / columns;
    means.push(mean);
    inverses.push(1 / Math.sqrt(variance + epsilon));
    xhat.set(
      entries.map((entry) => (entry - mean) * inverses[row]!),
      row * columns,
    );
  }
  return { xhat, means, inverses };
}

/** Layer normalisation and its statistics. */
const overRows =
  (rows: Rows): Reference =>
  ([x, scale, bias]) => {
    const { xhat, means, inverses } = standardised(x!, rows);
    const y = xhat.map((entry, i) => entry * scale![i % rows.columns]! + (bias?.[i % rows.columns] ?? 0));
    return Float64Array.from([...y, ...means, ...inverses]);
  };

/** Group and instance normalisation: a row for each sample and group of channels, scale and bias for each channel. */
const overChannels =
  (shape: readonly number[], groups: number, epsilon: number): Reference =>
  ([x, scale, bias]) => {
    const inner = shape.slice(2).reduce((product, size) => product * size, 1);
    const rows = { count: shape[0]! * groups, columns: (shape[1]! / groups) * inner, epsilon };
    return standardised(x!, rows).xhat.map((entry, i) => {
      const channel = Math.floor(i / inner) % shape[1]!;
      return entry * scale![channel]! + bias![channel]!;
    });
  };

const layers: readonly (GradientCase & { readonly rows: Rows })[] = [
  { name: "the last axis", inputs: [of(4, 6), of(6), of(6)], rows: { count: 4, columns: 6 } },
  { name: "without bias", inputs: [of(2, 3, 5), of(5)], rows: { count: 6, columns: 5 } },
  {
    name: "several axes",
    inputs: [of(3, 2, 4), of(2, 4), of(2, 4)],
    attributes: { axis: 1 },
    rows: { count: 3, columns: 8 },
  },
  {
    name: "a large epsilon",
    inputs: [of(3, 4), of(4), of(4)],
    attributes: { axis: -1, epsilon: 0.5 },
    rows: { count: 3, columns: 4, epsilon: 0.5 },
  },
];

const images: readonly { readonly name: string; readonly shape: readonly number[] }[] = [
  { name: "2d", shape: [2, 4, 3, 3] },
  { name: "1d", shape: [3, 4, 5] },
];

export const normalization: CaseTable = {
  ":LayerNormalization": layers.map(({ rows, ...item }) => ({ ...item, oracle: overRows(rows) })),
  ":RMSNormalization": [
    { name: "the last axis", inputs: [of(4, 6), of(6)] },
    { name: "several axes", inputs: [of(3, 2, 4), of(2, 4)], attributes: { axis: 1 } },
    { name: "a large epsilon", inputs: [of(3, 4), of(4)], attributes: { epsilon: 0.5 } },
  ],
  ":GroupNormalization": images.flatMap(({ name, shape }) =>
    [1, 2, 4].map((groups) => ({
      name: `${name}, ${groups} groups`,
      inputs: [of(...shape), of(4), of(4)],
      attributes: { num_groups: groups, epsilon: 0.25 },
      oracle: overChannels(shape, groups, 0.25),
    })),
  ),
  ":InstanceNormalization": images.map(({ name, shape }) => ({
    name,
    inputs: [of(...shape), of(4), of(4)],
    attributes: { epsilon: 0.25 },
    oracle: overChannels(shape, 4, 0.25),
  })),
  ":BatchNormalization": [[3, 4], ...images.map(({ shape }) => shape)].map((shape) => ({
    name: `[${shape.join(",")}]`,
    inputs: [of(...shape), of(4), of(4), of(4), positive(4)],
    attributes: { epsilon: 0.25 },
  })),
  ":LpNormalization": [1, 2].flatMap((p) =>
    [0, -1].map((axis) => ({ name: `p = ${p} along axis ${axis}`, inputs: [of(3, 4)], attributes: { p, axis } })),
  ),
};
