// Codes of 16 rows times a panel of int8: sums in 32 bits, exact. A vector holds 4 columns of 4 rows; of codes of fewer bits, 4
// columns in each field of its bytes. Three ways with the same sums: relaxed dot products with sums of 32 bits, or of pairs in 16
// bits where that is what the machine has; and columns 0 and 2, then 1 and 3, as int16, without relaxed operations.
import { hidden } from "../lib/simd";
import { dot_bits } from "../probe";

/** The ways. */
export const DOTS = 0, PAIRS = 1, WIDE = 2;

/** The way of this machine. */
// @ts-ignore: decorator
@inline
export function way(size: i32): i32 {
  if (!ASC_FEATURE_RELAXED_SIMD) return WIDE;
  return dot_bits(size >>> 31) == 32 ? DOTS : PAIRS;
}

/** Bytes of a panel of so many columns. */
// @ts-ignore: decorator
@inline
export function panelBytes(columns: i32, how: i32): usize {
  return <usize>columns << (how == WIDE ? 1 : 0);
}

// Field j of bytes.
// @ts-ignore: decorator
@inline
function field(codes: v128, mask: v128, bits: i32, j: i32): v128 {
  if (bits == 8) return codes;
  return v128.and(j > 0 ? i16x8.shr_u(codes, j * bits) : codes, mask);
}

// The operand that must lie in 0..127 is the second: codes of keys, weights of values.
// @ts-ignore: decorator
@inline
function pairs(codes: v128, x: v128, weights: bool): v128 {
  return weights ? i16x8.relaxed_dot_i8x16_i7x16_s(codes, x) : i16x8.relaxed_dot_i8x16_i7x16_s(x, codes);
}
// @ts-ignore: decorator
@inline
function dot(sum: v128, codes: v128, x: v128, weights: bool): v128 {
  return weights ? i32x4.relaxed_dot_i8x16_i7x16_add_s(codes, x, sum) : i32x4.relaxed_dot_i8x16_i7x16_add_s(x, codes, sum);
}

// sum + all fields of the words, the first of which meets x0.
// @ts-ignore: decorator
@inline
function bytes(
  sum: v128, codes: v128, x0: v128, x1: v128, x2: v128, x3: v128, mask: v128, ones: v128, bits: i32, how: i32, weights: bool,
): v128 {
  if (how == PAIRS) {
    let s = pairs(field(codes, mask, bits, 0), x0, weights);
    if (bits < 8) s = i16x8.add(s, pairs(field(codes, mask, bits, 1), x1, weights));
    if (bits < 4) {
      s = i16x8.add(s, pairs(field(codes, mask, bits, 2), x2, weights));
      s = i16x8.add(s, pairs(field(codes, mask, bits, 3), x3, weights));
    }
    return i32x4.add(sum, i32x4.dot_i16x8_s(s, ones));
  }
  sum = dot(sum, field(codes, mask, bits, 0), x0, weights);
  if (bits < 8) sum = dot(sum, field(codes, mask, bits, 1), x1, weights);
  if (bits < 4) {
    sum = dot(sum, field(codes, mask, bits, 2), x2, weights);
    sum = dot(sum, field(codes, mask, bits, 3), x3, weights);
  }
  return sum;
}

// The same of int16: columns 0 and 2 of a field meet the first four bytes of the panel, 1 and 3 the next.
// @ts-ignore: decorator
@inline
function wideField(sum: v128, codes: v128, panel: usize, mask: v128, bits: i32, j: i32, weights: bool): v128 {
  let even: v128, odd: v128;
  if (bits == 8 && weights) {
    even = i16x8.shr_s(i16x8.shl(codes, 8), 8);
    odd = i16x8.shr_s(codes, 8);
  } else {
    even = v128.and(j > 0 ? i16x8.shr_u(codes, j * bits) : codes, mask);
    odd = i16x8.shr_u(codes, 8 + j * bits);
    if ((j + 1) * bits < 8) odd = v128.and(odd, mask);
  }
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(even, v128.load32_splat(panel + (j << 3))));
  return i32x4.add(sum, i32x4.dot_i16x8_s(odd, v128.load32_splat(panel + (j << 3), 4)));
}
// @ts-ignore: decorator
@inline
function wide(sum: v128, codes: v128, panel: usize, mask: v128, bits: i32, weights: bool): v128 {
  sum = wideField(sum, codes, panel, mask, bits, 0, weights);
  if (bits < 8) sum = wideField(sum, codes, panel, mask, bits, 1, weights);
  if (bits < 4) {
    sum = wideField(sum, codes, panel, mask, bits, 2, weights);
    sum = wideField(sum, codes, panel, mask, bits, 3, weights);
  }
  return sum;
}

