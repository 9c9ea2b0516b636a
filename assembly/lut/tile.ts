// What the binary and the ternary lookup kernels share.
import { addCompensated } from "../lib/compensated";
import { accumulate, hiddenSplat8, highNibble, lookup, zipHigh16, zipHigh8, zipLow16, zipLow8 } from "../lib/simd";

// Byte columns in a float32 run: a block of so many is summed before it is scaled, and groups of at most so many columns
// together before their sum is added to y, which is the one sum of unlimited length and compensated (lib/compensated.ts). In
// units of u = 2^-24: a running sum of m terms, all of one sign and all rounded one way, is off by (m + 1) / 2. A block has up to
// 128 entries, which were 2 additions each, a run up to 64 blocks, of 126 byte columns together, a block 1 product: 66 + 2 + 1 u of
// the sum of |terms|, and below 75 u with what compensation leaves and the factors at the end. (75 u)² < 2.1e-11.
const F32_BLOCK: i32 = 64;

/**
 * lut8: acc[8] += weight · sums, for a vector of eight 16-bit sums: even lanes to acc 0..3, odd lanes to acc 4..7.
 * |Σ weight · sum| < 2^31 is the caller's bound. forEven = weight in the low halves of 32-bit lanes, forOdd = in the high.
 */
// @ts-ignore: decorator
@inline
export function addWeighted(acc: usize, sums: v128, forEven: v128, forOdd: v128): void {
  v128.store(acc, i32x4.add(v128.load(acc), i32x4.dot_i16x8_s(sums, forEven)));
  v128.store(acc, i32x4.add(v128.load(acc, 16), i32x4.dot_i16x8_s(sums, forOdd)), 16);
}

/** y[4] += scales · sums */
// @ts-ignore: decorator
@inline
export function addExact(sums: v128, scales: usize, y: usize): void {
  accumulate(y, f32x4.mul(f32x4.convert_i32x4_s(sums), v128.load(scales)));
}

// y += scales · float32 sums of one vector of 16 plane rows over n byte columns. An entry is looked up byte by byte in four
// tables and zipped together.
// @ts-ignore: decorator
@inline
function blockF32(
  w: usize, stride: usize, tables: usize, n: i32, scales: usize, y: usize, mask: v128,
): void {
  const zero = f32x4.splat(0), end = tables + (<usize>n << 7);
  let a0 = zero, a1 = zero, a2 = zero, a3 = zero;
  do {
    let v = v128.load(w), p: v128, q: v128, r: v128;
    const u = highNibble(v, mask);
    v = v128.and(v, mask);
    p = lookup(v128.load(tables), v);
    q = lookup(v128.load(tables, 16), v);
    r = zipLow8(p, q);
    p = zipHigh8(p, q);
    q = lookup(v128.load(tables, 32), v);
    v = lookup(v128.load(tables, 48), v);
    a0 = f32x4.add(a0, zipLow16(r, zipLow8(q, v)));
    a1 = f32x4.add(a1, zipHigh16(r, zipLow8(q, v)));
    a2 = f32x4.add(a2, zipLow16(p, zipHigh8(q, v)));
    a3 = f32x4.add(a3, zipHigh16(p, zipHigh8(q, v)));
    p = lookup(v128.load(tables, 64), u);
    q = lookup(v128.load(tables, 80), u);
    r = zipLow8(p, q);
    p = zipHigh8(p, q);
    q = lookup(v128.load(tables, 96), u);
    v = lookup(v128.load(tables, 112), u);
    a0 = f32x4.add(a0, zipLow16(r, zipLow8(q, v)));
    a1 = f32x4.add(a1, zipHigh16(r, zipLow8(q, v)));
    a2 = f32x4.add(a2, zipLow16(p, zipHigh8(q, v)));
    a3 = f32x4.add(a3, zipHigh16(p, zipHigh8(q, v)));
    tables += 128;
    w += stride;
  } while (tables < end);
  // Lanes 0..3 of a0 are rows 0 8 4 12, of a1 1 9 5 13, and so on: a transpose.
  const b0 = v128.shuffle<i32>(a0, a1, 0, 4, 1, 5), b1 = v128.shuffle<i32>(a2, a3, 0, 4, 1, 5);
  const b2 = v128.shuffle<i32>(a0, a1, 2, 6, 3, 7), b3 = v128.shuffle<i32>(a2, a3, 2, 6, 3, 7);
  accumulate(y, f32x4.mul(v128.shuffle<i64>(b0, b1, 0, 2), v128.load(scales)));
  accumulate(y + 16, f32x4.mul(v128.shuffle<i64>(b2, b3, 0, 2), v128.load(scales, 16)));
  accumulate(y + 32, f32x4.mul(v128.shuffle<i64>(b0, b1, 1, 3), v128.load(scales, 32)));
  accumulate(y + 48, f32x4.mul(v128.shuffle<i64>(b2, b3, 1, 3), v128.load(scales, 48)));
}

// The sums of a run, added to y; the next run begins at 0.
// @ts-ignore: decorator
@inline
function endRun(y: usize, run: usize, low: usize, height: i32): void {
  const end = y + (<usize>height << 2), zero = f32x4.splat(0);
  for (; y < end; y += 16) {
    addCompensated(y, low, v128.load(run));
    v128.store(run, zero);
    run += 16;
    low += 16;
  }
}

/**
 * y[height] += scales · float32 sums of a tile, with `run` [height] zeros before and after and `low` [height] what y has
 * rounded off. Blocks outside, rows inside, as in the int8 kernels.
 */
// @ts-ignore: decorator
@inline
export function tileF32(
  w: usize, height: i32, scales: usize, tables: usize, y: usize, run: usize, low: usize,
  byteCols: i32, groupByteCols: i32,
): void {
  const mask = hiddenSplat8(15, byteCols), stride = <usize>height;
  let length = 0;
  for (let group = 0; group < byteCols; group += groupByteCols) {
    const groupEnd = min(group + groupByteCols, byteCols);
    for (let block = group; block < groupEnd; block += F32_BLOCK) {
      const n = min(F32_BLOCK, groupEnd - block);
      for (let i = 0; i < height; i += 16) {
        const o = <usize>i << 2;
        blockF32(w + <usize>i, stride, tables, n, scales + o, run + o, mask);
      }
      w += <usize>n * stride;
      tables += <usize>n << 7;
      length += n;
      if (length >= F32_BLOCK) {
        endRun(y, run, low, height);
        length = 0;
      }
    }
    scales += <usize>height << 2;
  }
  if (length > 0) endRun(y, run, low, height);
}
