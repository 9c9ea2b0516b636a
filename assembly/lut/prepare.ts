// Prepare: from the activations of one token to lookup tables. O(cols); runs once a call, whatever the rows.
//
// A table belongs to 4 neighbouring columns and is indexed by 4 sign bits: entry i = Σ_j (bit j of i ? +x_j : -x_j).
// Columns come in bytes of 8, so tables come in pairs: "low" for columns 0..3 of the byte, "high" for 4..7.
import { hidden, lookup } from "../lib/simd";

/**
 * Byte columns whose lut8 sums fit int32. Sums of blocks are weighted by integers up to LUT8_WEIGHT: 4096 byte columns ·
 * 2·127 · 2047 = 2129666048 < 2^31 for two planes (and 255 for the biased bytes of one).
 */
export const LUT8_SEGMENT: i32 = 4096;
const LUT8_WEIGHT: f32 = 2047;

/**
 * Byte columns that share a lut8 step, in a row of `byteCols`: 64, 128 or 256 columns, or a scale group if that is less.
 * Coarser blocks flush less often and have larger steps; with many of them the error of a token stays as near its mean.
 */
// @ts-ignore: decorator
@inline
export function lut8Block(byteCols: i32): i32 {
  return byteCols < 64 ? 8 : byteCols < 512 ? 16 : 32;
}

/**
 * x = INT8_BASE·h + l with h = round(x / 9), so |h| <= 14 and |l| <= 4 for |x| <= 127. A base of 9 and not 8, because
 * then two tables of h can be added in 8 bits: 2·4·14 = 112 <= 127, where base 8 would give 2·4·16 = 128.
 */
export const INT8_BASE: i32 = 9;

/**
 * max |x| over n floats, n a multiple of 8; Infinity or NaN if there is one. The bits of positive floats are ordered
 * like the floats, with NaN at the top, and an integer maximum is one instruction where a float maximum is six.
 */
export function absmax(x: usize, n: i32): f32 {
  const magnitude = hidden(i32x4.splat(0x7fffffff), n);
  let a = i32x4.splat(0), b = a;
  const end = x + (<usize>n << 2);
  for (; x < end; x += 32) {
    a = i32x4.max_s(a, v128.and(v128.load(x), magnitude));
    b = i32x4.max_s(b, v128.and(v128.load(x, 16), magnitude));
  }
  return reinterpret<f32>(maxLane(i32x4.max_s(a, b)));
}

// @ts-ignore: decorator
@inline
function maxLane(v: v128): i32 {
  const half = i32x4.max_s(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1));
  return i32x4.extract_lane(i32x4.max_s(half, v128.shuffle<i32>(half, half, 1, 0, 3, 2)), 0);
}

// Adding 1.5·2^23 (2^52) rounds a small float to the nearest integer, ties to even, and leaves that integer in two's
// complement in the low bits of the mantissa: cheaper than nearest and trunc_sat on every engine.
const ROUND_F32: f32 = 12582912;
const ROUND_F32_BITS: i32 = 0x4b400000;
export const ROUND_F64: f64 = 6755399441055744;

/**
 * x·r rounded half to even for 8 floats at x, as int16; |x·r| <= 127; magic = ROUND_F64.
 * In float64, so that the result is the one that plain JavaScript numbers give, for denormals and extremes too.
 */
// @ts-ignore: decorator
@inline
export function quantize8(x: usize, r: v128, magic: v128): v128 {
  const a = v128.load(x), b = v128.load(x, 16);
  const q0 = f64x2.add(f64x2.mul(f64x2.promote_low_f32x4(a), r), magic);
  const q1 = f64x2.add(f64x2.mul(f64x2.promote_low_f32x4(v128.shuffle<f64>(a, a, 1, 0)), r), magic);
  const q2 = f64x2.add(f64x2.mul(f64x2.promote_low_f32x4(b), r), magic);
  const q3 = f64x2.add(f64x2.mul(f64x2.promote_low_f32x4(v128.shuffle<f64>(b, b, 1, 0)), r), magic);
  return i16x8.narrow_i32x4_s(v128.shuffle<i32>(q0, q1, 0, 2, 4, 6), v128.shuffle<i32>(q2, q3, 0, 2, 4, 6));
}

