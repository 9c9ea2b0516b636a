// Prepare: from the activations of one token to lookup tables. O(cols); runs once a call, whatever the rows.
//
// A table belongs to 4 neighbouring columns and is indexed by 4 sign bits: entry i = Σ_j (bit j of i ? +x_j : -x_j).
// Columns come in bytes of 8, so tables come in pairs: "low" for columns 0..3 of the byte, "high" for 4..7.

/** Byte columns that share one lut8 step: 512 columns. Finer blocks cost flushes, coarser ones precision. */
export const LUT8_BLOCK: i32 = 64;

/**
 * x = INT8_BASE·h + l with h = round(x / 9), so |h| <= 14 and |l| <= 4 for |x| <= 127. A base of 9 and not 8, because
 * then two tables of h can be added in 8 bits: 2·4·14 = 112 <= 127, where base 8 would give 2·4·16 = 128.
 */
export const INT8_BASE: i32 = 9;

// The sign of each entry for column 0..3 of the nibble, as a byte mask: 0xff where bit j of the index is clear.
// @ts-ignore: decorator
@inline
function negative(column: i32): v128 {
  if (column == 0) return i8x16(-1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0);
  if (column == 1) return i8x16(-1, -1, 0, 0, -1, -1, 0, 0, -1, -1, 0, 0, -1, -1, 0, 0);
  if (column == 2) return i8x16(-1, -1, -1, -1, 0, 0, 0, 0, -1, -1, -1, -1, 0, 0, 0, 0);
  return i8x16(-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0);
}

/** max |x| over n floats, n a multiple of 8. NaN if there is one, Infinity if there is one and no NaN. */
export function absmax(x: usize, n: i32): f32 {
  let a = f32x4.splat(0), b = a;
  const end = x + (<usize>n << 2);
  for (; x < end; x += 32) {
    a = f32x4.max(a, f32x4.abs(v128.load(x)));
    b = f32x4.max(b, f32x4.abs(v128.load(x, 16)));
  }
  a = f32x4.max(a, b);
  return max(
    max(f32x4.extract_lane(a, 0), f32x4.extract_lane(a, 1)),
    max(f32x4.extract_lane(a, 2), f32x4.extract_lane(a, 3)),
  );
}

// Adding 1.5·2^23 (2^52) rounds a small float to the nearest integer, ties to even, and leaves that integer in two's
// complement in the low bits of the mantissa: cheaper than nearest and trunc_sat on every engine.
const ROUND_F32: f32 = 12582912;
const ROUND_F64: f64 = 6755399441055744;

/**
 * q = x·r rounded half to even, as int8, for 8 floats at x; |x·r| <= 127.
 * In float64, so that the result is the one that plain JavaScript numbers give, for denormals and extremes too.
 */
// @ts-ignore: decorator
@inline
export function quantize8(x: usize, r: v128): v128 {
  const a = v128.load(x), b = v128.load(x, 16), magic = f64x2.splat(ROUND_F64);
  const q0 = f64x2.add(f64x2.mul(f64x2.promote_low_f32x4(a), r), magic);
  const q1 = f64x2.add(f64x2.mul(f64x2.promote_low_f32x4(v128.shuffle<f64>(a, a, 1, 0)), r), magic);
  const q2 = f64x2.add(f64x2.mul(f64x2.promote_low_f32x4(b), r), magic);
  const q3 = f64x2.add(f64x2.mul(f64x2.promote_low_f32x4(v128.shuffle<f64>(b, b, 1, 0)), r), magic);
  const q01 = v128.shuffle<i16>(q0, q1, 0, 4, 8, 12, 0, 0, 0, 0);
  const q23 = v128.shuffle<i16>(q2, q3, 0, 4, 8, 12, 0, 0, 0, 0);
  return v128.shuffle<i64>(q01, q23, 0, 2); // eight int16 lanes
}

// The 16 sums ±v0 ±v1 ±v2 ±v3 of four int8 values at p. -v is (v ^ -1) + 1; the ones that this leaves out are the
// number of clear index bits, added at the end with `bias` on top.
// @ts-ignore: decorator
@inline
function signedSums(p: usize, correction: v128): v128 {
  const v0 = v128.xor(v128.load8_splat(p), negative(0));
  const v1 = v128.xor(v128.load8_splat(p, 1), negative(1));
  const v2 = v128.xor(v128.load8_splat(p, 2), negative(2));
  const v3 = v128.xor(v128.load8_splat(p, 3), negative(3));
  return i8x16.add(i8x16.add(i8x16.add(v0, v1), i8x16.add(v2, v3)), correction);
}

