// gemv of codes of 2 bits: uniform2, and ternary weights as codes w + 2. A word is 16 columns of a row, so a vector has 4
// rows of it, and a field of it 4 columns of each. Three ways of multiplying them, the same bits: dot products in 16-bit
// lanes, in 32-bit lanes (_i32), and 16-bit products that are added (_mul). Layout, algebra and bounds: README.md.
import { finishRows } from "../lib/finish";
import { STRIP_BYTES, stripStart } from "../lib/layout";
import { hidden, hiddenSplat8 } from "../lib/simd";
import { unitBytes } from "./decode";
import { step } from "./step";
import { centring, scaled, splat } from "./uniform";

// Bytes of a chunk (16 columns) of a strip, and of its int8 activations.
const CHUNK: usize = 64;
const PANEL: usize = 16;

// @ts-ignore: decorator
@inline
function dot16(x: v128, codes: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.relaxed_dot_i8x16_i7x16_s(x, codes);
  return x;
}

// Two steps of 16-bit lanes: fields 0 and 2 of a word (mask 3), or 1 and 3, four times too large (mask 12). w = v >> 4.
// @ts-ignore: decorator
@inline
function first(v: v128, w: v128, mask: v128, x: v128, next: v128): v128 {
  return i16x8.add(dot16(x, v128.and(v, mask)), dot16(next, v128.and(w, mask)));
}
// @ts-ignore: decorator
@inline
function more(sum: v128, v: v128, w: v128, mask: v128, x: v128, next: v128): v128 {
  return i16x8.add(i16x8.add(sum, dot16(x, v128.and(v, mask))), dot16(next, v128.and(w, mask)));
}

// acc + the sums of both pairs of fields.
// @ts-ignore: decorator
@inline
function join(acc: v128, low: v128, high: v128, ones: v128): v128 {
  return i32x4.add(acc, i32x4.dot_i16x8_s(i16x8.add(low, i16x8.shr_s(high, 2)), ones));
}

// Chunks that 16-bit lanes take: fields 1 and 3 make 2·2·127·12 = 6096 a chunk, 5·6096 = 30480 <= 32767; with a quarter of
// that, as much of fields 0 and 2 is 15240.
const DEPTH: usize = 5;

// simd128: 4 of the 8 products of int16 of a word, those of one byte of each 16-bit lane. The byte is left whole, and then
// without its lower fields: README.md has what the activations are that make up for it.
// @ts-ignore: decorator
@inline
function byteProducts(sum: v128, all: v128, v: v128, m1: v128, m2: v128, m3: v128, x: v128, y: v128, z: v128, u: v128): v128 {
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(x, all));
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(y, v128.and(v, m1)));
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(z, v128.and(v, m2)));
  return i32x4.add(sum, i32x4.dot_i16x8_s(u, v128.and(v, m3)));
}
// @ts-ignore: decorator
@inline
function lowBytes(
  sum: v128, v: v128, m0: v128, m1: v128, m2: v128, m3: v128, x: v128, y: v128, z: v128, u: v128,
): v128 {
  return byteProducts(sum, v128.and(v, m0), v, m1, m2, m3, x, y, z, u);
}
// @ts-ignore: decorator
@inline
function highBytes(sum: v128, v: v128, m1: v128, m2: v128, m3: v128, x: v128, y: v128, z: v128, u: v128): v128 {
  v = i16x8.shr_u(v, 8);
  return byteProducts(sum, v, v, m1, m2, m3, x, y, z, u);
}

// Fields 0 and 2, or 1 and 3, in 32-bit lanes.
// @ts-ignore: decorator
@inline
function dot32(sum: v128, v: v128, w: v128, mask: v128, x: v128, next: v128): v128 {
  return step(step(sum, x, v128.and(v, mask), true), next, v128.and(w, mask), true);
}