// The 16 sums ±v0 ±v1 ±v2 ±v3 of four int8 values at p. -v is (v ^ -1) + 1: m0..m3 are -1 in the entries whose index
// bit is clear, and `correction` is the number of clear bits, with any bias on top.
// @ts-ignore: decorator
@inline
export function signedSums(p: usize, m0: v128, m1: v128, m2: v128, m3: v128, correction: v128): v128 {
  const v0 = v128.xor(v128.load8_splat(p), m0);
  const v1 = v128.xor(v128.load8_splat(p, 1), m1);
  const v2 = v128.xor(v128.load8_splat(p, 2), m2);
  const v3 = v128.xor(v128.load8_splat(p, 3), m3);
  return i8x16.add(i8x16.add(i8x16.add(v0, v1), i8x16.add(v2, v3)), correction);
}

/**
 * Tables of exact int8 activations, 64 bytes a byte column: h low, h high, l low, l high (see INT8_BASE).
 * `bias` (0 or 128) is added to every entry of "h high" modulo 256, so that low + high is an unsigned byte.
 */
// @ts-ignore: decorator
@inline
export function prepareInt8(x: usize, tables: usize, byteCols: i32, r: f64, bias: i32): void {
  const rr = f64x2.splat(r), magic = hidden(f64x2.splat(ROUND_F64), byteCols);
  const m0 = hidden(i8x16(-1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0), byteCols);
  const m1 = hidden(i8x16(-1, -1, 0, 0, -1, -1, 0, 0, -1, -1, 0, 0, -1, -1, 0, 0), byteCols);
  const m2 = hidden(i8x16(-1, -1, -1, -1, 0, 0, 0, 0, -1, -1, -1, -1, 0, 0, 0, 0), byteCols);
  const m3 = hidden(i8x16(-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0), byteCols);
  const clear = hidden(i8x16(4, 3, 3, 2, 3, 2, 2, 1, 3, 2, 2, 1, 2, 1, 1, 0), byteCols); // clear bits of the index
  const clearBiased = i8x16.add(clear, i8x16.splat(<i8>bias));
  const ninth = hidden(i16x8.splat(57), byteCols), half = hidden(i16x8.splat(256), byteCols);
  const base = hidden(i16x8.splat(<i16>INT8_BASE), byteCols);
  for (let c = 0; c < byteCols; c++) {
    const q = quantize8(x, rr, magic);
    // The bytes wait in the space of the last table of this byte column until the tables are made from them.
    const s = tables + 48;
    v128.store(s, splitInt8(q, ninth, half, base));
    const h0 = signedSums(s, m0, m1, m2, m3, clear), h1 = signedSums(s + 4, m0, m1, m2, m3, clearBiased);
    const l0 = signedSums(s + 8, m0, m1, m2, m3, clear), l1 = signedSums(s + 12, m0, m1, m2, m3, clear);
    v128.store(tables, h0);
    v128.store(tables, h1, 16);
    v128.store(tables, l0, 32);
    v128.store(tables, l1, 48);
    x += 32;
    tables += 64;
  }
}

/**
 * The parts of 8 int16 values q of at most 127: h in the first 8 bytes, l in the last. ninth = 57, half = 256, base =
 * INT8_BASE: floor((57 q + 256) / 512) = round(q / 9), because 57/512 is 1/9 within 0.2 % and ties do not occur.
 */
// @ts-ignore: decorator
@inline
export function splitInt8(q: v128, ninth: v128, half: v128, base: v128): v128 {
  const h = i16x8.shr_s(i16x8.add(i16x8.mul(q, ninth), half), 9);
  return i8x16.narrow_i16x8_s(h, i16x8.sub(q, i16x8.mul(h, base)));
}

// Sums of the first two columns in v, with signs from s0 and s1: lane i has those of index bits 0 and 1 of i.
// @ts-ignore: decorator
@inline
function lowSums(v: v128, s0: v128, s1: v128): v128 {
  const a = v128.xor(v128.shuffle<f32>(v, v, 0, 0, 0, 0), s0);
  return f32x4.add(a, v128.xor(v128.shuffle<f32>(v, v, 1, 1, 1, 1), s1));
}
// @ts-ignore: decorator
@inline
function highSums(v: v128, s0: v128, s1: v128): v128 {
  const a = v128.xor(v128.shuffle<f32>(v, v, 2, 2, 2, 2), s0);
  return f32x4.add(a, v128.xor(v128.shuffle<f32>(v, v, 3, 3, 3, 3), s1));
}
// Sign bits of -v in the lanes whose index bit 0 (bit 1) is clear.
// @ts-ignore: decorator
@inline
function signs0(hide: i32): v128 {
  return hidden(i32x4(<i32>0x80000000, 0, <i32>0x80000000, 0), hide);
}
// @ts-ignore: decorator
@inline
function signs1(hide: i32): v128 {
  return hidden(i32x4(<i32>0x80000000, <i32>0x80000000, 0, 0), hide);
}

