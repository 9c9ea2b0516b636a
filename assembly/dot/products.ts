// gemv of codes of 2, 4 and 8 bits for ARM without a dot product instruction, and for all ARM in the binary that has none: products
// are added as they are, in 16-bit lanes of 4 columns x rows, by one instruction for a product and its addition. activations:
// q as it is. Layout, algebra and bounds: README.md in this folder.
import { finishRows } from "../lib/finish";
import { STRIP_BYTES, stripStart } from "../lib/layout";
import { hidden, hiddenSplat8 } from "../lib/simd";
import { unitBytes } from "./decode";
import { addScaled, centring, scaled, splat } from "./sums";

// ---- 2 bits

// Bytes of a chunk (16 columns) of a strip, and of its int8 activations.
const CHUNK: usize = 64;
const PANEL: usize = 16;

// 16-bit products: lanes of 8 columns x rows of the low or high half of a vector. ARM has one instruction for a product
// and its addition.
// @ts-ignore: decorator
@inline
function low2(sum: v128, v: v128, w: v128, mask: v128, x: v128, next: v128): v128 {
  sum = i16x8.add(sum, i16x8.extmul_low_i8x16_s(v128.and(v, mask), x));
  return i16x8.add(sum, i16x8.extmul_low_i8x16_s(v128.and(w, mask), next));
}
// @ts-ignore: decorator
@inline
function high2(sum: v128, v: v128, w: v128, mask: v128, x: v128, next: v128): v128 {
  sum = i16x8.add(sum, i16x8.extmul_high_i8x16_s(v128.and(v, mask), x));
  return i16x8.add(sum, i16x8.extmul_high_i8x16_s(v128.and(w, mask), next));
}

// acc[4 rows] + sums of rows 0 and 1 (low), 2 and 3 (high), 4 lanes each, of both pairs of fields.
// @ts-ignore: decorator
@inline
function join2(acc: v128, t: v128, u: v128, tHigh: v128, uHigh: v128): v128 {
  const l = i32x4.extadd_pairwise_i16x8_s(i16x8.add(t, i16x8.shr_s(u, 2)));
  const h = i32x4.extadd_pairwise_i16x8_s(i16x8.add(tHigh, i16x8.shr_s(uHigh, 2)));
  return i32x4.add(acc, i32x4.add(v128.shuffle<i32>(l, h, 0, 2, 4, 6), v128.shuffle<i32>(l, h, 1, 3, 5, 7)));
}

// Fields 1 and 3 make 2·127·12 = 3048 a chunk, 10·3048 = 30480 <= 32767; with a quarter of that, as much of 0 and 2 is
// 15240.
const DEPTH2: usize = 10;

// y[16] = Σ over groups of scales · Σ x·(code - 2), of a strip of 16 rows; n = byteCols.
// @ts-ignore: decorator
@inline
function strip2(v: usize, s: usize, p: usize, sums: usize, y: usize, n: i32, groupByteCols: i32): void {
  const mask = hiddenSplat8(3, n), mask12 = hiddenSplat8(12, n), zero = i32x4.splat(0);
  let y0 = zero, y1 = zero, y2 = zero, y3 = zero;
  for (let group = 0; group < n; group += groupByteCols) {
    const end = p + (<usize>min(groupByteCols, n - group) << 3);
    let a0 = centring(sums, 2), a1 = a0, a2 = a0, a3 = a0;
    do {
      const blockEnd = min(p + DEPTH2 * PANEL, end);
      let t0 = zero, t1 = zero, t2 = zero, t3 = zero, u0 = zero, u1 = zero, u2 = zero, u3 = zero;
      let h0 = zero, h1 = zero, h2 = zero, h3 = zero, k0 = zero, k1 = zero, k2 = zero, k3 = zero;
      do {
        const x = v128.load(p), x0 = splat(x, 0), x1 = splat(x, 1), x2 = splat(x, 2), x3 = splat(x, 3);
        let c = v128.load(v), d = i16x8.shr_u(c, 4);
        t0 = low2(t0, c, d, mask, x0, x2), u0 = low2(u0, c, d, mask12, x1, x3);
        h0 = high2(h0, c, d, mask, x0, x2), k0 = high2(k0, c, d, mask12, x1, x3);
        c = v128.load(v, 16), d = i16x8.shr_u(c, 4);
        t1 = low2(t1, c, d, mask, x0, x2), u1 = low2(u1, c, d, mask12, x1, x3);
        h1 = high2(h1, c, d, mask, x0, x2), k1 = high2(k1, c, d, mask12, x1, x3);
        c = v128.load(v, 32), d = i16x8.shr_u(c, 4);
        t2 = low2(t2, c, d, mask, x0, x2), u2 = low2(u2, c, d, mask12, x1, x3);
        h2 = high2(h2, c, d, mask, x0, x2), k2 = high2(k2, c, d, mask12, x1, x3);
        c = v128.load(v, 48), d = i16x8.shr_u(c, 4);
        t3 = low2(t3, c, d, mask, x0, x2), u3 = low2(u3, c, d, mask12, x1, x3);
        h3 = high2(h3, c, d, mask, x0, x2), k3 = high2(k3, c, d, mask12, x1, x3);
        v += CHUNK;
        p += PANEL;
      } while (p < blockEnd);
      a0 = join2(a0, t0, u0, h0, k0);
      a1 = join2(a1, t1, u1, h1, k1);
      a2 = join2(a2, t2, u2, h2, k2);
      a3 = join2(a3, t3, u3, h3, k3);
    } while (p < end);
    y0 = scaled(y0, a0, v128.load(s));
    y1 = scaled(y1, a1, v128.load(s, 16));
    y2 = scaled(y2, a2, v128.load(s, 32));
    y3 = scaled(y3, a3, v128.load(s, 48));
    s += STRIP_BYTES;
    sums += 4;
  }
  v128.store(y, y0);
  v128.store(y, y1, 16);
  v128.store(y, y2, 32);
  v128.store(y, y3, 48);
}

