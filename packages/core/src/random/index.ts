export { type Permutation, permutation } from "./permutation.ts";
export { philox, philoxInto } from "./philox.ts";
export { portableCos, portableExp, portableLog, portablePow, portableSin } from "./portable-math.ts";
export { type RandomStream, randomStream, randomWords, type ValueStream } from "./stream.ts";
