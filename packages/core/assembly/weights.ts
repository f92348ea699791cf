import { all, blend } from "./gradient";

// What may follow an optimizer's pass over the same range of the new generation.

/** next[i] = keep·average[i] + fresh·value[i] in float32. */
export function average(count: usize, value: usize, average: usize, next: usize, keep: f32, fresh: f32): void {
  const bytes = count << 2;
  const keeping = all(keep);
  const freshening = all(fresh);
  for (let at: usize = 0; at < bytes; at += 16) {
    v128.store(next + at, blend(keeping, v128.load(average + at), freshening, v128.load(value + at)));
  }
}

/**
 * Scales every row whose norm is above `limit` down to it, in place: by limit/(norm + 1e-7), rounded once to float32. A
 * row may start on any float. Squares and sums in float64: element j of a row goes to lane j mod 4, in increasing j; the
 * lanes are added as (0+1) + (2+3).
 */
export function limitRows(address: usize, rows: usize, rowFloats: usize, limit: f64): void {
  const rowBytes = rowFloats << 2;
  const fourBytes = (rowFloats & ~3) << 2;
  for (let row: usize = 0; row < rows; row++) {
    const start = address + row * rowBytes;
    let lane0: f64 = 0;
    let lane1: f64 = 0;
    let lane2: f64 = 0;
    let lane3: f64 = 0;
    for (let at = start; at < start + fourBytes; at += 16) {
      lane0 += square(at);
      lane1 += square(at + 4);
      lane2 += square(at + 8);
      lane3 += square(at + 12);
    }
    const rest = start + fourBytes;
    const end = start + rowBytes;
    if (rest < end) lane0 += square(rest);
    if (rest + 4 < end) lane1 += square(rest + 4);
    if (rest + 8 < end) lane2 += square(rest + 8);
    const norm = sqrt(lane0 + lane1 + (lane2 + lane3));
    if (norm > limit) scaleRow(start, end, <f32>(limit / (norm + 1e-7)));
  }
}

@inline
function square(address: usize): f64 {
  const x = <f64>load<f32>(address);
  return x * x;
}

@inline
function scaleRow(start: usize, end: usize, scale: f32): void {
  const scales = all(scale);
  let at = start;
  for (; at + 16 <= end; at += 16) v128.store(at, f32x4.mul(v128.load(at), scales));
  for (; at < end; at += 4) store<f32>(at, load<f32>(at) * scale);
}