// The table of four columns, int16 values at p in units of 1/256: (±v0 ±v1 ±v2 ±v3 + ½) >> 8. -v is (v ^ -1) + 1: m0, m1,
// m2 are -1 in the lanes whose index bit is clear; `half` is ½ and the ones this leaves out. Lanes 0..7 are the entries
// without column 3, which is then subtracted and added.
// @ts-ignore: decorator
@inline
function roundedTable(p: usize, m0: v128, m1: v128, m2: v128, half: v128): v128 {
  const v0 = v128.xor(v128.load16_splat(p), m0), v1 = v128.xor(v128.load16_splat(p, 2), m1);
  const v2 = v128.xor(v128.load16_splat(p, 4), m2), v3 = v128.load16_splat(p, 6);
  const v = i16x8.add(i16x8.add(v0, v1), i16x8.add(v2, half));
  return i8x16.narrow_i16x8_s(i16x8.shr_s(i16x8.sub(v, v3), 8), i16x8.shr_s(i16x8.add(v, v3), 8));
}

// max over byte columns of Σ|x·p| (8 columns), for the floats from x to end.
// @ts-ignore: decorator
@inline
function largestSum(x: usize, end: usize, p: v128, magnitude: v128): f32 {
  let m = i32x4.splat(0); // positive floats are ordered like their bits
  do {
    const a = v128.and(f32x4.mul(v128.load(x), p), magnitude);
    const b = v128.and(f32x4.mul(v128.load(x, 16), p), magnitude);
    let s = f32x4.add(a, b);
    s = f32x4.add(s, v128.shuffle<f32>(s, s, 2, 3, 0, 1));
    m = i32x4.max_s(m, f32x4.add(s, v128.shuffle<f32>(s, s, 1, 0, 3, 2)));
    x += 32;
  } while (x < end);
  return f32x4.extract_lane(m, 0);
}

/**
 * lut8 tables, 32 bytes a byte column (low, high), and steps: the token's unit (float32), then a weight (int32) for each
 * block of each scale group. A block's step is weight · unit, the least that is no less than M / 126, where M is the
 * largest Σ|x| of a byte column in it. Entries are Σ±x / step, x first rounded to 1/256 of a step and the sum then to a
 * whole one: the absolute values of a low and a high entry add up to at most 126 + 8/512 + 2/2 < 128, so their sum is an
 * int8; and 256·126 + 4/2 + 128 = 32386 is an int16. Halves are rounded up in low and down in high tables: one in 256
 * sums is a tie, and rounding all of them up would add up to as much as all other errors together. `bias` as in
 * prepareInt8. `p` is the power of two that brings max |x| of the token near 1. `size`: byte columns of a block. The
 * tables of a byte column are tableBytes after those of the one before.
 */
