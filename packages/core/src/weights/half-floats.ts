/**
 * IEEE 754 binary16 values as float32, exactly: every half float is one. NaN payloads keep their bits, shifted.
 * @param bits little-endian uint16.
 */
export function halfToFloat(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const words = Uint32Array.from(bits, (half) => {
    const sign = (half & 0x8000) << 16;
    const exponent = (half >>> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0x1f) return (sign | 0x7f80_0000 | (fraction << 13)) >>> 0;
    if (exponent !== 0) return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
    if (fraction === 0) return sign >>> 0;
    // Subnormal: fraction·2^-24, normal as a float32.
    const shift = Math.clz32(fraction) - 21;
    return (sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13)) >>> 0;
  });
  return new Float32Array(words.buffer);
}

/** bfloat16 values as float32, exactly: they are its upper halves. @param bits little-endian uint16. */
export function brainToFloat(bits: Uint16Array): Float32Array<ArrayBuffer> {
  return new Float32Array(Uint32Array.from(bits, (half) => half * 0x1_0000).buffer);
}
