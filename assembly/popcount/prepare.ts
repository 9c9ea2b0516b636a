// Prepare: from the activations of one token to bit planes, and the record that tells the kernel what to do with them.
// O(cols); runs once a call, whatever the rows. The numbers are defined in README.md in this folder.
import { hidden } from "../lib/simd";
import { ROUND_F64 } from "../lut/prepare";

// `format`: bits of the weights | bits of the activations << 4 | encoding of the weights << 8 | of the activations << 10.
const UNSIGNED: i32 = 0;
const SIGNED: i32 = 1; // two's complement
const BIPOLAR: i32 = 2; // 2u - (2^bits - 1)

// @ts-ignore: decorator
@inline
export function weightBits(format: i32): i32 {
  return format & 15;
}
// @ts-ignore: decorator
@inline
function activationBits(format: i32): i32 {
  return (format >> 4) & 15;
}

/** The plane of the sign bit of two's complement weights, or -1. */
// @ts-ignore: decorator
@inline
export function signPlane(format: i32): i32 {
  return ((format >> 8) & 3) == SIGNED ? weightBits(format) - 1 : -1;
}

/** Whether planes meet by xor (bipolar activations) or by and. */
// @ts-ignore: decorator
@inline
export function meetsByXor(format: i32): bool {
  return ((format >> 10) & 3) == BIPOLAR;
}

/** Record before the int32 bases of the groups: the number of activation planes, then their int32 weights. */
export const RECORD_BYTES: usize = 64;

/** Σ |x| over n floats, n a multiple of 8, in float64, in eight sums of columns k mod 8; not finite if one of x is not. */
export function abs_sum(x: usize, n: i32): f64 {
  const magnitude = hidden(i32x4.splat(0x7fffffff), n);
  let s0 = f64x2.splat(0), s1 = s0, s2 = s0, s3 = s0;
  for (const end = x + (<usize>n << 2); x < end; x += 32) {
    const a = v128.and(v128.load(x), magnitude), b = v128.and(v128.load(x, 16), magnitude);
    s0 = f64x2.add(s0, f64x2.promote_low_f32x4(a));
    s1 = f64x2.add(s1, f64x2.promote_low_f32x4(v128.shuffle<f64>(a, a, 1, 0)));
    s2 = f64x2.add(s2, f64x2.promote_low_f32x4(b));
    s3 = f64x2.add(s3, f64x2.promote_low_f32x4(v128.shuffle<f64>(b, b, 1, 0)));
  }
  const s = f64x2.add(f64x2.add(s0, s2), f64x2.add(s1, s3));
  return f64x2.extract_lane(s, 0) + f64x2.extract_lane(s, 1);
}

