// From exact sums to what is stored. One function serves all algorithms, so that results cannot depend on which one ran.
//
// sums: int32 [rows][n][16], a row of `sumRow` bytes, for 16 outputs of a block of pixels. a = sum + constant, and
//
//   int32     a
//   float32   clip(f32(a) · m + b [+ r])                          r = f32(residual code - zero) · scale, or residual · scale
//   bytes     clip(rne(clip(f32(a) · m + b [+ r])) + zero)        every operation rounded once, in this order
//   dyadic    clip(((a · m [+ r · scale] + 2^(shift-1)) >> shift) + zero), in 64 bits: |a · m| < 2^62, |r · scale| < 2^39
import {
  BYTES, bytes, DYADIC, FLOAT32, FORM, INT32, LEAST, MOST, RESIDUAL_FLIP, RESIDUAL_KIND, RESIDUAL_PITCH, RESIDUAL_SCALE,
  RESIDUAL_ZERO, SHIFT, word, Y_FLIP, Y_KIND, Y_PITCH, Y_ZERO,
} from "./record";

/** 1.5 · 2^23: adding it rounds a float32 below 2^22 to the nearest integer, halves to even, in its low bits. */
const MAGIC: f32 = 12582912;
const MAGIC_BITS = 0x4b400000;

const NONE = 0;
const OF_BYTES = 1;
const OF_FLOATS = 2;

// @ts-ignore: decorator
@inline
function scaled(sum: v128, c: v128, m: v128, b: v128): v128 {
  return f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(i32x4.add(sum, c)), m), b);
}

// @ts-ignore: decorator
@inline
function rounded(f: v128, least: v128, most: v128, magic: v128, offset: v128): v128 {
  return i32x4.sub(f32x4.add(f32x4.pmin(most, f32x4.pmax(least, f)), magic), offset);
}

// @ts-ignore: decorator
@inline
function joined(a: v128, b: v128, c: v128, d: v128): v128 {
  return i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
}

// The first `count` bytes of v.
// @ts-ignore: decorator
@inline
function storeBytes(at: usize, v: v128, count: i32): void {
  if (count >= 16) {
    v128.store(at, v);
    return;
  }
  if (count & 8) {
    v128.store64_lane(at, v, 0);
    v = v128.shuffle<i64>(v, v, 1, 0);
    at += 8;
  }
  if (count & 4) {
    v128.store32_lane(at, v, 0);
    v = v128.shuffle<i32>(v, v, 1, 2, 3, 0);
    at += 4;
  }
  if (count & 2) {
    v128.store16_lane(at, v, 0);
    v = v128.shuffle<i16>(v, v, 1, 2, 3, 4, 5, 6, 7, 0);
    at += 2;
  }
  if (count & 1) v128.store8_lane(at, v, 0);
}

// The first `count` of four words.
// @ts-ignore: decorator
@inline
function storeWords(at: usize, v: v128, count: i32): void {
  if (count >= 4) {
    v128.store(at, v);
    return;
  }
  if (count >= 2) {
    v128.store64_lane(at, v, 0);
    v = v128.shuffle<i64>(v, v, 1, 0);
    at += 8;
    count -= 2;
  }
  if (count >= 1) v128.store32_lane(at, v, 0);
}

// @ts-ignore: decorator
@inline
function store16(at: usize, a: v128, b: v128, c: v128, d: v128, count: i32): void {
  storeWords(at, a, count);
  if (count > 4) storeWords(at + 16, b, count - 4);
  if (count > 8) storeWords(at + 32, c, count - 8);
  if (count > 12) storeWords(at + 48, d, count - 12);
}

// Four codes less their zero point, times scale; `quarter` of 16 codes widened to two halves of 16-bit lanes.
// @ts-ignore: decorator
@inline
function low(half: v128, zero: v128): v128 {
  return i32x4.sub(i32x4.extend_low_i16x8_s(half), zero);
}
// @ts-ignore: decorator
@inline
function high(half: v128, zero: v128): v128 {
  return i32x4.sub(i32x4.extend_high_i16x8_s(half), zero);
}
// @ts-ignore: decorator
@inline
function plus(f: v128, r: v128, scale: v128): v128 {
  return f32x4.add(f, f32x4.mul(f32x4.convert_i32x4_s(r), scale));
}

