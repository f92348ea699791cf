import type { CaseTable } from "../gradient-case.ts";
import { activation } from "./activation.ts";
import { comparison } from "./comparison.ts";
import { contraction } from "./contraction.ts";
import { convolution } from "./convolution.ts";
import { cumulative } from "./cumulative.ts";
import { einsum } from "./einsum.ts";
import { elementwise } from "./elementwise.ts";
import { extremes } from "./extremes.ts";
import { indexing } from "./indexing.ts";
import { losses } from "./loss.ts";
import { normalization } from "./normalization.ts";
import { pooling } from "./pooling.ts";
import { recurrent } from "./recurrent.ts";
import { reduction } from "./reduction.ts";
import { resampling } from "./resampling.ts";
import { scatter } from "./scatter.ts";
import { shapeOps } from "./shape-ops.ts";
import { slicing } from "./slicing.ts";
import { softmax } from "./softmax.ts";
import { sorting } from "./sorting.ts";
import { trigonometric } from "./trigonometric.ts";

/** A file per operator family, as in the sources. */
export const cases: CaseTable = {
  ...activation,
  ...comparison,
  ...convolution,
  ...normalization,
  ...pooling,
  ...resampling,
  ...contraction,
  ...cumulative,
  ...einsum,
  ...elementwise,
  ...extremes,
  ...indexing,
  ...losses,
  ...recurrent,
  ...reduction,
  ...scatter,
  ...shapeOps,
  ...slicing,
  ...softmax,
  ...sorting,
  ...trigonometric,
};