// 16-bit products: lanes of 8 columns x rows of the low or high half of a vector. ARM has one instruction for a product
// and its addition.
// @ts-ignore: decorator
@inline
function low(sum: v128, v: v128, w: v128, mask: v128, x: v128, next: v128): v128 {
  sum = i16x8.add(sum, i16x8.extmul_low_i8x16_s(v128.and(v, mask), x));
  return i16x8.add(sum, i16x8.extmul_low_i8x16_s(v128.and(w, mask), next));
}
// @ts-ignore: decorator
@inline
function high(sum: v128, v: v128, w: v128, mask: v128, x: v128, next: v128): v128 {
  sum = i16x8.add(sum, i16x8.extmul_high_i8x16_s(v128.and(v, mask), x));
  return i16x8.add(sum, i16x8.extmul_high_i8x16_s(v128.and(w, mask), next));
}

// acc[4 rows] + sums of rows 0 and 1 (low), 2 and 3 (high), 4 lanes each, of both pairs of fields.
// @ts-ignore: decorator
@inline
function joinProducts(acc: v128, t: v128, u: v128, tHigh: v128, uHigh: v128): v128 {
  const l = i32x4.extadd_pairwise_i16x8_s(i16x8.add(t, i16x8.shr_s(u, 2)));
  const h = i32x4.extadd_pairwise_i16x8_s(i16x8.add(tHigh, i16x8.shr_s(uHigh, 2)));
  return i32x4.add(acc, i32x4.add(v128.shuffle<i32>(l, h, 0, 2, 4, 6), v128.shuffle<i32>(l, h, 1, 3, 5, 7)));
}

// Fields 1 and 3 make 2·127·12 = 3048 a chunk, 10·3048 = 30480 <= 32767; with a quarter of that, as much of 0 and 2 is
// 15240.
const PRODUCT_DEPTH: usize = 10;

const DOT16: i32 = 0, DOT32: i32 = 1, PRODUCTS: i32 = 2;

