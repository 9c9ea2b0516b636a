// Numbers of few bits with an exponent. README.md in this folder has storage, algebra and bounds.
//
// 5 and 6 bits: words of nibbles and of what is above them, as uniform codes have them (dot/README.md); a nibble looks a
// magnitude up, the highest bit is the sign, and of 6 bits the one below it says which half of the magnitudes. The sign goes to
// the activations, so that magnitudes are operand 2 of relaxed dot products. 8 bits: a byte a number.
import { unitBytes } from "../dot/decode";
import { STEP_BYTES, storeCodes } from "../dot/step";
import { splat } from "../dot/sums";
import { finishRows } from "../lib/finish";
import { STRIP_BYTES, stripStart } from "../lib/layout";
import { hidden, hiddenSplat8, highNibble, lookup } from "../lib/simd";

// @ts-ignore: decorator
@inline
function panelUnit(): usize {
  return ASC_FEATURE_RELAXED_SIMD ? 8 : 16;
}

// 8 columns of the panel from unit `unit` on, and which 32 bits of them are columns 4 and on: int16 have 0 2 1 3 4 6 5 7.
// @ts-ignore: decorator
@inline
function columnsAt(p: usize, unit: usize): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? v128.load64_zero(p + 8 * unit) : v128.load(p + 16 * unit);
}
const SECOND: i32 = ASC_FEATURE_RELAXED_SIMD ? 1 : 2;

// All ones in bytes whose bit `bit` is set. Shifts cross bytes, but not into the highest bit of one.
// @ts-ignore: decorator
@inline
function bitMask(v: v128, bit: i32, zero: v128): v128 {
  return i8x16.lt_s(bit == 7 ? v : i16x8.shl(v, 7 - bit), zero);
}

// @ts-ignore: decorator
@inline
function nibble(v: v128, high: bool, mask15: v128): v128 {
  return high ? highNibble(v, mask15) : v128.and(v, mask15);
}

// Bit of field k of the word above the nibbles: the sign, and of 6 bits the half.
// @ts-ignore: decorator
@inline
function signBit(k: i32, bits: i32): i32 {
  return bits == 6 ? 2 * k + 1 : k;
}

// The magnitudes of nibbles n. One table: t0, and of 6 bits n + t1 where the half is the upper one.
// @ts-ignore: decorator
@inline
function magnitude(n: v128, h: v128, k: i32, bits: i32, t: v128, zero: v128): v128 {
  if (bits == 5) return lookup(t, n);
  return i8x16.add(n, v128.and(lookup(t, n), bitMask(h, 2 * k, zero)));
}

// Two tables: what is below 64, and an eighth of what is above.
// @ts-ignore: decorator
@inline
function lowPart(n: v128, h: v128, k: i32, bits: i32, t: v128, zero: v128): v128 {
  return bits == 5 ? lookup(t, n) : v128.andnot(lookup(t, n), bitMask(h, 2 * k, zero));
}
// @ts-ignore: decorator
@inline
function highPart(n: v128, h: v128, k: i32, bits: i32, t: v128, zero: v128): v128 {
  return bits == 5 ? lookup(t, n) : v128.and(lookup(t, n), bitMask(h, 2 * k, zero));
}

// v of the sign of a mask.
// @ts-ignore: decorator
@inline
function negate(v: v128, sign: v128): v128 {
  return i8x16.sub(v128.xor(v, sign), sign);
}

// Even and odd bytes as int16.
// @ts-ignore: decorator
@inline
function evenBytes(v: v128): v128 {
  return i16x8.shr_s(i16x8.shl(v, 8), 8);
}
// @ts-ignore: decorator
@inline
function oddBytes(v: v128): v128 {
  return i16x8.shr_s(v, 8);
}

/**
 * acc + 8 columns of 4 rows: fields k and k + 1 of h and the nibbles of v. Relaxed: 16-bit lanes take 2 steps of
 * 2·127·63 = 32004 <= 32767; of two tables each by itself. x, z: 4 columns each, z and x of the odd ones without it.
 */