// @ts-ignore: decorator
@inline
function floats(
  record: usize, constants: usize, sums: usize, sumRow: usize, rows: i32, n: i32, y: usize, yRow: usize, r: usize, rRow: usize,
  count: i32, residual: i32, toBytes: bool,
): void {
  const c0 = v128.load(constants), c1 = v128.load(constants, 16), c2 = v128.load(constants, 32), c3 = v128.load(constants, 48);
  const m0 = v128.load(constants, 64), m1 = v128.load(constants, 80), m2 = v128.load(constants, 96), m3 = v128.load(constants, 112);
  const b0 = v128.load(constants, 128), b1 = v128.load(constants, 144), b2 = v128.load(constants, 160), b3 = v128.load(constants, 176);
  const least = f32x4.splat(load<f32>(record + LEAST)), most = f32x4.splat(load<f32>(record + MOST));
  const flip = bytes(record, Y_FLIP), offset = i32x4.splat(MAGIC_BITS - word(record, Y_ZERO)), magic = f32x4.splat(MAGIC);
  const yStep = <usize>word(record, Y_PITCH), rStep = <usize>word(record, RESIDUAL_PITCH);
  const rFlip = bytes(record, RESIDUAL_FLIP), rZero = i32x4.splat(word(record, RESIDUAL_ZERO));
  const rScale = f32x4.splat(load<f32>(record + RESIDUAL_SCALE));
  for (let row = 0; row < rows; row++) {
    let p = sums, to = y, from = r;
    for (let i = 0; i < n; i++) {
      let f0 = scaled(v128.load(p), c0, m0, b0), f1 = scaled(v128.load(p, 16), c1, m1, b1);
      let f2 = scaled(v128.load(p, 32), c2, m2, b2), f3 = scaled(v128.load(p, 48), c3, m3, b3);
      if (residual == OF_BYTES) {
        const v = v128.xor(v128.load(from), rFlip);
        const a = i16x8.extend_low_i8x16_s(v), b = i16x8.extend_high_i8x16_s(v);
        f0 = plus(f0, low(a, rZero), rScale);
        f1 = plus(f1, high(a, rZero), rScale);
        f2 = plus(f2, low(b, rZero), rScale);
        f3 = plus(f3, high(b, rZero), rScale);
      } else if (residual == OF_FLOATS) {
        f0 = f32x4.add(f0, f32x4.mul(v128.load(from), rScale));
        f1 = f32x4.add(f1, f32x4.mul(v128.load(from, 16), rScale));
        f2 = f32x4.add(f2, f32x4.mul(v128.load(from, 32), rScale));
        f3 = f32x4.add(f3, f32x4.mul(v128.load(from, 48), rScale));
      }
      if (toBytes) {
        const a = rounded(f0, least, most, magic, offset), b = rounded(f1, least, most, magic, offset);
        const c = rounded(f2, least, most, magic, offset), d = rounded(f3, least, most, magic, offset);
        storeBytes(to, v128.xor(joined(a, b, c, d), flip), count);
      } else {
        f0 = f32x4.pmin(most, f32x4.pmax(least, f0));
        f1 = f32x4.pmin(most, f32x4.pmax(least, f1));
        f2 = f32x4.pmin(most, f32x4.pmax(least, f2));
        f3 = f32x4.pmin(most, f32x4.pmax(least, f3));
        store16(to, f0, f1, f2, f3, count);
      }
      p += 64;
      to += yStep;
      from += rStep;
    }
    sums += sumRow;
    y += yRow;
    r += rRow;
  }
}

// @ts-ignore: decorator
@inline
function shifted(a: v128, m: v128, r: v128, scale: v128, half: v128, shift: i32, zero: v128): v128 {
  const lo = i64x2.add(i64x2.add(i64x2.extmul_low_i32x4_s(a, m), i64x2.extmul_low_i32x4_s(r, scale)), half);
  const hi = i64x2.add(i64x2.add(i64x2.extmul_high_i32x4_s(a, m), i64x2.extmul_high_i32x4_s(r, scale)), half);
  return i32x4.add(v128.shuffle<i32>(i64x2.shr_s(lo, shift), i64x2.shr_s(hi, shift), 0, 2, 4, 6), zero);
}

// @ts-ignore: decorator
@inline
function clipped(v: v128, least: v128, most: v128): v128 {
  return i32x4.min_s(most, i32x4.max_s(least, v));
}

