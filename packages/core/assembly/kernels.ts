// The module's exports. Every address is a byte address on 64 bytes, every count a multiple of 16 floats; the callers in
// src/kernels check both. Only IEEE operations of baseline SIMD (no relaxed SIMD, no fused multiply-add), so that every
// CPU gives the same bits. No static data and no heap: the whole memory belongs to the arena that is imported.
export { hash64 } from "./hash";
export { adagrad, sgd, sgdMomentum, sgdNesterov } from "./optimizers";
export { rmsprop, rmspropCentered, rmspropCenteredMomentum, rmspropMomentum } from "./optimizers";
export { add, copy, firstNonFinite, sumOfSquares } from "./vectors";
