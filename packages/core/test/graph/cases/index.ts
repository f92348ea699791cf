import type { CaseTable } from "../gradient-case.ts";
import { comparison } from "./comparison.ts";
import { contraction } from "./contraction.ts";
import { elementwise } from "./elementwise.ts";
import { indexing } from "./indexing.ts";
import { reduction } from "./reduction.ts";
import { shapeOps } from "./shape-ops.ts";
import { slicing } from "./slicing.ts";
import { softmax } from "./softmax.ts";

/** A file per operator family, as in the sources. */
export const cases: CaseTable = {
  ...comparison,
  ...contraction,
  ...elementwise,
  ...indexing,
  ...reduction,
  ...shapeOps,
  ...slicing,
  ...softmax,
};
