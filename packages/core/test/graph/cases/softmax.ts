import { type CaseTable, type GradientCase, of } from "../gradient-case.ts";

const axes: readonly GradientCase[] = [
  { name: "the last axis by default", inputs: [of(3, 5)] },
  { name: "the first axis", inputs: [of(3, 5)], attributes: { axis: 0 } },
  { name: "an inner axis", inputs: [of(2, 4, 3)], attributes: { axis: -2 } },
];

export const softmax: CaseTable = { ":Softmax": axes, ":LogSoftmax": axes };
