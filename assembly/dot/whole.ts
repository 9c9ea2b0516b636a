// gemv of codes that meet activations as whole bytes, for machines whose relaxed dot product has 32-bit sums and does not
// saturate: operand 2 beyond 0..127 is unsigned there (AVX-VNNI) or signed (ARM), which dot_sign tells. Elsewhere a code is
// three of at most 127, with the same bits, at a third of the speed: nothing chooses these kernels there. For the relaxed
// binary only. Layout, algebra and bounds: README.md in this folder.
import { finishRows } from "../lib/finish";
import { STRIP_BYTES, stripStart } from "../lib/layout";
import { hidden, hiddenSplat8 } from "../lib/simd";
import { dot_sign } from "../probe";
import { unitBytes } from "./decode";
import { addScaled, centring, splat } from "./sums";
import { gemv_uniform4_int8_16x8_i32 } from "./uniform";

// @ts-ignore: decorator
@inline
function dot(sum: v128, codes: v128, x: v128): v128 {
  return i32x4.relaxed_dot_i8x16_i7x16_add_s(x, codes, sum);
}

/** sum + codes · x. `whole`: bytes beyond 127 are what dot_sign says; else they are 0..255, as (c & 127) + 127·b + b, b the top bit. */
// @ts-ignore: decorator
@inline
export function byteDot(sum: v128, codes: v128, x: v128, whole: bool): v128 {
  if (whole) return dot(sum, codes, x);
  const top = i8x16.shr_s(codes, 7), seven = i8x16.splat(127);
  sum = dot(sum, v128.and(codes, seven), x);
  return dot(dot(sum, v128.and(top, seven), x), v128.and(top, i8x16.splat(1)), x);
}

// y[16] = Σ over groups of scales · Σ x·(code - 128), of a strip of 16 rows; n = byteCols. Every sum takes one dot product a
// turn. flip: makes all stored columns unsigned, or all less 128, when they are signed and nothing is left to centre.
// `lanes`: activations from lanes of one load, which takes fewer instructions on ARM, and more time on x86.
// @ts-ignore: decorator
@inline
function strip8(
  v: usize, s: usize, p: usize, sums: usize, y: usize, n: i32, groupByteCols: i32,
  flip: v128, isSigned: bool, whole: bool, lanes: bool,
): void {
  const zero = i32x4.splat(0);
  memory.fill(y, 0, 64);
  for (let group = 0; group < n; group += groupByteCols) {
    const end = p + (<usize>min(groupByteCols, n - group) << 3);
    let a0 = isSigned ? zero : centring(sums, 8), a1 = a0, a2 = a0, a3 = a0, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
    do {
      let x: v128, z: v128;
      if (lanes) {
        const both = v128.load64_zero(p);
        x = splat(both, 0), z = splat(both, 1);
      } else {
        x = v128.load32_splat(p), z = v128.load32_splat(p, 4);
      }
      a0 = byteDot(a0, v128.xor(v128.load(v), flip), x, whole);
      a1 = byteDot(a1, v128.xor(v128.load(v, 16), flip), x, whole);
      a2 = byteDot(a2, v128.xor(v128.load(v, 32), flip), x, whole);
      a3 = byteDot(a3, v128.xor(v128.load(v, 48), flip), x, whole);
      b0 = byteDot(b0, v128.xor(v128.load(v, 64), flip), z, whole);
      b1 = byteDot(b1, v128.xor(v128.load(v, 80), flip), z, whole);
      b2 = byteDot(b2, v128.xor(v128.load(v, 96), flip), z, whole);
      b3 = byteDot(b3, v128.xor(v128.load(v, 112), flip), z, whole);
      v += 128;
      p += 8;
    } while (p < end);
    addScaled(y, i32x4.add(a0, b0), s);
    addScaled(y + 16, i32x4.add(a1, b1), s + 16);
    addScaled(y + 32, i32x4.add(a2, b2), s + 32);
    addScaled(y + 48, i32x4.add(a3, b3), s + 48);
    s += STRIP_BYTES;
    sums += 4;
  }
}

/** 8 bits. tables: q as it is. */
export function gemv_uniform8_int8_16x8_byte(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  const sign = dot_sign(byteCols >>> 31), rowSize = <usize>byteCols * unitBytes(8) / 16;
  const groups = (byteCols + groupByteCols - 1) / groupByteCols;
  const flip = hidden(i16x8.splat(sign < 0 ? 0x80 : -0x8000), byteCols);
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const v = w + <usize>row * rowSize, s = scales + stripStart(row, groups), out = y + (<usize>row << 2);
    if (sign > 0) strip8(v, s, tables, steps, out, byteCols, groupByteCols, flip, false, true, false);
    else if (sign < 0) strip8(v, s, tables, steps, out, byteCols, groupByteCols, flip, true, true, true);
    else strip8(v, s, tables, steps, out, byteCols, groupByteCols, flip, false, false, false);
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}

// The kernels below are for AVX-VNNI, where `_i32` of 2 and 4 bits waits for sums that are stored and loaded again: V8 schedules
// a block of code by its results, so that two dot products of a sum in one block keep the activations of both alive.