function dyadic(
  record: usize, constants: usize, sums: usize, sumRow: usize, rows: i32, n: i32, y: usize, yRow: usize, r: usize, rRow: usize,
  count: i32,
): void {
  const shift = word(record, SHIFT), half = i64x2.splat(<i64>1 << <i64>(shift - 1));
  const least = i32x4.splat(word(record, LEAST)), most = i32x4.splat(word(record, MOST));
  const flip = bytes(record, Y_FLIP), zero = i32x4.splat(word(record, Y_ZERO));
  const yStep = <usize>word(record, Y_PITCH), rStep = <usize>word(record, RESIDUAL_PITCH);
  const rFlip = bytes(record, RESIDUAL_FLIP), rZero = i32x4.splat(word(record, RESIDUAL_ZERO));
  const scale = i32x4.splat(word(record, RESIDUAL_SCALE));
  const none = i32x4.splat(0);
  for (let row = 0; row < rows; row++) {
    let p = sums, to = y, from = r;
    for (let i = 0; i < n; i++) {
      let r0 = none, r1 = none, r2 = none, r3 = none;
      if (r) {
        const v = v128.xor(v128.load(from), rFlip);
        const a = i16x8.extend_low_i8x16_s(v), b = i16x8.extend_high_i8x16_s(v);
        r0 = low(a, rZero);
        r1 = high(a, rZero);
        r2 = low(b, rZero);
        r3 = high(b, rZero);
      }
      const a = shifted(i32x4.add(v128.load(p), v128.load(constants)), v128.load(constants, 64), r0, scale, half, shift, zero);
      const b = shifted(i32x4.add(v128.load(p, 16), v128.load(constants, 16)), v128.load(constants, 80), r1, scale, half, shift, zero);
      const c = shifted(i32x4.add(v128.load(p, 32), v128.load(constants, 32)), v128.load(constants, 96), r2, scale, half, shift, zero);
      const d = shifted(i32x4.add(v128.load(p, 48), v128.load(constants, 48)), v128.load(constants, 112), r3, scale, half, shift, zero);
      const v = joined(clipped(a, least, most), clipped(b, least, most), clipped(c, least, most), clipped(d, least, most));
      storeBytes(to, v128.xor(v, flip), count);
      p += 64;
      to += yStep;
      from += rStep;
    }
    sums += sumRow;
    y += yRow;
    r += rRow;
  }
}

function integers(
  record: usize, constants: usize, sums: usize, sumRow: usize, rows: i32, n: i32, y: usize, yRow: usize, count: i32,
): void {
  const c0 = v128.load(constants), c1 = v128.load(constants, 16), c2 = v128.load(constants, 32), c3 = v128.load(constants, 48);
  const yStep = <usize>word(record, Y_PITCH);
  for (let row = 0; row < rows; row++) {
    let p = sums, to = y;
    for (let i = 0; i < n; i++) {
      store16(
        to, i32x4.add(v128.load(p), c0), i32x4.add(v128.load(p, 16), c1), i32x4.add(v128.load(p, 32), c2),
        i32x4.add(v128.load(p, 48), c3), count,
      );
      p += 64;
      to += yStep;
    }
    sums += sumRow;
    y += yRow;
  }
}

/**
 * The first `count` of 16 outputs (all 16 where the pixel has room) of rows x n pixels.
 * y and r: where the first pixel of the output and of the residual have these outputs; r is 0 where there is none.
 */
export function finish(
  record: usize, constants: usize, sums: usize, sumRow: usize, rows: i32, n: i32, y: usize, yRow: usize, r: usize, rRow: usize,
  count: i32,
): void {
  const kind = word(record, Y_KIND);
  if (kind == INT32) {
    integers(record, constants, sums, sumRow, rows, n, y, yRow, count);
  } else if (word(record, FORM) == DYADIC) {
    dyadic(record, constants, sums, sumRow, rows, n, y, yRow, r, rRow, count);
  } else {
    const floatsOf = !r ? NONE : word(record, RESIDUAL_KIND) == BYTES ? OF_BYTES : OF_FLOATS;
    if (kind == FLOAT32) {
      if (floatsOf == NONE) floats(record, constants, sums, sumRow, rows, n, y, yRow, r, rRow, count, NONE, false);
      else if (floatsOf == OF_BYTES) floats(record, constants, sums, sumRow, rows, n, y, yRow, r, rRow, count, OF_BYTES, false);
      else floats(record, constants, sums, sumRow, rows, n, y, yRow, r, rRow, count, OF_FLOATS, false);
    } else if (floatsOf == NONE) {
      floats(record, constants, sums, sumRow, rows, n, y, yRow, r, rRow, count, NONE, true);
    } else if (floatsOf == OF_BYTES) {
      floats(record, constants, sums, sumRow, rows, n, y, yRow, r, rRow, count, OF_BYTES, true);
    } else {
      floats(record, constants, sums, sumRow, rows, n, y, yRow, r, rRow, count, OF_FLOATS, true);
    }
  }
}