/** The least (or, with sign -1, minus the greatest) of 0 and n floats, n a multiple of 4; x must be finite. */
export function least(x: usize, n: i32, sign: f32): f32 {
  const s = f32x4.splat(sign);
  let m = f32x4.splat(0);
  for (const end = x + (<usize>n << 2); x < end; x += 16) m = f32x4.pmin(m, f32x4.mul(v128.load(x), s));
  const half = f32x4.pmin(m, v128.shuffle<f32>(m, m, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.pmin(half, v128.shuffle<f32>(half, half, 1, 0, 3, 2)), 0);
}

// Codes of 4 floats as int32: rne(x·r), or with `down` floor(x·r).
// @ts-ignore: decorator
@inline
function round4(v: v128, r: v128, magic: v128, down: bool): v128 {
  let a = f64x2.mul(f64x2.promote_low_f32x4(v), r);
  let b = f64x2.mul(f64x2.promote_low_f32x4(v128.shuffle<f64>(v, v, 1, 0)), r);
  if (down) {
    a = f64x2.floor(a);
    b = f64x2.floor(b);
  }
  return v128.shuffle<i32>(f64x2.add(a, magic), f64x2.add(b, magic), 0, 2, 4, 6);
}

// Codes u of 16 floats as bytes: min(round(x·r), most) + zero.
// @ts-ignore: decorator
@inline
function codes16(x: usize, r: v128, magic: v128, most: v128, zero: v128, down: bool): v128 {
  const a = i16x8.narrow_i32x4_s(round4(v128.load(x), r, magic, down), round4(v128.load(x, 16), r, magic, down));
  const b = i16x8.narrow_i32x4_s(round4(v128.load(x, 32), r, magic, down), round4(v128.load(x, 48), r, magic, down));
  const u = i16x8.add(i16x8.min_s(a, most), zero), v = i16x8.add(i16x8.min_s(b, most), zero);
  return i8x16.shuffle(u, v, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}

// Bit c is set where x[c] >= 0, 16 floats.
// @ts-ignore: decorator
@inline
function signs16(x: usize, zero: v128): i32 {
  const a = i16x8.narrow_i32x4_s(f32x4.ge(v128.load(x), zero), f32x4.ge(v128.load(x, 16), zero));
  const b = i16x8.narrow_i32x4_s(f32x4.ge(v128.load(x, 32), zero), f32x4.ge(v128.load(x, 48), zero));
  return i8x16.bitmask(i8x16.narrow_i16x8_s(a, b));
}

/**
 * tables: planes of x, v128 [planes][words], each word in all four lanes; bits past cols are clear. record: see
 * RECORD_BYTES; then the base of each group. fsums: Σ of the values of x in each group, as float32 [groups].
 * x: float32, readable and zero up to a multiple of 32 columns. The code of x is min(rne(x·ratio), 2^bits - 1 - zero) + zero
 * if unsigned, rne(x·ratio) if signed, floor(x·ratio) + 2^(bits - 1) if bipolar; zero is 0 if not unsigned.
 */
export function prepare_bitplane_bits(
  x: usize, tables: usize, record: usize, fsums: usize, cols: i32, byteCols: i32, groupByteCols: i32,
  ratio: f64, zero: i32, format: i32,
): void {
  const bits = activationBits(format), encoding = (format >> 10) & 3, wEncoding = (format >> 8) & 3;
  const most = (1 << bits) - 1, wMost = (1 << weightBits(format)) - 1, bipolar = encoding == BIPOLAR;
  const words = (byteCols + 3) >> 2, groupWords = (min(groupByteCols, byteCols) + 3) >> 2;
  const planeBytes = <usize>words << 4;

  // D = base + Σ ±2^(i + j) · scale · popcnt
  const scale = (wEncoding == BIPOLAR ? 2 : 1) * (bipolar ? -1 : 1);
  for (let j = 0; j < bits; j++) {
    store<i32>(record + (<usize>j << 2), encoding == SIGNED && j == bits - 1 ? -scale << j : scale << j, 4);
  }
  // A zero point is one more plane, of ones.
  store<i32>(record + (<usize>bits << 2), -zero * scale, 4);
  store<i32>(record, zero == 0 ? bits : bits + 1);

  const rr = f64x2.splat(ratio), magic = hidden(f64x2.splat(ROUND_F64), cols), noFloat = f32x4.splat(0);
  const add = bipolar ? 1 << (bits - 1) : zero;
  const cap = i16x8.splat(<i16>(most - zero)), shift = i16x8.splat(<i16>add);
  let base = record + RECORD_BYTES;
  for (let word = 0; word < words; word += groupWords) {
    const groupEnd = min(word + groupWords, words), first = word << 5;
    let sum = 0; // of u (unsigned codes) or of q (two's complement)
    for (let i = word; i < groupEnd; i++) {
      const left = cols - (i << 5), mask = left >= 32 ? -1 : left <= 0 ? 0 : (1 << left) - 1;
      let to = tables + (<usize>i << 4) + planeBytes * <usize>(bits - 1);
      if (bipolar && bits == 1) {
        const m = (signs16(x, noFloat) | (signs16(x + 64, noFloat) << 16)) & mask;
        v128.store(to, i32x4.splat(m));
        sum += popcnt(m);
      } else {
        let a: v128, b: v128;
        if (bipolar) {
          a = codes16(x, rr, magic, cap, shift, true);
          b = codes16(x + 64, rr, magic, cap, shift, true);
        } else {
          a = codes16(x, rr, magic, cap, shift, false);
          b = codes16(x + 64, rr, magic, cap, shift, false);
        }
        a = i8x16.shl(a, 8 - bits);
        b = i8x16.shl(b, 8 - bits);
        for (let j = bits - 1; j >= 0; j--) {
          const m = (i8x16.bitmask(a) | (i8x16.bitmask(b) << 16)) & mask;
          v128.store(to, i32x4.splat(m));
          const n = popcnt(m) << j;
          sum += encoding == SIGNED && j == bits - 1 ? -n : n;
          a = i8x16.add(a, a);
          b = i8x16.add(b, b);
          to -= planeBytes;
        }
      }
      if (zero != 0) v128.store(tables + (<usize>i << 4) + planeBytes * <usize>bits, i32x4.splat(mask));
      x += 128;
    }
    const n = min(groupEnd << 5, cols) - first;
    const value = bipolar ? 2 * sum - most * n : sum - zero * n;
    store<f32>(fsums, <f32>value);
    fsums += 4;
    let b = 0;
    if (bipolar) b = wEncoding == BIPOLAR ? n * wMost * most : wEncoding == SIGNED ? -sum : wMost * sum;
    else if (wEncoding == BIPOLAR) b = -wMost * value;
    store<i32>(base, b);
    base += 4;
  }
}
