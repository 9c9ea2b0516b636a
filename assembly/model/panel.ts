// What codes meet: numbers times the scales of a strip, rounded to int8 by the largest of them.
import { hidden } from "../lib/simd";

/** Added to a float32 of at most 2^22, leaves it rounded to the nearest, ties to even, in the low bits. */
// @ts-ignore: decorator
@inline
function roundingBits(): v128 {
  return f32x4.splat(12582912);
}

// @ts-ignore: decorator
@inline
function largestLane(v: v128): f32 {
  v = f32x4.pmax(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.pmax(v, v128.shuffle<i32>(v, v, 1, 0, 3, 2)), 0);
}

/** Lanes 0 + 1, 2 + 3, then both. */
// @ts-ignore: decorator
@inline
export function sumOfLanes(v: v128): f32 {
  const a: f32 = f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1);
  return a + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

// Bits of 0 after rounding.
const ROUNDED: i32 = 0x4b400000;

// @ts-ignore: decorator
@inline
function wholeSum(v: v128): i32 {
  const a = i32x4.extract_lane(v, 0) + i32x4.extract_lane(v, 1);
  return a + (i32x4.extract_lane(v, 2) + i32x4.extract_lane(v, 3));
}

/** What numbers of at most `most` are multiplied by to be int8; 0 where that leaves float32, and for nothing but zeros. */
// @ts-ignore: decorator
@inline
function toBytes(most: f32): f32 {
  const r: f32 = 127 / most;
  return r < Infinity && most < Infinity ? r : 0;
}

// 16 rounded numbers as bytes in order, or in `wide` form as int16, of each four the order 0 2 1 3 (dots.ts).
// @ts-ignore: decorator
@inline
function putBytes(to: usize, a: v128, b: v128, c: v128, d: v128, mask: v128): void {
  const low = i16x8.narrow_i32x4_u(v128.and(a, mask), v128.and(b, mask));
  const high = i16x8.narrow_i32x4_u(v128.and(c, mask), v128.and(d, mask));
  v128.store(to, i8x16.narrow_i16x8_u(low, high));
}
// @ts-ignore: decorator
@inline
function putWide(to: usize, a: v128, b: v128, rounding: v128): void {
  const v = i16x8.narrow_i32x4_s(i32x4.sub(a, rounding), i32x4.sub(b, rounding));
  v128.store(to, v128.shuffle<i16>(v, v, 0, 2, 1, 3, 4, 6, 5, 7));
}

// `width` numbers times r, rounded, to a panel; returns their sum. They are eight apart in sixteens: those of two queries in turns.
// @ts-ignore: decorator
@inline
function putNumbers(from: usize, width: i32, r: f32, panel: usize, wide: bool): i32 {
  let sum = i32x4.splat(0);
  const rounding = hidden(roundingBits(), width), mask = hidden(i32x4.splat(255), width), f = f32x4.splat(r);
  for (const end = from + (<usize>width << 3); from < end; from += 128) {
    const a = f32x4.add(f32x4.mul(v128.load(from), f), rounding), b = f32x4.add(f32x4.mul(v128.load(from, 16), f), rounding);
    const c = f32x4.add(f32x4.mul(v128.load(from, 64), f), rounding), d = f32x4.add(f32x4.mul(v128.load(from, 80), f), rounding);
    sum = i32x4.add(i32x4.add(sum, i32x4.add(a, b)), i32x4.add(c, d));
    if (wide) {
      putWide(panel, a, b, rounding);
      putWide(panel + 16, c, d, rounding);
      panel += 32;
    } else {
      putBytes(panel, a, b, c, d, mask);
      panel += 16;
    }
  }
  return wholeSum(sum) - width * ROUNDED;
}

// @ts-ignore: decorator
@inline
function offsets(word: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.shl(word, 16), 16));
}

/**
 * The panels of one query [size] or two, that follow each other, for a strip of keys: q · s by channel, divided by `factor`. Leaves
 * at `numbers` factor · scale, ⟨q, offsets⟩ · scale and, int32, low · Σ panel of each.
 *
 * @param work float32 [width / 8][2][8], 0 where there is no channel: zeros are not written
 */
