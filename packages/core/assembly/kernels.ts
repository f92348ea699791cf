// The module's exports. Every address is a byte address on 64 bytes, every count a multiple of 16 floats; the callers in
// src/kernels check both. Only IEEE operations of baseline SIMD (no relaxed SIMD, no fused multiply-add), so that every
// CPU gives the same bits. No static data and no heap: the whole memory belongs to the arena that is imported.
export { adam, adamAmsgrad, lion, nadam } from "./adam";
export { adadelta, adagrad, rmsprop, rmspropCentered, rmspropCenteredMomentum, rmspropMomentum } from "./adaptive";
export { hash64 } from "./hash";
export { normal } from "./normal";
export { bernoulli } from "./philox";
export { packBfloat16, packInt8, roundBfloat16, roundInt8, unpackBfloat16, unpackInt8 } from "./rounding";
export { sgd, sgdMomentum, sgdNesterov } from "./sgd";
export { uniform } from "./uniform";
export { add, copy, firstNonFinite, quickSquares, sumOfSquares } from "./vectors";
export { average, limitRows } from "./weights";
