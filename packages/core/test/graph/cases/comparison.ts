import { type CaseTable, integers, of } from "../gradient-case.ts";

const condition = integers([2, 3], [1, 0, 1, 0, 0, 1], "bool");

export const comparison: CaseTable = {
  ":Equal": "zero gradient",
  ":Greater": "zero gradient",
  ":Less": "zero gradient",
  ":GreaterOrEqual": "zero gradient",
  ":LessOrEqual": "zero gradient",
  ":And": "zero gradient",
  ":Or": "zero gradient",
  ":Xor": "zero gradient",
  ":IsNaN": "zero gradient",
  ":IsInf": "zero gradient",
  ":Not": "zero gradient",
  ":Where": [
    { name: "equal shapes", inputs: [condition, of(2, 3), of(2, 3)] },
    { name: "both choices broadcast", inputs: [condition, of(3), of(2, 1)], oracle: "linear" },
    { name: "the condition broadcasts", inputs: [integers([3], [1, 0, 1], "bool"), of(2, 3), of()] },
  ],
};