// @ts-ignore: decorator
@inline
function columns8(
  acc: v128, v: v128, h: v128, k: i32, x0: v128, x1: v128, z0: v128, z1: v128, t0: v128, t1: v128, mask15: v128,
  ones: v128, eights: v128, zero: v128, bits: i32, two: bool, exact32: bool,
): v128 {
  const n0 = nibble(v, false, mask15), n1 = nibble(v, true, mask15);
  const s0 = bitMask(h, signBit(k, bits), zero), s1 = bitMask(h, signBit(k + 1, bits), zero);
  if (ASC_FEATURE_RELAXED_SIMD) {
    const a = negate(x0, s0), b = negate(x1, s1);
    if (two) {
      const l0 = lowPart(n0, h, k, bits, t0, zero), l1 = lowPart(n1, h, k + 1, bits, t0, zero);
      const h0 = highPart(n0, h, k, bits, t1, zero), h1 = highPart(n1, h, k + 1, bits, t1, zero);
      if (exact32) {
        acc = i32x4.relaxed_dot_i8x16_i7x16_add_s(a, l0, acc);
        acc = i32x4.relaxed_dot_i8x16_i7x16_add_s(b, l1, acc);
        const high = i32x4.relaxed_dot_i8x16_i7x16_add_s(b, h1, i32x4.relaxed_dot_i8x16_i7x16_add_s(a, h0, zero));
        return i32x4.add(acc, i32x4.shl(high, 3));
      }
      const low = i16x8.add(i16x8.relaxed_dot_i8x16_i7x16_s(a, l0), i16x8.relaxed_dot_i8x16_i7x16_s(b, l1));
      const high = i16x8.add(i16x8.relaxed_dot_i8x16_i7x16_s(a, h0), i16x8.relaxed_dot_i8x16_i7x16_s(b, h1));
      return i32x4.add(i32x4.add(acc, i32x4.dot_i16x8_s(low, ones)), i32x4.dot_i16x8_s(high, eights));
    }
    const m0 = magnitude(n0, h, k, bits, bits == 5 ? t0 : t1, zero);
    const m1 = magnitude(n1, h, k + 1, bits, bits == 5 ? t0 : t1, zero);
    if (exact32) {
      return i32x4.relaxed_dot_i8x16_i7x16_add_s(b, m1, i32x4.relaxed_dot_i8x16_i7x16_add_s(a, m0, acc));
    }
    const sum = i16x8.add(i16x8.relaxed_dot_i8x16_i7x16_s(a, m0), i16x8.relaxed_dot_i8x16_i7x16_s(b, m1));
    return i32x4.add(acc, i32x4.dot_i16x8_s(sum, ones));
  }
  if (two) {
    acc = wideStep(
      acc, negate(lowPart(n0, h, k, bits, t0, zero), s0), negate(highPart(n0, h, k, bits, t1, zero), s0), x0, z0,
    );
    return wideStep(
      acc, negate(lowPart(n1, h, k + 1, bits, t0, zero), s1), negate(highPart(n1, h, k + 1, bits, t1, zero), s1), x1, z1,
    );
  }
  const a = negate(magnitude(n0, h, k, bits, bits == 5 ? t0 : t1, zero), s0);
  const b = negate(magnitude(n1, h, k + 1, bits, bits == 5 ? t0 : t1, zero), s1);
  acc = i32x4.add(acc, i32x4.dot_i16x8_s(evenBytes(a), x0));
  acc = i32x4.add(acc, i32x4.dot_i16x8_s(oddBytes(a), z0));
  acc = i32x4.add(acc, i32x4.dot_i16x8_s(evenBytes(b), x1));
  return i32x4.add(acc, i32x4.dot_i16x8_s(oddBytes(b), z1));
}