// ---- 4 and 8 bits

// 16-bit sums of 8 columns of 4 bits of rows 0 and 1 of a vector, or 2 and 3.
// @ts-ignore: decorator
@inline
function low4(sum: v128, low: v128, high: v128, x: v128, z: v128): v128 {
  sum = i16x8.add(sum, i16x8.extmul_low_i8x16_s(low, x));
  return i16x8.add(sum, i16x8.extmul_low_i8x16_s(high, z));
}
// @ts-ignore: decorator
@inline
function high4(sum: v128, low: v128, high: v128, x: v128, z: v128): v128 {
  sum = i16x8.add(sum, i16x8.extmul_high_i8x16_s(low, x));
  return i16x8.add(sum, i16x8.extmul_high_i8x16_s(high, z));
}

// sum + neighbouring 16-bit lanes.
// @ts-ignore: decorator
@inline
function widen(sum: v128, narrow: v128): v128 {
  return i32x4.add(sum, i32x4.extadd_pairwise_i16x8_s(narrow));
}

// start[4 rows] + sums of rows 0 and 1, two lanes each, and of rows 2 and 3.
// @ts-ignore: decorator
@inline
function ofRows(start: v128, l: v128, h: v128): v128 {
  return i32x4.add(start, i32x4.add(v128.shuffle<i32>(l, h, 0, 2, 4, 6), v128.shuffle<i32>(l, h, 1, 3, 5, 7)));
}

// Units (8 columns) of 4 bits that 16-bit lanes take: 2·8 products of 127·15 make 30480 <= 32767.
const DEPTH4: usize = 8;

// y[16] = Σ over groups of scales · Σ x·(code - 8), of a strip of 16 rows; n = byteCols.
// @ts-ignore: decorator
@inline
function strip4(v: usize, s: usize, p: usize, sums: usize, y: usize, n: i32, groupByteCols: i32): void {
  const mask = hiddenSplat8(15, n), zero = i32x4.splat(0);
  memory.fill(y, 0, 64);
  for (let group = 0; group < n; group += groupByteCols) {
    const end = p + (<usize>min(groupByteCols, n - group) << 3);
    let a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
    do {
      const blockEnd = min(p + 8 * DEPTH4, end);
      let t0 = zero, t1 = zero, t2 = zero, t3 = zero, u0 = zero, u1 = zero, u2 = zero, u3 = zero;
      do {
        const both = v128.load64_zero(p), x = splat(both, 0), z = splat(both, 1);
        let c = v128.load(v), l = v128.and(c, mask), h = i8x16.shr_u(c, 4);
        t0 = low4(t0, l, h, x, z), u0 = high4(u0, l, h, x, z);
        c = v128.load(v, 16), l = v128.and(c, mask), h = i8x16.shr_u(c, 4);
        t1 = low4(t1, l, h, x, z), u1 = high4(u1, l, h, x, z);
        c = v128.load(v, 32), l = v128.and(c, mask), h = i8x16.shr_u(c, 4);
        t2 = low4(t2, l, h, x, z), u2 = high4(u2, l, h, x, z);
        c = v128.load(v, 48), l = v128.and(c, mask), h = i8x16.shr_u(c, 4);
        t3 = low4(t3, l, h, x, z), u3 = high4(u3, l, h, x, z);
        v += 64;
        p += 8;
      } while (p < blockEnd);
      a0 = widen(a0, t0), b0 = widen(b0, u0);
      a1 = widen(a1, t1), b1 = widen(b1, u1);
      a2 = widen(a2, t2), b2 = widen(b2, u2);
      a3 = widen(a3, t3), b3 = widen(b3, u3);
    } while (p < end);
    const start = centring(sums, 4);
    addScaled(y, ofRows(start, a0, b0), s);
    addScaled(y + 16, ofRows(start, a1, b1), s + 16);
    addScaled(y + 32, ofRows(start, a2, b2), s + 32);
    addScaled(y + 48, ofRows(start, a3, b3), s + 48);
    s += STRIP_BYTES;
    sums += 4;
  }
}