/**
 * Tables of exact int8 activations, 64 bytes a byte column: h low, h high, l low, l high (see INT8_BASE).
 * `bias` (0 or 128) is added to every entry of "h high" modulo 256, so that low + high is an unsigned byte.
 */
// @ts-ignore: decorator
@inline
export function prepareInt8(x: usize, tables: usize, byteCols: i32, r: f64, bias: i32): void {
  const rr = f64x2.splat(r), base = i16x8.splat(<i16>INT8_BASE);
  const clear = i8x16(4, 3, 3, 2, 3, 2, 2, 1, 3, 2, 2, 1, 2, 1, 1, 0); // clear bits of the index
  const clearBiased = i8x16.add(clear, i8x16.splat(<i8>bias));
  for (let c = 0; c < byteCols; c++) {
    const q = quantize8(x, rr);
    // floor((57 q + 256) / 512) = round(q / 9) for |q| <= 127: 57/512 is 1/9 within 0.2 %, and ties do not occur.
    const h = i16x8.shr_s(i16x8.add(i16x8.mul(q, i16x8.splat(57)), i16x8.splat(256)), 9);
    const l = i16x8.sub(q, i16x8.mul(h, base));
    // The bytes wait in the space of the last table of this byte column until the tables are made from them.
    const s = tables + 48;
    v128.store(s, i8x16.narrow_i16x8_s(h, l));
    const h0 = signedSums(s, clear), h1 = signedSums(s + 4, clearBiased);
    const l0 = signedSums(s + 8, clear), l1 = signedSums(s + 12, clear);
    v128.store(tables, h0);
    v128.store(tables, h1, 16);
    v128.store(tables, l0, 32);
    v128.store(tables, l1, 48);
    x += 32;
    tables += 64;
  }
}

// Four vectors of sums for the four columns in v: lane i of vector k is entry 4k + i of the table.
// The order of additions, (±v0 ±v1) + (±v2 ±v3), is part of the lut8 contract.
// @ts-ignore: decorator
@inline
function lowSums(v: v128): v128 {
  const a = v128.xor(v128.shuffle<f32>(v, v, 0, 0, 0, 0), i32x4(<i32>0x80000000, 0, <i32>0x80000000, 0));
  const b = v128.xor(v128.shuffle<f32>(v, v, 1, 1, 1, 1), i32x4(<i32>0x80000000, <i32>0x80000000, 0, 0));
  return f32x4.add(a, b);
}
// @ts-ignore: decorator
@inline
function highSums(v: v128): v128 {
  return lowSums(v128.shuffle<f32>(v, v, 2, 3, 2, 3));
}

// The table of the four columns in z, rounded to int8.
// @ts-ignore: decorator
@inline
function roundedTable(z: v128): v128 {
  const low = lowSums(z), high = highSums(z), magic = f32x4.splat(ROUND_F32);
  const e0 = f32x4.add(f32x4.add(low, v128.shuffle<f32>(high, high, 0, 0, 0, 0)), magic);
  const e1 = f32x4.add(f32x4.add(low, v128.shuffle<f32>(high, high, 1, 1, 1, 1)), magic);
  const e2 = f32x4.add(f32x4.add(low, v128.shuffle<f32>(high, high, 2, 2, 2, 2)), magic);
  const e3 = f32x4.add(f32x4.add(low, v128.shuffle<f32>(high, high, 3, 3, 3, 3)), magic);
  const e01 = i8x16.shuffle(e0, e1, 0, 4, 8, 12, 16, 20, 24, 28, 0, 0, 0, 0, 0, 0, 0, 0);
  const e23 = i8x16.shuffle(e2, e3, 0, 4, 8, 12, 16, 20, 24, 28, 0, 0, 0, 0, 0, 0, 0, 0);
  return v128.shuffle<i64>(e01, e23, 0, 2);
}