// int16 low + 8 · high of even and of odd bytes.
// @ts-ignore: decorator
@inline
function evenWide(low: v128, high: v128): v128 {
  return i16x8.add(evenBytes(low), i16x8.shr_s(i16x8.shl(high, 8), 5));
}
// @ts-ignore: decorator
@inline
function oddWide(low: v128, high: v128): v128 {
  return i16x8.add(oddBytes(low), i16x8.shl(oddBytes(high), 3));
}

// @ts-ignore: decorator
@inline
function wideStep(acc: v128, low: v128, high: v128, x: v128, z: v128): v128 {
  acc = i32x4.add(acc, i32x4.dot_i16x8_s(evenWide(low, high), x));
  return i32x4.add(acc, i32x4.dot_i16x8_s(oddWide(low, high), z));
}

// @ts-ignore: decorator
@inline
function scaled(y: usize, sums: v128, scales: v128): void {
  v128.store(y, f32x4.add(v128.load(y), f32x4.mul(f32x4.convert_i32x4_s(sums), scales)));
}

/** y[rows] = Σ over groups of scales · Σ x·w of strips of 16 rows. table: 16 bytes, then 16 of the upper half. */
// @ts-ignore: decorator
@inline
function strips(
  w: usize, scales: usize, panel: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32,
  groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, table: usize, bits: i32, two: bool, exact32: bool,
): void {
  const groups = (byteCols + groupByteCols - 1) / groupByteCols, stripBytes = <usize>byteCols * unitBytes(bits);
  const mask15 = hiddenSplat8(15, byteCols), zero = i32x4.splat(0);
  const ones = hidden(i16x8.splat(1), byteCols), eights = hidden(i16x8.splat(8), byteCols);
  const t0 = v128.load(table), t1 = v128.load(table, 16), high: usize = bits == 5 ? 256 : 128;
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2);
    let s = scales + stripStart(row, groups), p = panel, v = w + <usize>(row >> 4) * stripBytes;
    memory.fill(out, 0, 64);
    for (let group = 0; group < byteCols; group += groupByteCols) {
      const end = p + <usize>min(groupByteCols, byteCols - group) * panelUnit();
      let a0 = zero, a1 = zero, a2 = zero, a3 = zero;
      do {
        const above = v + high;
        let x = columnsAt(p, 0), x0 = splat(x, 0), x1 = splat(x, SECOND), z0 = splat(x, 1), z1 = splat(x, 3);
        a0 = columns8(
          a0, v128.load(v), v128.load(above), 0, x0, x1, z0, z1, t0, t1, mask15, ones, eights, zero, bits, two, exact32,
        );
        a1 = columns8(
          a1, v128.load(v, 16), v128.load(above, 16), 0, x0, x1, z0, z1, t0, t1, mask15, ones, eights, zero, bits, two, exact32,
        );
        a2 = columns8(
          a2, v128.load(v, 32), v128.load(above, 32), 0, x0, x1, z0, z1, t0, t1, mask15, ones, eights, zero, bits, two, exact32,
        );
        a3 = columns8(
          a3, v128.load(v, 48), v128.load(above, 48), 0, x0, x1, z0, z1, t0, t1, mask15, ones, eights, zero, bits, two, exact32,
        );
        x = columnsAt(p, 1), x0 = splat(x, 0), x1 = splat(x, SECOND), z0 = splat(x, 1), z1 = splat(x, 3);
        a0 = columns8(
          a0, v128.load(v, 64), v128.load(above), 2, x0, x1, z0, z1, t0, t1, mask15, ones, eights, zero, bits, two, exact32,
        );
        a1 = columns8(
          a1, v128.load(v, 80), v128.load(above, 16), 2, x0, x1, z0, z1, t0, t1, mask15, ones, eights, zero, bits, two, exact32,
        );
        a2 = columns8(
          a2, v128.load(v, 96), v128.load(above, 32), 2, x0, x1, z0, z1, t0, t1, mask15, ones, eights, zero, bits, two, exact32,
        );
        a3 = columns8(
          a3, v128.load(v, 112), v128.load(above, 48), 2, x0, x1, z0, z1, t0, t1, mask15, ones, eights, zero, bits, two, exact32,
        );
        if (bits == 5) {
          x = columnsAt(p, 2), x0 = splat(x, 0), x1 = splat(x, SECOND), z0 = splat(x, 1), z1 = splat(x, 3);
          a0 = columns8(
            a0, v128.load(v, 128), v128.load(above), 4, x0, x1, z0, z1, t0, t1, mask15, ones, eights, zero, bits, two, exact32,
          );
          a1 = columns8(
            a1, v128.load(v, 144), v128.load(above, 16), 4, x0, x1, z0, z1, t0, t1, mask15, ones, eights, zero, bits, two, exact32,
          );
          a2 = columns8(
            a2, v128.load(v, 160), v128.load(above, 32), 4, x0, x1, z0, z1, t0, t1, mask15, ones, eights, zero, bits, two, exact32,
          );
          a3 = columns8(
            a3, v128.load(v, 176), v128.load(above, 48), 4, x0, x1, z0, z1, t0, t1, mask15, ones, eights, zero, bits, two, exact32,
          );
          x = columnsAt(p, 3), x0 = splat(x, 0), x1 = splat(x, SECOND), z0 = splat(x, 1), z1 = splat(x, 3);
          a0 = columns8(
            a0, v128.load(v, 192), v128.load(above), 6, x0, x1, z0, z1, t0, t1, mask15, ones, eights, zero, bits, two, exact32,
          );
          a1 = columns8(
            a1, v128.load(v, 208), v128.load(above, 16), 6, x0, x1, z0, z1, t0, t1, mask15, ones, eights, zero, bits, two, exact32,
          );
          a2 = columns8(
            a2, v128.load(v, 224), v128.load(above, 32), 6, x0, x1, z0, z1, t0, t1, mask15, ones, eights, zero, bits, two, exact32,
          );
          a3 = columns8(
            a3, v128.load(v, 240), v128.load(above, 48), 6, x0, x1, z0, z1, t0, t1, mask15, ones, eights, zero, bits, two, exact32,
          );
        }
        p += (bits == 5 ? 4 : 2) * panelUnit();
        v += high + 64;
      } while (p < end);
      scaled(out, a0, v128.load(s));
      scaled(out + 16, a1, v128.load(s, 16));
      scaled(out + 32, a2, v128.load(s, 32));
      scaled(out + 48, a3, v128.load(s, 48));
      s += STRIP_BYTES;
    }
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}

