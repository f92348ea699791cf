import { type CaseTable, type GradientCase, of } from "../gradient-case.ts";

const products: readonly GradientCase[] = [
  { name: "matrices", inputs: [of(3, 4), of(4, 2)] },
  { name: "a batch of matrices and a weight", inputs: [of(2, 3, 4), of(4, 5)] },
  { name: "two leading axes and a weight", inputs: [of(2, 2, 3, 4), of(4, 2)] },
  { name: "batches of matrices", inputs: [of(2, 3, 4), of(2, 4, 2)] },
  { name: "a matrix and a batch", inputs: [of(3, 4), of(2, 4, 2)] },
  { name: "both broadcast", inputs: [of(2, 1, 2, 3), of(3, 3, 2)] },
];
const vectors: readonly GradientCase[] = [
  { name: "vector and matrix", inputs: [of(4), of(4, 3)] },
  { name: "matrix and vector", inputs: [of(3, 4), of(4)] },
  { name: "vectors", inputs: [of(4), of(4)] },
  { name: "vector and batch", inputs: [of(4), of(2, 4, 3)] },
  { name: "batch and vector", inputs: [of(2, 3, 4), of(4)] },
];
const twice = (cases: readonly GradientCase[]): readonly GradientCase[] => [
  ...cases,
  ...cases.map((item) => ({ ...item, name: `${item.name}, exactly`, oracle: "linear" as const })),
];

const transposed = [
  { transA: 0, transB: 0 },
  { transA: 1, transB: 0 },
  { transA: 0, transB: 1 },
  { transA: 1, transB: 1 },
];

export const contraction: CaseTable = {
  ":MatMul": twice([...products, ...vectors]),
  ":Gemm": [
    ...transposed.flatMap(({ transA, transB }) => [
      {
        name: `transA ${transA}, transB ${transB}, alpha and beta`,
        inputs: [transA === 1 ? of(4, 3) : of(3, 4), transB === 1 ? of(2, 4) : of(4, 2), of(2)],
        attributes: { transA, transB, alpha: 0.5, beta: 2 },
      },
      {
        name: `transA ${transA}, transB ${transB}, without an addend`,
        inputs: [transA === 1 ? of(4, 3) : of(3, 4), transB === 1 ? of(2, 4) : of(4, 2)],
        attributes: { transA, transB },
        oracle: "linear" as const,
      },
    ]),
    { name: "a column as the addend", inputs: [of(3, 4), of(4, 2), of(3, 1)] },
    { name: "a full addend", inputs: [of(3, 4), of(4, 2), of(3, 2)], oracle: "linear" },
  ],
  "com.microsoft:FusedMatMul": transposed.flatMap(({ transA, transB }) => [
    {
      name: `transA ${transA}, transB ${transB}, alpha`,
      inputs: [transA === 1 ? of(2, 4, 3) : of(2, 3, 4), transB === 1 ? of(2, 2, 4) : of(2, 4, 2)],
      attributes: { transA, transB, alpha: 0.5 },
      oracle: "linear" as const,
    },
    {
      name: `transA ${transA}, transB ${transB}, broadcast batches`,
      inputs: [transA === 1 ? of(4, 3) : of(3, 4), transB === 1 ? of(2, 2, 4) : of(2, 4, 2)],
      attributes: { transA, transB },
      oracle: "linear" as const,
    },
  ]),
};