// 4 bits. High nibbles stay where they are, 16 times too large: |Σ 240·x| <= 240·127·65536 = 1997537280 < 2^31.
// @ts-ignore: decorator
@inline
function strip4(v: usize, s: usize, p: usize, sums: usize, y: usize, n: i32, groupByteCols: i32): void {
  const low = hiddenSplat8(15, n), high = hiddenSplat8(0xf0, n), zero = i32x4.splat(0);
  memory.fill(y, 0, 64);
  for (let group = 0; group < n; group += groupByteCols) {
    const end = p + (<usize>min(groupByteCols, n - group) << 3);
    let a0 = centring(sums, 4), a1 = a0, a2 = a0, a3 = a0, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
    do {
      const x = v128.load32_splat(p), z = v128.load32_splat(p, 4);
      let c = v128.load(v);
      a0 = dot(a0, v128.and(c, low), x), b0 = dot(b0, v128.and(c, high), z);
      c = v128.load(v, 16);
      a1 = dot(a1, v128.and(c, low), x), b1 = dot(b1, v128.and(c, high), z);
      c = v128.load(v, 32);
      a2 = dot(a2, v128.and(c, low), x), b2 = dot(b2, v128.and(c, high), z);
      c = v128.load(v, 48);
      a3 = dot(a3, v128.and(c, low), x), b3 = dot(b3, v128.and(c, high), z);
      v += 64;
      p += 8;
    } while (p < end);
    addScaled(y, i32x4.add(a0, i32x4.shr_s(b0, 4)), s);
    addScaled(y + 16, i32x4.add(a1, i32x4.shr_s(b1, 4)), s + 16);
    addScaled(y + 32, i32x4.add(a2, i32x4.shr_s(b2, 4)), s + 32);
    addScaled(y + 48, i32x4.add(a3, i32x4.shr_s(b3, 4)), s + 48);
    s += STRIP_BYTES;
    sums += 4;
  }
}

/** 4 bits. */
export function gemv_uniform4_int8_16x8_u8(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, extra: i32,
): void {
  if (dot_sign(byteCols >>> 31) <= 0) {
    gemv_uniform4_int8_16x8_i32(
      w, scales, tables, steps, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, extra,
    );
    return;
  }
  const rowSize = <usize>byteCols * unitBytes(4) / 16, groups = (byteCols + groupByteCols - 1) / groupByteCols;
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2);
    strip4(w + <usize>row * rowSize, scales + stripStart(row, groups), tables, steps, out, byteCols, groupByteCols);
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}

// 2 bits. Fields 0 and 1 of a word, then 2 and 3 in a block of code of their own: a way out of the loop that is never taken
// (p is not 0) parts them. Words are loaded twice, from an address that looks like another: kept, they would push sums out
// of registers.
// @ts-ignore: decorator
@inline
function strip2(v: usize, s: usize, p: usize, sums: usize, y: usize, n: i32, groupByteCols: i32): void {
  const mask = hiddenSplat8(3, n), mask12 = hiddenSplat8(12, n), zero = i32x4.splat(0);
  memory.fill(y, 0, 64);
  for (let group = 0; group < n; group += groupByteCols) {
    const end = p + (<usize>min(groupByteCols, n - group) << 3);
    let a0 = centring(sums, 2), a1 = a0, a2 = a0, a3 = a0, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
    let q = v + <usize>(n >>> 31);
    while (true) {
      let x = v128.load32_splat(p), z = v128.load32_splat(p, 4), c = v128.load(v);
      a0 = dot(a0, v128.and(c, mask), x), b0 = dot(b0, v128.and(c, mask12), z);
      c = v128.load(v, 16);
      a1 = dot(a1, v128.and(c, mask), x), b1 = dot(b1, v128.and(c, mask12), z);
      c = v128.load(v, 32);
      a2 = dot(a2, v128.and(c, mask), x), b2 = dot(b2, v128.and(c, mask12), z);
      c = v128.load(v, 48);
      a3 = dot(a3, v128.and(c, mask), x), b3 = dot(b3, v128.and(c, mask12), z);
      if (p == 0) break;
      x = v128.load32_splat(p, 8), z = v128.load32_splat(p, 12), c = i16x8.shr_u(v128.load(q), 4);
      a0 = dot(a0, v128.and(c, mask), x), b0 = dot(b0, v128.and(c, mask12), z);
      c = i16x8.shr_u(v128.load(q, 16), 4);
      a1 = dot(a1, v128.and(c, mask), x), b1 = dot(b1, v128.and(c, mask12), z);
      c = i16x8.shr_u(v128.load(q, 32), 4);
      a2 = dot(a2, v128.and(c, mask), x), b2 = dot(b2, v128.and(c, mask12), z);
      c = i16x8.shr_u(v128.load(q, 48), 4);
      a3 = dot(a3, v128.and(c, mask), x), b3 = dot(b3, v128.and(c, mask12), z);
      v += 64;
      q += 64;
      p += 16;
      if (p >= end) break;
    }
    addScaled(y, i32x4.add(a0, i32x4.shr_s(b0, 2)), s);
    addScaled(y + 16, i32x4.add(a1, i32x4.shr_s(b1, 2)), s + 16);
    addScaled(y + 32, i32x4.add(a2, i32x4.shr_s(b2, 2)), s + 32);
    addScaled(y + 48, i32x4.add(a3, i32x4.shr_s(b3, 2)), s + 48);
    s += STRIP_BYTES;
    sums += 4;
  }
}

/** 2 bits, ternary weights among them. No code exceeds 12, so that this is exact everywhere. */
export function gemv_uniform2_int8_16x8_u8(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  const rowSize = <usize>byteCols * unitBytes(2) / 16, groups = (byteCols + groupByteCols - 1) / groupByteCols;
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2);
    strip2(w + <usize>row * rowSize, scales + stripStart(row, groups), tables, steps, out, byteCols, groupByteCols);
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}