export function gemv_minifloat5_int8_16x32(
  w: usize, scales: usize, panel: usize, _beside: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, table: usize,
): void {
  strips(
    w, scales, panel, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, table, 5,
    false, false,
  );
}

export function gemv_minifloat5_int8_16x32_i32(
  w: usize, scales: usize, panel: usize, _beside: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, table: usize,
): void {
  strips(
    w, scales, panel, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, table, 5,
    false, true,
  );
}

export function gemv_minifloat5_i16_int8_16x32(
  w: usize, scales: usize, panel: usize, _beside: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, table: usize,
): void {
  strips(
    w, scales, panel, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, table, 5,
    true, false,
  );
}

export function gemv_minifloat5_i16_int8_16x32_i32(
  w: usize, scales: usize, panel: usize, _beside: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, table: usize,
): void {
  strips(
    w, scales, panel, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, table, 5,
    true, true,
  );
}

export function gemv_minifloat6_int8_16x16(
  w: usize, scales: usize, panel: usize, _beside: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, table: usize,
): void {
  strips(
    w, scales, panel, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, table, 6,
    false, false,
  );
}

export function gemv_minifloat6_int8_16x16_i32(
  w: usize, scales: usize, panel: usize, _beside: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, table: usize,
): void {
  strips(
    w, scales, panel, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, table, 6,
    false, true,
  );
}