// @ts-ignore: decorator
@inline
export function prepareLut8(
  x: usize, tables: usize, steps: usize, byteCols: i32, groupByteCols: i32, p: f32, bias: i32, size: i32, tableBytes: usize,
): void {
  const pp = f32x4.splat(p), flip = hidden(i8x16.splat(<i8>bias), byteCols);
  const magnitude = hidden(i32x4.splat(0x7fffffff), byteCols);
  const magic = hidden(f32x4.splat(ROUND_F32), byteCols), bits = hidden(i32x4.splat(ROUND_F32_BITS), byteCols);
  const m0 = hidden(i16x8(-1, 0, -1, 0, -1, 0, -1, 0), byteCols);
  const m1 = hidden(i16x8(-1, -1, 0, 0, -1, -1, 0, 0), byteCols);
  const m2 = hidden(i16x8(-1, -1, -1, -1, 0, 0, 0, 0), byteCols);
  const halfUp = hidden(i16x8(131, 130, 130, 129, 130, 129, 129, 128), byteCols);
  const halfDown = i16x8.sub(halfUp, i16x8.splat(1));
  let largest: f32 = 0, at = steps + 4, from = x;
  for (let group = 0; group < byteCols; group += groupByteCols) {
    const groupEnd = min(group + groupByteCols, byteCols);
    for (let block = group; block < groupEnd; block += size) {
      const end = from + (<usize>min(size, groupEnd - block) << 5);
      const m = largestSum(from, end, pp, magnitude);
      store<f32>(at, m);
      largest = max(largest, m);
      from = end;
      at += 4;
    }
  }
  const unit = largest / <f32>126 / LUT8_WEIGHT;
  store<f32>(steps, unit);
  at = steps + 4;
  for (let group = 0; group < byteCols; group += groupByteCols) {
    const groupEnd = min(group + groupByteCols, byteCols);
    for (let block = group; block < groupEnd; block += size) {
      const end = x + (<usize>min(size, groupEnd - block) << 5);
      const share = largest == 0 ? <f32>0 : ceil<f32>(load<f32>(at) * LUT8_WEIGHT / largest);
      const weight = min(max(share, <f32>1), LUT8_WEIGHT);
      store<i32>(at, <i32>weight);
      at += 4;
      const inverse = f32x4.splat(largest == 0 ? <f32>0 : <f32>256 / (weight * unit));
      do {
        const low = f32x4.add(f32x4.mul(f32x4.mul(v128.load(x), pp), inverse), magic);
        const high = f32x4.add(f32x4.mul(f32x4.mul(v128.load(x, 16), pp), inverse), magic);
        // The 16-bit values wait in the space of the table that is made last.
        v128.store(tables, i16x8.narrow_i32x4_s(i32x4.sub(low, bits), i32x4.sub(high, bits)), 16);
        const lowTable = roundedTable(tables + 16, m0, m1, m2, halfUp);
        const highTable = roundedTable(tables + 24, m0, m1, m2, halfDown);
        v128.store(tables, lowTable);
        v128.store(tables, v128.xor(highTable, flip), 16);
        x += 32;
        tables += tableBytes;
      } while (x < end);
    }
  }
}

/**
 * sums[group] = Σ x·p over its columns as float32: even and odd columns are summed apart in float64, then together. What
 * an offset of the weights is multiplied by.
 */
export function prepare_float_sums(x: usize, sums: usize, byteCols: i32, groupByteCols: i32, p: f32): void {
  const pp = f32x4.splat(p);
  for (let group = 0; group < byteCols; group += groupByteCols) {
    let s = f64x2.splat(0);
    const end = x + (<usize>min(groupByteCols, byteCols - group) << 5);
    do {
      const v = f32x4.mul(v128.load(x), pp);
      s = f64x2.add(s, f64x2.promote_low_f32x4(v));
      s = f64x2.add(s, f64x2.promote_low_f32x4(v128.shuffle<f64>(v, v, 1, 0)));
      x += 16;
    } while (x < end);
    store<f32>(sums, <f32>(f64x2.extract_lane(s, 0) + f64x2.extract_lane(s, 1)));
    sums += 4;
  }
}

// The lowest `count` bytes of the 16 entries e0 … e3 as `count` tables, `step` bytes apart; deal = 0 4 8 12 1 5 9 13 …
// @ts-ignore: decorator
@inline
function dealBytes(e0: v128, e1: v128, e2: v128, e3: v128, out: usize, step: usize, count: i32, deal: v128): void {
  // A 4 x 4 transpose of bytes in each vector, then of 32-bit words across the four.
  const d0 = lookup(e0, deal), d1 = lookup(e1, deal), d2 = lookup(e2, deal), d3 = lookup(e3, deal);
  const t0 = v128.shuffle<i32>(d0, d1, 0, 4, 1, 5), t1 = v128.shuffle<i32>(d2, d3, 0, 4, 1, 5);
  const t2 = v128.shuffle<i32>(d0, d1, 2, 6, 3, 7), t3 = v128.shuffle<i32>(d2, d3, 2, 6, 3, 7);
  v128.store(out, v128.shuffle<i64>(t0, t1, 0, 2));
  v128.store(out + step, v128.shuffle<i64>(t0, t1, 1, 3));
  v128.store(out + 2 * step, v128.shuffle<i64>(t2, t3, 0, 2));
  if (count == 4) v128.store(out + 3 * step, v128.shuffle<i64>(t2, t3, 1, 3));
}