// score = sum · factor + base
// @ts-ignore: decorator
@inline
function score(to: usize, numbers: usize, a0: v128, a1: v128, a2: v128, a3: v128): void {
  const f = v128.load32_splat(numbers), base = v128.load32_splat(numbers, 4);
  v128.store(to, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(a0), f), base));
  v128.store(to, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(a1), f), base), 16);
  v128.store(to, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(a2), f), base), 32);
  v128.store(to, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(a3), f), base), 48);
}
// total += sum · factor
// @ts-ignore: decorator
@inline
function gather(to: usize, factor: usize, a0: v128, a1: v128, a2: v128, a3: v128): void {
  const f = v128.load32_splat(factor);
  v128.store(to, f32x4.add(v128.load(to), f32x4.mul(f32x4.convert_i32x4_s(a0), f)));
  v128.store(to, f32x4.add(v128.load(to, 16), f32x4.mul(f32x4.convert_i32x4_s(a1), f)), 16);
  v128.store(to, f32x4.add(v128.load(to, 32), f32x4.mul(f32x4.convert_i32x4_s(a2), f)), 32);
  v128.store(to, f32x4.add(v128.load(to, 48), f32x4.mul(f32x4.convert_i32x4_s(a3), f)), 48);
}

/**
 * Sums of 16 rows: codes · panel of `words` words a row, for one panel or two, `pStep` bytes apart. Of keys to[row] = sum · factor +
 * base; of values to[row] += sum · factor. factor, base and what a sum begins with (panel.ts) are beside each other. Results and
 * numbers of the second are `toStep` and `nStep` bytes further.
 *
 * @param weights whether codes are values (8 bits: int8) and the panel is weights, from 0 to 127; else codes are keys, from 0 to 127
 * @param positive what Binaryen does not know (hidden)
 */
// @ts-ignore: decorator
@inline
export function dots(
  codes: usize, words: i32, panel: usize, pStep: usize, to: usize, toStep: usize, numbers: usize, nStep: usize, bits: i32, how: i32,
  two: bool, weights: bool, positive: i32,
): void {
  const zero = i32x4.splat(0), end = codes + (<usize>words << 6), step = panelBytes(32 / bits, how);
  const most: i32 = (1 << bits) - 1;
  const mask = hidden(how == WIDE ? i16x8.splat(<i16>most) : i8x16.splat(<i8>most), positive), ones = hidden(i16x8.splat(1), positive);
  const first = numbers + (weights ? 4 : 8), signed = weights && bits == 8;
  const a = signed ? zero : v128.load32_splat(first), b = signed || !two ? zero : v128.load32_splat(first + nStep);
  let a0 = a, a1 = a, a2 = a, a3 = a, b0 = b, b1 = b, b2 = b, b3 = b;
  do {
    if (!ASC_FEATURE_RELAXED_SIMD || how == WIDE) {
      const c0 = v128.load(codes), c1 = v128.load(codes, 16), c2 = v128.load(codes, 32), c3 = v128.load(codes, 48);
      a0 = wide(a0, c0, panel, mask, bits, weights);
      a1 = wide(a1, c1, panel, mask, bits, weights);
      a2 = wide(a2, c2, panel, mask, bits, weights);
      a3 = wide(a3, c3, panel, mask, bits, weights);
      if (two) {
        const q = panel + pStep;
        b0 = wide(b0, c0, q, mask, bits, weights);
        b1 = wide(b1, c1, q, mask, bits, weights);
        b2 = wide(b2, c2, q, mask, bits, weights);
        b3 = wide(b3, c3, q, mask, bits, weights);
      }
    } else {
      const x0 = v128.load32_splat(panel), x1 = bits < 8 ? v128.load32_splat(panel, 4) : x0;
      const x2 = bits < 4 ? v128.load32_splat(panel, 8) : x0, x3 = bits < 4 ? v128.load32_splat(panel, 12) : x0;
      const q = two ? panel + pStep : panel;
      const y0 = two ? v128.load32_splat(q) : x0, y1 = bits < 8 ? v128.load32_splat(q, 4) : y0;
      const y2 = bits < 4 ? v128.load32_splat(q, 8) : y0, y3 = bits < 4 ? v128.load32_splat(q, 12) : y0;
      let c = v128.load(codes);
      a0 = bytes(a0, c, x0, x1, x2, x3, mask, ones, bits, how, weights);
      if (two) b0 = bytes(b0, c, y0, y1, y2, y3, mask, ones, bits, how, weights);
      c = v128.load(codes, 16);
      a1 = bytes(a1, c, x0, x1, x2, x3, mask, ones, bits, how, weights);
      if (two) b1 = bytes(b1, c, y0, y1, y2, y3, mask, ones, bits, how, weights);
      c = v128.load(codes, 32);
      a2 = bytes(a2, c, x0, x1, x2, x3, mask, ones, bits, how, weights);
      if (two) b2 = bytes(b2, c, y0, y1, y2, y3, mask, ones, bits, how, weights);
      c = v128.load(codes, 48);
      a3 = bytes(a3, c, x0, x1, x2, x3, mask, ones, bits, how, weights);
      if (two) b3 = bytes(b3, c, y0, y1, y2, y3, mask, ones, bits, how, weights);
    }
    codes += 64;
    panel += step;
  } while (codes < end);
  if (weights) {
    gather(to, numbers, a0, a1, a2, a3);
    if (two) gather(to + toStep, numbers + nStep, b0, b1, b2, b3);
  } else {
    score(to, numbers, a0, a1, a2, a3);
    if (two) score(to + toStep, numbers + nStep, b0, b1, b2, b3);
  }
}