export function gemv_minifloat6_i16_int8_16x16(
  w: usize, scales: usize, panel: usize, _beside: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, table: usize,
): void {
  strips(
    w, scales, panel, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, table, 6,
    true, false,
  );
}

export function gemv_minifloat6_i16_int8_16x16_i32(
  w: usize, scales: usize, panel: usize, _beside: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, table: usize,
): void {
  strips(
    w, scales, panel, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, table, 6,
    true, true,
  );
}

/** The codes of a tile for gemm: bytes w + centre, or int16 w (steps of columns 0, 2 and 1, 3 of each 4). */
export function unpackMinifloat(
  w: usize, row: i32, byteCols: i32, begin: i32, height: i32, n: i32, out: usize, table: usize, bits: i32, two: bool,
  centre: i32,
): void {
  const stripBytes = <usize>byteCols * unitBytes(bits), chunk = bits == 5 ? 4 : 2, high: usize = bits == 5 ? 256 : 128;
  const mask15 = hiddenSplat8(15, n), zero = i32x4.splat(0), lowBytes = hidden(i16x8.splat(255), n);
  const middle = i8x16.splat(<i8>centre), t0 = v128.load(table), t1 = v128.load(table, 16);
  const field: usize = two || !ASC_FEATURE_RELAXED_SIMD ? 2 * STEP_BYTES : STEP_BYTES;
  let strip = w + <usize>(row >> 4) * stripBytes + <usize>begin * unitBytes(bits);
  for (let r = 0; r < height; r += 16) {
    for (let rows: usize = 0; rows < 64; rows += 16) {
      let o = out + rows, p = strip + rows;
      for (let c = 0; c < n; c += chunk) {
        let h = v128.load(p + high);
        for (let k = 0; k < 2 * chunk; k++) {
          const v = v128.load(p + (<usize>(k >> 1) << 6)), i = (k & 1) != 0 ? highNibble(v, mask15) : v128.and(v, mask15);
          const sign = bitMask(h, signBit(0, bits), zero);
          if (two) {
            const low = negate(lowPart(i, h, 0, bits, t0, zero), sign), above = negate(highPart(i, h, 0, bits, t1, zero), sign);
            v128.store(o, evenWide(low, above));
            v128.store(o, oddWide(low, above), 256);
          } else {
            storeCodes(i8x16.add(negate(magnitude(i, h, 0, bits, bits == 5 ? t0 : t1, zero), sign), middle), o, lowBytes);
          }
          o += field;
          h = i16x8.shr_u(h, bits - 4);
        }
        p += high + 64;
      }
    }
    strip += stripBytes;
    out += 64;
  }
}

// Column j of 4 rows of bytes as float32, `mantissa` bits of it. Exponents are rebased as integers: the smallest normal number
// times 1 + m / 2^mantissa stands for what has no exponent, and 2v less that number is what it is, below v where v is not normal.
// @ts-ignore: decorator
@inline
function float(v: v128, j: i32, mantissa: i32, mask: v128, base: v128, least: v128, sign: v128): v128 {
  const up = 23 - mantissa - 8 * j;
  const field = v128.and(up > 0 ? i32x4.shl(v, up) : i32x4.shr_u(v, -up), mask);
  const u = i32x4.add(field, base);
  const w = f32x4.pmin(u, f32x4.sub(f32x4.add(u, u), least));
  return v128.or(w, v128.and(j == 3 ? v : i32x4.shl(v, 24 - 8 * j), sign));
}

