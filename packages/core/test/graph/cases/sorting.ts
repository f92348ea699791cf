import { type CaseTable, of } from "../gradient-case.ts";

export const sorting: CaseTable = {
  ":TopK": [
    { name: "the largest along the last axis", inputs: [of(3, 5)], attributes: { k: [2] } },
    { name: "the smallest along the first axis", inputs: [of(5, 3)], attributes: { axis: 0, k: [3], largest: 0 } },
    { name: "all of them, unsorted", inputs: [of(2, 3)], attributes: { axis: -1, k: [3], sorted: 0 } },
  ],
};
