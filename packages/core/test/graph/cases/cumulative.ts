import { type CaseTable, of } from "../gradient-case.ts";

export const cumulative: CaseTable = {
  ":CumSum": [0, 1].flatMap((exclusive) =>
    [0, 1].map((reverse) => ({
      name: `exclusive ${exclusive}, reverse ${reverse}`,
      inputs: [of(3, 4)],
      attributes: { axis: reverse === 1 ? -1 : 0, exclusive, reverse },
      oracle: "linear" as const,
    })),
  ),
};