// y[4 rows] += 4 columns.
// @ts-ignore: decorator
@inline
function floats4(
  acc: v128, v: v128, x0: v128, x1: v128, x2: v128, x3: v128, mantissa: i32, flip: v128, mask: v128, base: v128,
  least: v128, sign: v128,
): v128 {
  v = v128.xor(v, flip);
  acc = f32x4.add(acc, f32x4.mul(float(v, 0, mantissa, mask, base, least, sign), x0));
  acc = f32x4.add(acc, f32x4.mul(float(v, 1, mantissa, mask, base, least, sign), x1));
  acc = f32x4.add(acc, f32x4.mul(float(v, 2, mantissa, mask, base, least, sign), x2));
  return f32x4.add(acc, f32x4.mul(float(v, 3, mantissa, mask, base, least, sign), x3));
}

// Units of a block of float32 sums.
const BLOCK: i32 = 32;

// @ts-ignore: decorator
@inline
function floatStrips(
  w: usize, scales: usize, x: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32,
  groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, mantissa: i32,
): void {
  const groups = (byteCols + groupByteCols - 1) / groupByteCols, zero = i32x4.splat(0);
  const flip = hidden(i16x8.splat(-0x8000), byteCols), sign = hidden(i32x4.splat(-0x80000000), byteCols);
  const bias = mantissa == 3 ? 120 : 112;
  const mask = hidden(i32x4.splat(0x7f << (23 - mantissa)), byteCols), base = hidden(i32x4.splat(bias << 23), byteCols);
  const least = hidden(i32x4.splat((bias + 1) << 23), byteCols);
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2);
    let s = scales + stripStart(row, groups), p = x, v = w + <usize>row * (<usize>byteCols << 3);
    memory.fill(out, 0, 64);
    for (let group = 0; group < byteCols; group += groupByteCols) {
      const units = min(groupByteCols, byteCols - group), end = p + (<usize>units << 5);
      let b0 = zero, b1 = zero, b2 = zero, b3 = zero;
      while (p < end) {
        const blockEnd = min(p + (<usize>BLOCK << 5), end);
        let a0 = zero, a1 = zero, a2 = zero, a3 = zero;
        do {
          const x0 = v128.load32_splat(p), x1 = v128.load32_splat(p, 4), x2 = v128.load32_splat(p, 8), x3 = v128.load32_splat(p, 12);
          a0 = floats4(a0, v128.load(v), x0, x1, x2, x3, mantissa, flip, mask, base, least, sign);
          a1 = floats4(a1, v128.load(v, 16), x0, x1, x2, x3, mantissa, flip, mask, base, least, sign);
          a2 = floats4(a2, v128.load(v, 32), x0, x1, x2, x3, mantissa, flip, mask, base, least, sign);
          a3 = floats4(a3, v128.load(v, 48), x0, x1, x2, x3, mantissa, flip, mask, base, least, sign);
          v += 64;
          p += 16;
        } while (p < blockEnd);
        b0 = f32x4.add(b0, a0), b1 = f32x4.add(b1, a1), b2 = f32x4.add(b2, a2), b3 = f32x4.add(b3, a3);
      }
      v128.store(out, f32x4.add(v128.load(out), f32x4.mul(b0, v128.load(s))));
      v128.store(out, f32x4.add(v128.load(out, 16), f32x4.mul(b1, v128.load(s, 16))), 16);
      v128.store(out, f32x4.add(v128.load(out, 32), f32x4.mul(b2, v128.load(s, 32))), 32);
      v128.store(out, f32x4.add(v128.load(out, 48), f32x4.mul(b3, v128.load(s, 48))), 48);
      s += STRIP_BYTES;
    }
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}

/** E4M3 and float32 activations, prepared by model_scale. */
export function gemv_minifloat_e4m3_f32_16x4(
  w: usize, scales: usize, x: usize, _beside: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: usize,
): void {
  floatStrips(w, scales, x, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, 3);
}

/** E5M2 likewise. */
export function gemv_minifloat_e5m2_f32_16x4(
  w: usize, scales: usize, x: usize, _beside: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: usize,
): void {
  floatStrips(w, scales, x, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, 2);
}

