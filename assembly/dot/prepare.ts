// Activations for the dot products: float32 to int8, its sums per group, and the panels that the kernels read. O(cols).
// "Panels" in README.md has the drawings. A unit is 8 columns.
import { hidden } from "../lib/simd";
import { quantize8, ROUND_F64 } from "../lut/prepare";

/** q = x·r rounded half to even, int8 in natural order; |x·r| <= 127. */
export function prepare_q8(x: usize, q: usize, byteCols: i32, r: f64): void {
  const rr = f64x2.splat(r), magic = hidden(f64x2.splat(ROUND_F64), byteCols);
  const end = q + (<usize>byteCols << 3);
  for (; q < end; q += 8) {
    const v = quantize8(x, rr, magic);
    v128.store64_lane(q, i8x16.narrow_i16x8_s(v, v), 0);
    x += 32;
  }
}

// v rounded half to even, |v| < 2^51.
// @ts-ignore: decorator
@inline
function round(v: v128, magic: v128): v128 {
  return f64x2.sub(f64x2.add(v, magic), magic);
}

// The digits of two columns: q1 in 32-bit lanes 0 and 1, q2 in lanes 2 and 3 of the result; q3 likewise by `third`.
// Adding `magic` leaves an integer in two's complement in the low half of the float64.
// @ts-ignore: decorator
@inline
function digits(x: v128, r: v128, magic: v128, third: bool): v128 {
  const base = f64x2.splat(254), square = f64x2.splat(64516);
  const whole = round(f64x2.mul(f64x2.promote_low_f32x4(x), r), magic);
  const q1 = round(f64x2.div(whole, square), magic);
  const rest = f64x2.sub(whole, f64x2.mul(q1, square));
  const q2 = round(f64x2.div(rest, base), magic);
  if (third) {
    const q3 = f64x2.add(f64x2.sub(rest, f64x2.mul(q2, base)), magic);
    return v128.shuffle<i32>(q3, q3, 0, 2, 0, 2);
  }
  return v128.shuffle<i32>(f64x2.add(q1, magic), f64x2.add(q2, magic), 0, 2, 4, 6);
}

/**
 * X = x·r rounded half to even, r = 127·254² / max |x|, as three int8 arrays `stride` bytes apart:
 *     X = 254²·q1 + 254·q2 + q3,  q1 = rne(X / 254²),  q2 = rne((X - 254²·q1) / 254),  q3 = the rest
 * in float64, where all of it but the two quotients is exact. A quotient that is no tie is at least 1/254² away from one,
 * so none is rounded to one. |X| <= 127·254² gives |q1| <= 127; the first rest is at most 254²/2 = 127·254, so |q2| <=
 * 127; the second at most 254/2 = 127.
 */
export function prepare_digits(x: usize, q: usize, stride: usize, byteCols: i32, r: f64): void {
  const rr = f64x2.splat(r), magic = hidden(f64x2.splat(ROUND_F64), byteCols);
  const end = q + (<usize>byteCols << 3);
  for (; q < end; q += 4) {
    const a = v128.load(x), b = v128.shuffle<f64>(a, a, 1, 0);
    const high0 = digits(a, rr, magic, false), high1 = digits(b, rr, magic, false);
    const low0 = digits(a, rr, magic, true), low1 = digits(b, rr, magic, true);
    const q1 = v128.shuffle<i32>(high0, high1, 0, 1, 4, 5), q2 = v128.shuffle<i32>(high0, high1, 2, 3, 6, 7);
    const q3 = v128.shuffle<i32>(low0, low1, 0, 1, 4, 5);
    const bytes = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(q1, q2), i16x8.narrow_i32x4_s(q3, q3));
    v128.store32_lane(q, bytes, 0);
    v128.store32_lane(q + stride, bytes, 1);
    v128.store32_lane(q + 2 * stride, bytes, 2);
    x += 16;
  }
}

// @ts-ignore: decorator
@inline
function sumLanes(v: v128): i32 {
  return i32x4.extract_lane(v, 0) + i32x4.extract_lane(v, 1) + i32x4.extract_lane(v, 2) + i32x4.extract_lane(v, 3);
}

/** sums (int32) and fsums (float32, rounded once): Σ q of each group. */
export function prepare_sums(q: usize, sums: usize, fsums: usize, byteCols: i32, groupByteCols: i32): void {
  const ones = hidden(i16x8.splat(1), byteCols);
  for (let group = 0; group < byteCols; group += groupByteCols) {
    const end = q + (<usize>min(groupByteCols, byteCols - group) << 3);
    let s = i32x4.splat(0);
    for (; q < end; q += 8) s = i32x4.add(s, i32x4.dot_i16x8_s(v128.load8x8_s(q), ones));
    const sum = sumLanes(s);
    store<i32>(sums, sum);
    store<f32>(fsums, <f32>sum);
    sums += 4;
    fsums += 4;
  }
}

/** gemv, relaxed: q itself, so a caller may as well pass q. simd128: int16, each 4 columns in the order 0, 2, 1, 3. */
export function prepare_quads(q: usize, panel: usize, byteCols: i32): void {
  const end = q + (<usize>byteCols << 3);
  if (ASC_FEATURE_RELAXED_SIMD) {
    memory.copy(panel, q, <usize>byteCols << 3);
  } else {
    for (; q < end; q += 8) {
      const v = v128.load8x8_s(q);
      v128.store(panel, v128.shuffle<i16>(v, v, 0, 2, 1, 3, 4, 6, 5, 7));
      panel += 16;
    }
  }
}