// @ts-ignore: decorator
@inline
export function queryPanel(
  q: usize, ranges: usize, size: i32, width: i32, unit: f32, low: i32, scale: f32, panel: usize, pStep: usize, work: usize, numbers: usize,
  wide: bool, two: bool,
): void {
  const end = ranges + (<usize>size << 2), zero = f32x4.splat(0), start = work;
  const high = hidden(i32x4.splat(0xffff0000), size), positive = hidden(i32x4.splat(0x7fffffff), size);
  let most = zero, sum = zero, most2 = zero, sum2 = zero, other = q + (<usize>size << 2);
  for (; ranges + 16 < end; ranges += 32, q += 32, other += 32, work += 64) {
    let word = v128.load(ranges), s = v128.and(word, high), z = offsets(word), x = f32x4.mul(v128.load(q), s);
    v128.store(work, x);
    most = f32x4.pmax(most, v128.and(x, positive));
    sum = f32x4.add(sum, f32x4.mul(x, z));
    if (two) {
      x = f32x4.mul(v128.load(other), s);
      v128.store(work, x, 32);
      most2 = f32x4.pmax(most2, v128.and(x, positive));
      sum2 = f32x4.add(sum2, f32x4.mul(x, z));
    }
    word = v128.load(ranges, 16), s = v128.and(word, high), z = offsets(word), x = f32x4.mul(v128.load(q, 16), s);
    v128.store(work, x, 16);
    most = f32x4.pmax(most, v128.and(x, positive));
    sum = f32x4.add(sum, f32x4.mul(x, z));
    if (two) {
      x = f32x4.mul(v128.load(other, 16), s);
      v128.store(work, x, 48);
      most2 = f32x4.pmax(most2, v128.and(x, positive));
      sum2 = f32x4.add(sum2, f32x4.mul(x, z));
    }
  }
  if (ranges < end) {
    const word = v128.load(ranges), s = v128.and(word, high), z = offsets(word);
    let x = f32x4.mul(v128.load(q), s);
    v128.store(work, x);
    most = f32x4.pmax(most, v128.and(x, positive));
    sum = f32x4.add(sum, f32x4.mul(x, z));
    if (two) {
      x = f32x4.mul(v128.load(other), s);
      v128.store(work, x, 32);
      most2 = f32x4.pmax(most2, v128.and(x, positive));
      sum2 = f32x4.add(sum2, f32x4.mul(x, z));
    }
  }
  const largest = largestLane(most);
  store<f32>(numbers, largest / 127 * scale);
  store<f32>(numbers, sumOfLanes(sum) * unit * scale, 4);
  store<i32>(numbers, low * putNumbers(start, width, toBytes(largest), panel, wide), 8);
  if (two) {
    const largest2 = largestLane(most2);
    store<f32>(numbers, largest2 / 127 * scale, 12);
    store<f32>(numbers, sumOfLanes(sum2) * unit * scale, 16);
    store<i32>(numbers, low * putNumbers(start + 32, width, toBytes(largest2), panel + pStep, wide), 20);
  }
}

/**
 * The panels of weights of `strips` strips of 32 tokens: p · s by token, divided by a factor. Leaves at `factors` of each strip the
 * factor and, int32, low · Σ panel; returns ⟨p, offsets⟩.
 */
// @ts-ignore: decorator
@inline
export function weightPanel(
  p: usize, ranges: usize, strips: i32, unit: f32, low: i32, panel: usize, factors: usize, wide: bool,
): f32 {
  const high = hidden(i32x4.splat(0xffff0000), strips), rounding = hidden(roundingBits(), strips);
  const mask = hidden(i32x4.splat(255), strips);
  let sum = f32x4.splat(0);
  for (let strip = 0; strip < strips; strip++, p += 128, ranges += 128, factors += 8) {
    let most = f32x4.splat(0);
    for (let i: usize = 0; i < 128; i += 16) {
      const word = v128.load(ranges + i);
      const x = f32x4.mul(v128.load(p + i), v128.and(word, high));
      most = f32x4.pmax(most, x);
      sum = f32x4.add(sum, f32x4.mul(x, f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.shl(word, 16), 16))));
    }
    const largest = largestLane(most), r = f32x4.splat(toBytes(largest));
    store<f32>(factors, largest / 127);
    let whole = i32x4.splat(0);
    for (let i: usize = 0; i < 128; i += 64) {
      const at = p + i, from = ranges + i;
      const a = f32x4.add(f32x4.mul(f32x4.mul(v128.load(at), v128.and(v128.load(from), high)), r), rounding);
      const b = f32x4.add(f32x4.mul(f32x4.mul(v128.load(at, 16), v128.and(v128.load(from, 16), high)), r), rounding);
      const c = f32x4.add(f32x4.mul(f32x4.mul(v128.load(at, 32), v128.and(v128.load(from, 32), high)), r), rounding);
      const d = f32x4.add(f32x4.mul(f32x4.mul(v128.load(at, 48), v128.and(v128.load(from, 48), high)), r), rounding);
      whole = i32x4.add(i32x4.add(whole, i32x4.add(a, b)), i32x4.add(c, d));
      if (wide) {
        putWide(panel, a, b, rounding);
        putWide(panel + 16, c, d, rounding);
        panel += 32;
      } else {
        putBytes(panel, a, b, c, d, mask);
        panel += 16;
      }
    }
    store<i32>(factors, low * (wholeSum(whole) - 32 * ROUNDED), 4);
  }
  return sumOfLanes(sum) * unit;
}