// y[16] = Σ over groups of scales · Σ x·(code - 2), of a strip of 16 rows; n = byteCols.
// @ts-ignore: decorator
@inline
function strip(
  v: usize, s: usize, p: usize, sums: usize, y: usize, n: i32, groupByteCols: i32, how: i32,
): void {
  const wide = !ASC_FEATURE_RELAXED_SIMD && how == DOT16;
  const mask = hiddenSplat8(3, n), mask12 = hiddenSplat8(12, n);
  const ones = hidden(i16x8.splat(1), n), zero = i32x4.splat(0);
  let y0 = zero, y1 = zero, y2 = zero, y3 = zero;
  for (let group = 0; group < n; group += groupByteCols) {
    const end = p + <usize>min(groupByteCols, n - group) * (wide ? 16 : 8);
    let a0 = centring(sums, 2), a1 = a0, a2 = a0, a3 = a0;
    if (how == PRODUCTS) {
      do {
        const blockEnd = min(p + PRODUCT_DEPTH * PANEL, end);
        let t0 = zero, t1 = zero, t2 = zero, t3 = zero, u0 = zero, u1 = zero, u2 = zero, u3 = zero;
        let h0 = zero, h1 = zero, h2 = zero, h3 = zero, k0 = zero, k1 = zero, k2 = zero, k3 = zero;
        do {
          const x = v128.load(p), x0 = splat(x, 0), x1 = splat(x, 1), x2 = splat(x, 2), x3 = splat(x, 3);
          let c = v128.load(v), d = i16x8.shr_u(c, 4);
          t0 = low(t0, c, d, mask, x0, x2), u0 = low(u0, c, d, mask12, x1, x3);
          h0 = high(h0, c, d, mask, x0, x2), k0 = high(k0, c, d, mask12, x1, x3);
          c = v128.load(v, 16), d = i16x8.shr_u(c, 4);
          t1 = low(t1, c, d, mask, x0, x2), u1 = low(u1, c, d, mask12, x1, x3);
          h1 = high(h1, c, d, mask, x0, x2), k1 = high(k1, c, d, mask12, x1, x3);
          c = v128.load(v, 32), d = i16x8.shr_u(c, 4);
          t2 = low(t2, c, d, mask, x0, x2), u2 = low(u2, c, d, mask12, x1, x3);
          h2 = high(h2, c, d, mask, x0, x2), k2 = high(k2, c, d, mask12, x1, x3);
          c = v128.load(v, 48), d = i16x8.shr_u(c, 4);
          t3 = low(t3, c, d, mask, x0, x2), u3 = low(u3, c, d, mask12, x1, x3);
          h3 = high(h3, c, d, mask, x0, x2), k3 = high(k3, c, d, mask12, x1, x3);
          v += CHUNK;
          p += PANEL;
        } while (p < blockEnd);
        a0 = joinProducts(a0, t0, u0, h0, k0);
        a1 = joinProducts(a1, t1, u1, h1, k1);
        a2 = joinProducts(a2, t2, u2, h2, k2);
        a3 = joinProducts(a3, t3, u3, h3, k3);
      } while (p < end);
    } else if (how == DOT32) {
      let b0 = zero, b1 = zero, b2 = zero, b3 = zero;
      do {
        const x = v128.load(p), x0 = splat(x, 0), x1 = splat(x, 1), x2 = splat(x, 2), x3 = splat(x, 3);
        let c = v128.load(v), d = i16x8.shr_u(c, 4);
        a0 = dot32(a0, c, d, mask, x0, x2), b0 = dot32(b0, c, d, mask12, x1, x3);
        c = v128.load(v, 16), d = i16x8.shr_u(c, 4);
        a1 = dot32(a1, c, d, mask, x0, x2), b1 = dot32(b1, c, d, mask12, x1, x3);
        c = v128.load(v, 32), d = i16x8.shr_u(c, 4);
        a2 = dot32(a2, c, d, mask, x0, x2), b2 = dot32(b2, c, d, mask12, x1, x3);
        c = v128.load(v, 48), d = i16x8.shr_u(c, 4);
        a3 = dot32(a3, c, d, mask, x0, x2), b3 = dot32(b3, c, d, mask12, x1, x3);
        v += CHUNK;
        p += PANEL;
      } while (p < end);
      a0 = i32x4.add(a0, i32x4.shr_s(b0, 2));
      a1 = i32x4.add(a1, i32x4.shr_s(b1, 2));
      a2 = i32x4.add(a2, i32x4.shr_s(b2, 2));
      a3 = i32x4.add(a3, i32x4.shr_s(b3, 2));
    } else if (wide) {
      const m0 = hidden(i16x8.splat(255), n), m1 = hidden(i16x8.splat(252), n);
      const m2 = hidden(i16x8.splat(240), n), m3 = hidden(i16x8.splat(192), n);
      a0 = a1 = a2 = a3 = i32x4.shl(a0, 6);
      // Every word is loaded twice, from an address that looks like another: kept, they would push others out of registers.
      let q = v + <usize>(n >>> 31);
      do {
        const x = v128.load(p), z = v128.load(p, 16);
        let x0 = splat(x, 0), x1 = splat(x, 2), x2 = splat(z, 0), x3 = splat(z, 2);
        a0 = lowBytes(a0, v128.load(v), m0, m1, m2, m3, x0, x1, x2, x3);
        a1 = lowBytes(a1, v128.load(v, 16), m0, m1, m2, m3, x0, x1, x2, x3);
        a2 = lowBytes(a2, v128.load(v, 32), m0, m1, m2, m3, x0, x1, x2, x3);
        a3 = lowBytes(a3, v128.load(v, 48), m0, m1, m2, m3, x0, x1, x2, x3);
        x0 = splat(x, 1), x1 = splat(x, 3), x2 = splat(z, 1), x3 = splat(z, 3);
        a0 = highBytes(a0, v128.load(q), m1, m2, m3, x0, x1, x2, x3);
        a1 = highBytes(a1, v128.load(q, 16), m1, m2, m3, x0, x1, x2, x3);
        a2 = highBytes(a2, v128.load(q, 32), m1, m2, m3, x0, x1, x2, x3);
        a3 = highBytes(a3, v128.load(q, 48), m1, m2, m3, x0, x1, x2, x3);
        v += CHUNK;
        q += CHUNK;
        p += 2 * PANEL;
      } while (p < end);
      a0 = i32x4.shr_s(a0, 6);
      a1 = i32x4.shr_s(a1, 6);
      a2 = i32x4.shr_s(a2, 6);
      a3 = i32x4.shr_s(a3, 6);
    } else {
      do {
        const blockEnd = min(p + DEPTH * PANEL, end);
        let x = v128.load(p), x0 = splat(x, 0), x1 = splat(x, 1), x2 = splat(x, 2), x3 = splat(x, 3);
        let c = v128.load(v), d = i16x8.shr_u(c, 4);
        let t0 = first(c, d, mask, x0, x2), u0 = first(c, d, mask12, x1, x3);
        c = v128.load(v, 16), d = i16x8.shr_u(c, 4);
        let t1 = first(c, d, mask, x0, x2), u1 = first(c, d, mask12, x1, x3);
        c = v128.load(v, 32), d = i16x8.shr_u(c, 4);
        let t2 = first(c, d, mask, x0, x2), u2 = first(c, d, mask12, x1, x3);
        c = v128.load(v, 48), d = i16x8.shr_u(c, 4);
        let t3 = first(c, d, mask, x0, x2), u3 = first(c, d, mask12, x1, x3);
        v += CHUNK;
        p += PANEL;
        while (p < blockEnd) {
          x = v128.load(p), x0 = splat(x, 0), x1 = splat(x, 1), x2 = splat(x, 2), x3 = splat(x, 3);
          c = v128.load(v), d = i16x8.shr_u(c, 4);
          t0 = more(t0, c, d, mask, x0, x2), u0 = more(u0, c, d, mask12, x1, x3);
          c = v128.load(v, 16), d = i16x8.shr_u(c, 4);
          t1 = more(t1, c, d, mask, x0, x2), u1 = more(u1, c, d, mask12, x1, x3);
          c = v128.load(v, 32), d = i16x8.shr_u(c, 4);
          t2 = more(t2, c, d, mask, x0, x2), u2 = more(u2, c, d, mask12, x1, x3);
          c = v128.load(v, 48), d = i16x8.shr_u(c, 4);
          t3 = more(t3, c, d, mask, x0, x2), u3 = more(u3, c, d, mask12, x1, x3);
          v += CHUNK;
          p += PANEL;
        }
        a0 = join(a0, t0, u0, ones);
        a1 = join(a1, t1, u1, ones);
        a2 = join(a2, t2, u2, ones);
        a3 = join(a3, t3, u3, ones);
      } while (p < end);
    }
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

// @ts-ignore: decorator
@inline
function gemv(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, how: i32,
): void {
  const rowSize = <usize>byteCols * unitBytes(2) / 16;
  const groups = (byteCols + groupByteCols - 1) / groupByteCols;
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2), s = scales + stripStart(row, groups);
    strip(w + <usize>row * rowSize, s, tables, steps, out, byteCols, groupByteCols, how);
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}

export function gemv_uniform2_int8_16x8(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  gemv(
    w, scales, tables, steps, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, DOT16,
  );
}

/** For the relaxed binary only. */
export function gemv_uniform2_int8_16x8_i32(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  gemv(
    w, scales, tables, steps, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, DOT32,
  );
}

export function gemv_uniform2_int8_16x8_mul(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  gemv(
    w, scales, tables, steps, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums,
    PRODUCTS,
  );
}