/**
 * gemv of codes of 2 bits, relaxed: q itself. simd128: int16, of each 16 columns in fours, ordered 0 2 1 3:
 * 64·x0, 16·(x1 - 4·x0), 4·(x2 - 4·x1), x3 - 4·x2, all within 16·5·127 = 10160.
 */
export function prepare_fields(q: usize, panel: usize, byteCols: i32): void {
  const end = q + (<usize>byteCols << 3);
  if (ASC_FEATURE_RELAXED_SIMD) {
    memory.copy(panel, q, <usize>byteCols << 3);
  } else {
    const times = hidden(i16x8(64, 64, 64, 64, 16, 16, 16, 16), byteCols), zero = i16x8.splat(0);
    for (; q < end; q += 16) {
      const v = v128.load8x8_s(q), w = v128.load8x8_s(q + 8);
      const a = v128.shuffle<i16>(v, v, 0, 2, 1, 3, 4, 6, 5, 7), b = v128.shuffle<i16>(w, w, 0, 2, 1, 3, 4, 6, 5, 7);
      const beforeA = v128.shuffle<i64>(zero, a, 0, 2), beforeB = v128.shuffle<i64>(a, b, 1, 2);
      v128.store(panel, i16x8.mul(i16x8.sub(a, i16x8.shl(beforeA, 2)), times));
      v128.store(panel, i16x8.mul(i16x8.sub(b, i16x8.shl(beforeB, 2)), i16x8.shr_u(times, 4)), 16);
      panel += 32;
    }
  }
}

/** gemv with int16 codes: int16 in natural order. */
export function prepare_wide(q: usize, panel: usize, byteCols: i32): void {
  const end = q + (<usize>byteCols << 3);
  for (; q < end; q += 8) {
    v128.store(panel, v128.load8x8_s(q));
    panel += 16;
  }
}

/** gemv of trellis codes, whose parts are pairs of int16 (trellis/README.md): each column twice. */
export function prepare_twice(q: usize, panel: usize, byteCols: i32): void {
  const end = q + (<usize>byteCols << 3);
  for (; q < end; q += 8) {
    const v = v128.load8x8_s(q);
    v128.store(panel, v128.shuffle<i16>(v, v, 0, 0, 1, 1, 2, 2, 3, 3));
    v128.store(panel, v128.shuffle<i16>(v, v, 4, 4, 5, 5, 6, 6, 7, 7), 16);
    panel += 32;
  }
}

/**
 * gemv of 8-bit codes, two of which make an int16 (words8 in uniform.ts): int16, for each 4 columns x0, x2, x1 - 256·x0,
 * x3 - 256·x2. With sums, as prepare_sums, but `sums` those of even columns; they are the ones to be centred.
 */
export function prepare_byte_pairs(
  q: usize, panel: usize, sums: usize, fsums: usize, byteCols: i32, groupByteCols: i32,
): void {
  const ones = hidden(i16x8.splat(1), byteCols), evens = hidden(i32x4.splat(1), byteCols);
  for (let group = 0; group < byteCols; group += groupByteCols) {
    const end = q + (<usize>min(groupByteCols, byteCols - group) << 3);
    let s = i32x4.splat(0), e = s;
    for (; q < end; q += 8) {
      const v = v128.load8x8_s(q), x = v128.shuffle<i16>(v, v, 0, 2, 1, 3, 4, 6, 5, 7);
      v128.store(panel, i16x8.sub(x, i16x8.shl(i64x2.shl(x, 32), 8)));
      s = i32x4.add(s, i32x4.dot_i16x8_s(v, ones));
      e = i32x4.add(e, i32x4.dot_i16x8_s(v, evens));
      panel += 16;
    }
    store<i32>(sums, sumLanes(e));
    store<f32>(fsums, <f32>sumLanes(s));
    sums += 4;
    fsums += 4;
  }
}

/**
 * gemm: two tokens step by step, 4 bytes of the first, 4 of the second. relaxed: 4 int8 columns a step, 16 bytes a
 * unit. simd128: as prepare_wide_pairs. A missing second token is q1 = q0.
 */
export function prepare_pairs(q0: usize, q1: usize, panel: usize, byteCols: i32): void {
  if (ASC_FEATURE_RELAXED_SIMD) {
    const end = q0 + (<usize>byteCols << 3);
    for (; q0 < end; q0 += 8) {
      v128.store(panel, v128.shuffle<i32>(v128.load64_zero(q0), v128.load64_zero(q1), 0, 4, 1, 5));
      q1 += 8;
      panel += 16;
    }
  } else {
    prepare_wide_pairs(q0, q1, panel, byteCols);
  }
}

/** gemm with int16 codes: 2 int16 columns a step, 32 bytes a unit; of each 4 columns 0 and 2 first, then 1 and 3. */
export function prepare_wide_pairs(q0: usize, q1: usize, panel: usize, byteCols: i32): void {
  const end = q0 + (<usize>byteCols << 3);
  for (; q0 < end; q0 += 8) {
    const a = v128.load8x8_s(q0), b = v128.load8x8_s(q1);
    v128.store(panel, v128.shuffle<i16>(a, b, 0, 2, 8, 10, 1, 3, 9, 11));
    v128.store(panel, v128.shuffle<i16>(a, b, 4, 6, 12, 14, 5, 7, 13, 15), 16);
    q1 += 8;
    panel += 32;
  }
}