/**
 * lut8 tables, 32 bytes a byte column (low, high), and one float32 step a block of LUT8_BLOCK byte columns.
 * In a block with M = max over its byte columns of Σ|x| (8 columns), entries are round(Σ± 126 x / M): the absolute
 * values of a low and a high entry then add up to at most 126 + 1 = 127 (each rounding adds at most 1/2), so their sum
 * is an int8. `bias` as in prepareInt8. `p` is the power of two that brings max |x| of the token near 1; a block below
 * 2^-100 of it counts as zero.
 */
// @ts-ignore: decorator
@inline
export function prepareLut8(
  x: usize, tables: usize, steps: usize, byteCols: i32, groupByteCols: i32, p: f32, bias: i32,
): void {
  const pp = f32x4.splat(p), flip = i8x16.splat(<i8>bias);
  for (let group = 0; group < byteCols; group += groupByteCols) {
    const groupEnd = min(group + groupByteCols, byteCols);
    for (let block = group; block < groupEnd; block += LUT8_BLOCK) {
      const end = x + (<usize>min(LUT8_BLOCK, groupEnd - block) << 5);
      let m = f32x4.splat(0);
      for (let q = x; q < end; q += 32) {
        let s = f32x4.add(f32x4.abs(f32x4.mul(v128.load(q), pp)), f32x4.abs(f32x4.mul(v128.load(q, 16), pp)));
        s = f32x4.add(s, v128.shuffle<f32>(s, s, 2, 3, 0, 1));
        m = f32x4.max(m, f32x4.add(s, v128.shuffle<f32>(s, s, 1, 0, 3, 2)));
      }
      const largest = f32x4.extract_lane(m, 0);
      const zero = largest < <f32>7.888609052210118e-31; // 2^-100
      const inverse = f32x4.splat(zero ? <f32>0 : <f32>126 / largest);
      store<f32>(steps, zero ? <f32>0 : largest / <f32>126);
      steps += 4;
      for (; x < end; x += 32) {
        v128.store(tables, roundedTable(f32x4.mul(f32x4.mul(v128.load(x), pp), inverse)));
        v128.store(tables, v128.xor(roundedTable(f32x4.mul(f32x4.mul(v128.load(x, 16), pp), inverse)), flip), 16);
        tables += 32;
      }
    }
  }
}

// The four bytes of 16 float32 entries, as four tables of bytes 0, 1, 2 and 3, at out.
// @ts-ignore: decorator
@inline
function byteTables(z: v128, out: usize): void {
  const low = lowSums(z), high = highSums(z);
  const e0 = f32x4.add(low, v128.shuffle<f32>(high, high, 0, 0, 0, 0));
  const e1 = f32x4.add(low, v128.shuffle<f32>(high, high, 1, 1, 1, 1));
  const e2 = f32x4.add(low, v128.shuffle<f32>(high, high, 2, 2, 2, 2));
  const e3 = f32x4.add(low, v128.shuffle<f32>(high, high, 3, 3, 3, 3));
  // A 4 x 4 transpose of bytes in each vector, then of 32-bit words across the four.
  const t0 = i8x16.shuffle(e0, e1, 0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
  const t1 = i8x16.shuffle(e2, e3, 0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
  const t2 = i8x16.shuffle(e0, e1, 2, 6, 10, 14, 18, 22, 26, 30, 3, 7, 11, 15, 19, 23, 27, 31);
  const t3 = i8x16.shuffle(e2, e3, 2, 6, 10, 14, 18, 22, 26, 30, 3, 7, 11, 15, 19, 23, 27, 31);
  v128.store(out, v128.shuffle<i64>(t0, t1, 0, 2));
  v128.store(out, v128.shuffle<i64>(t0, t1, 1, 3), 16);
  v128.store(out, v128.shuffle<i64>(t2, t3, 0, 2), 32);
  v128.store(out, v128.shuffle<i64>(t2, t3, 1, 3), 48);
}

/** float32 tables, 128 bytes a byte column: four byte tables for the low nibble, four for the high. p as above. */
export function prepare_f32(x: usize, tables: usize, byteCols: i32, p: f32): void {
  const pp = f32x4.splat(p);
  for (let c = 0; c < byteCols; c++) {
    byteTables(f32x4.mul(v128.load(x), pp), tables);
    byteTables(f32x4.mul(v128.load(x, 16), pp), tables + 64);
    x += 32;
    tables += 128;
  }
}