// The four bytes of 16 float32 entries at out.
// @ts-ignore: decorator
@inline
function byteTables(z: v128, out: usize, s0: v128, s1: v128, deal: v128): void {
  const low = lowSums(z, s0, s1), high = highSums(z, s0, s1);
  dealBytes(
    f32x4.add(low, v128.shuffle<f32>(high, high, 0, 0, 0, 0)), f32x4.add(low, v128.shuffle<f32>(high, high, 1, 1, 1, 1)),
    f32x4.add(low, v128.shuffle<f32>(high, high, 2, 2, 2, 2)), f32x4.add(low, v128.shuffle<f32>(high, high, 3, 3, 3, 3)),
    out, 16, 4, deal,
  );
}

/** float32 tables, 128 bytes a byte column: four byte tables for the low nibble, four for the high. p as above. */
export function prepare_f32(x: usize, tables: usize, byteCols: i32, p: f32): void {
  const pp = f32x4.splat(p), s0 = signs0(byteCols), s1 = signs1(byteCols);
  const deal = hidden(i8x16(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), byteCols);
  for (let c = 0; c < byteCols; c++) {
    byteTables(f32x4.mul(v128.load(x), pp), tables, s0, s1, deal);
    byteTables(f32x4.mul(v128.load(x, 16), pp), tables + 64, s0, s1, deal);
    x += 32;
    tables += 128;
  }
}

// ±v, negative in the lanes where m is -1.
// @ts-ignore: decorator
@inline
function signed(v: v128, m: v128): v128 {
  return i32x4.sub(v128.xor(v, m), m);
}

// Three bytes of the 16 biased sums of four integers, 32 bytes apart at out.
// @ts-ignore: decorator
@inline
function fixedTables(v: v128, out: usize, m0: v128, m1: v128, bias: v128, deal: v128): void {
  let low = i32x4.add(bias, signed(v128.shuffle<i32>(v, v, 0, 0, 0, 0), m0));
  low = i32x4.add(low, signed(v128.shuffle<i32>(v, v, 1, 1, 1, 1), m1));
  let high = signed(v128.shuffle<i32>(v, v, 2, 2, 2, 2), m0);
  high = i32x4.add(high, signed(v128.shuffle<i32>(v, v, 3, 3, 3, 3), m1));
  dealBytes(
    i32x4.add(low, v128.shuffle<i32>(high, high, 0, 0, 0, 0)), i32x4.add(low, v128.shuffle<i32>(high, high, 1, 1, 1, 1)),
    i32x4.add(low, v128.shuffle<i32>(high, high, 2, 2, 2, 2)), i32x4.add(low, v128.shuffle<i32>(high, high, 3, 3, 3, 3)),
    out, 32, 3, deal,
  );
}

/** Four floats at x, times r, rounded half to even to int32; |x·r| < 2^31; magic = ROUND_F64. */
// @ts-ignore: decorator
@inline
function quantize32(x: usize, r: v128, magic: v128): v128 {
  const a = v128.load(x);
  const q0 = f64x2.add(f64x2.mul(f64x2.promote_low_f32x4(a), r), magic);
  const q1 = f64x2.add(f64x2.mul(f64x2.promote_low_f32x4(v128.shuffle<f64>(a, a, 1, 0)), r), magic);
  return v128.shuffle<i32>(q0, q1, 0, 2, 4, 6);
}

/**
 * Tables of fixed-point activations, 96 bytes a byte column: X = x·r rounded half to even, |X| < 2^21, so that a sum of four
 * and FIXED_BIAS lies in 0..2^24 - 1. Its lowest byte for the low and the high nibble, then the middle one, then the
 * highest.
 */
export function prepare_fixed(x: usize, tables: usize, byteCols: i32, r: f64): void {
  const rr = f64x2.splat(r), magic = hidden(f64x2.splat(ROUND_F64), byteCols);
  const m0 = hidden(i32x4(-1, 0, -1, 0), byteCols), m1 = hidden(i32x4(-1, -1, 0, 0), byteCols);
  const bias = hidden(i32x4.splat(FIXED_BIAS), byteCols);
  const deal = hidden(i8x16(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), byteCols);
  for (let c = 0; c < byteCols; c++) {
    fixedTables(quantize32(x, rr, magic), tables, m0, m1, bias, deal);
    fixedTables(quantize32(x + 16, rr, magic), tables + 16, m0, m1, bias, deal);
    x += 32;
    tables += 96;
  }
}

/** What is added to the sums of four fixed-point activations: 2^23 > 4·(2^21 - 1). */
const FIXED_BIAS: i32 = 8388608;