// low, high += 4 columns of E4M3 times 512: mantissas of 4 bits times 2^(e - 1), in `low` up to e = 8, in `high` 2^(e - 9) above.
// @ts-ignore: decorator
@inline
function mantissas(v: v128, flip: v128, mask15: v128, mask7: v128, leading: v128, zero: v128): v128 {
  v = v128.xor(v, flip);
  const e = v128.and(i16x8.shr_u(v, 3), mask15);
  return negate(i8x16.add(v128.and(v, mask7), lookup(leading, e)), i8x16.lt_s(v, zero));
}

// @ts-ignore: decorator
@inline
function exactStep(sum: v128, m: v128, powers: v128, lowBytes: v128, x: v128, z: v128): v128 {
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.mul(evenBytes(m), v128.and(powers, lowBytes)), x));
  return i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.mul(oddBytes(m), i16x8.shr_u(powers, 8)), z));
}

// @ts-ignore: decorator
@inline
function exact4(
  sum: v128, v: v128, x: v128, z: v128, flip: v128, mask15: v128, mask7: v128, leading: v128, low: v128, high: v128,
  lowBytes: v128, zero: v128,
): v128 {
  const m = mantissas(v, flip, mask15, mask7, leading, zero);
  const e = v128.and(i16x8.shr_u(v128.xor(v, flip), 3), mask15);
  sum = exactStep(sum, m, lookup(low, e), lowBytes, x, z);
  return i32x4.add(sum, i32x4.shl(exactStep(zero, m, lookup(high, e), lowBytes, x, z), 8));
}

/** E4M3 and int8, in groups of at most 64 columns: 127·448·512·64 < 2^31. panel: prepare_wide. */
export function gemv_minifloat_e4m3i_int8_16x4(
  w: usize, scales: usize, panel: usize, _beside: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: usize,
): void {
  const groups = (byteCols + groupByteCols - 1) / groupByteCols, zero = i32x4.splat(0);
  const flip = hidden(i16x8.splat(-0x8000), byteCols), lowBytes = hidden(i16x8.splat(255), byteCols);
  const mask15 = hiddenSplat8(15, byteCols), mask7 = hiddenSplat8(7, byteCols);
  const leading = hidden(i8x16(0, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8), byteCols);
  const low = hidden(i8x16(1, 1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0), byteCols);
  const high = hidden(i8x16(0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64), byteCols);
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2);
    let s = scales + stripStart(row, groups), p = panel, v = w + <usize>row * (<usize>byteCols << 3);
    memory.fill(out, 0, 64);
    for (let group = 0; group < byteCols; group += groupByteCols) {
      const end = p + (<usize>min(groupByteCols, byteCols - group) << 4);
      let a0 = zero, a1 = zero, a2 = zero, a3 = zero;
      do {
        const x4 = v128.load64_zero(p);
        const x = v128.shuffle<i16>(x4, x4, 0, 2, 0, 2, 0, 2, 0, 2), z = v128.shuffle<i16>(x4, x4, 1, 3, 1, 3, 1, 3, 1, 3);
        a0 = exact4(a0, v128.load(v), x, z, flip, mask15, mask7, leading, low, high, lowBytes, zero);
        a1 = exact4(a1, v128.load(v, 16), x, z, flip, mask15, mask7, leading, low, high, lowBytes, zero);
        a2 = exact4(a2, v128.load(v, 32), x, z, flip, mask15, mask7, leading, low, high, lowBytes, zero);
        a3 = exact4(a3, v128.load(v, 48), x, z, flip, mask15, mask7, leading, low, high, lowBytes, zero);
        v += 64;
        p += 8;
      } while (p < end);
      scaled(out, a0, v128.load(s));
      scaled(out + 16, a1, v128.load(s, 16));
      scaled(out + 32, a2, v128.load(s, 32));
      scaled(out + 48, a3, v128.load(s, 48));
      s += STRIP_BYTES;
    }
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}