// sums of rows 0 and 1 of a vector, or 2 and 3, + 8 columns of 8 bits less 128: two products make 2·127·128 = 32512 <= 32767.
// @ts-ignore: decorator
@inline
function low8(sum: v128, v: v128, w: v128, x: v128, z: v128): v128 {
  return widen(sum, i16x8.add(i16x8.extmul_low_i8x16_s(v, x), i16x8.extmul_low_i8x16_s(w, z)));
}
// @ts-ignore: decorator
@inline
function high8(sum: v128, v: v128, w: v128, x: v128, z: v128): v128 {
  return widen(sum, i16x8.add(i16x8.extmul_high_i8x16_s(v, x), i16x8.extmul_high_i8x16_s(w, z)));
}

// y[16] = Σ over groups of scales · Σ x·(code - 128), of a strip of 16 rows; n = byteCols. One xor makes all columns codes less 128,
// as odd ones are stored: nothing is left to centre.
// @ts-ignore: decorator
@inline
function strip8(v: usize, s: usize, p: usize, y: usize, n: i32, groupByteCols: i32): void {
  const flip = hidden(i16x8.splat(0x80), n), zero = i32x4.splat(0);
  memory.fill(y, 0, 64);
  for (let group = 0; group < n; group += groupByteCols) {
    const end = p + (<usize>min(groupByteCols, n - group) << 3);
    let a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
    do {
      const both = v128.load64_zero(p), x = splat(both, 0), z = splat(both, 1);
      let c = v128.xor(v128.load(v), flip), d = v128.xor(v128.load(v, 64), flip);
      a0 = low8(a0, c, d, x, z), b0 = high8(b0, c, d, x, z);
      c = v128.xor(v128.load(v, 16), flip), d = v128.xor(v128.load(v, 80), flip);
      a1 = low8(a1, c, d, x, z), b1 = high8(b1, c, d, x, z);
      c = v128.xor(v128.load(v, 32), flip), d = v128.xor(v128.load(v, 96), flip);
      a2 = low8(a2, c, d, x, z), b2 = high8(b2, c, d, x, z);
      c = v128.xor(v128.load(v, 48), flip), d = v128.xor(v128.load(v, 112), flip);
      a3 = low8(a3, c, d, x, z), b3 = high8(b3, c, d, x, z);
      v += 128;
      p += 8;
    } while (p < end);
    addScaled(y, ofRows(zero, a0, b0), s);
    addScaled(y + 16, ofRows(zero, a1, b1), s + 16);
    addScaled(y + 32, ofRows(zero, a2, b2), s + 32);
    addScaled(y + 48, ofRows(zero, a3, b3), s + 48);
    s += STRIP_BYTES;
  }
}

// @ts-ignore: decorator
@inline
function gemv(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, bits: i32,
): void {
  const rowSize = <usize>byteCols * unitBytes(bits) / 16, groups = (byteCols + groupByteCols - 1) / groupByteCols;
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const v = w + <usize>row * rowSize, s = scales + stripStart(row, groups), out = y + (<usize>row << 2);
    if (bits == 2) strip2(v, s, tables, steps, out, byteCols, groupByteCols);
    else if (bits == 4) strip4(v, s, tables, steps, out, byteCols, groupByteCols);
    else strip8(v, s, tables, out, byteCols, groupByteCols);
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}

export function gemv_uniform2_int8_16x8_mul(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  gemv(w, scales, tables, steps, y, rowBegin, rowEnd, byteCols, groupByteCols, factor, offsets, fsums, 2);
}

export function gemv_uniform4_int8_16x8_mul(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  gemv(w, scales, tables, steps, y, rowBegin, rowEnd, byteCols, groupByteCols, factor, offsets, fsums, 4);
}

export function gemv_uniform8_int8_16x8_mul(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  gemv(w, scales, tables, steps, y, rowBegin, rowEnd, byteCols, groupByteCols, factor, offsets, fsums, 8);
}
