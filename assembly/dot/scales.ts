// Scales as files have them, halves and bytes, to the float32 that every kernel reads: a few strips at a time, right before a
// kernel meets the same rows, so that what goes through memory is as small as it was in the file. README.md draws the records.
import { STRIP_BYTES, stripStart } from "../lib/layout";

// What a record has: a half a group; a byte of E8M0 or E4M3 a group; a half and int8 multipliers; a half and nibbles.
const HALVES = 0, E8M0 = 1, E4M3 = 2, BYTES = 3, NIBBLES = 4;

// Four halves in the high halves of lanes, times f: sign, exponent and mantissa in their places, and 2^112 for the bias of the exponent.
// f = 2^112 · a power of two.
// @ts-ignore: decorator
@inline
function half(high: v128, f: v128): v128 {
  return f32x4.mul(v128.and(i32x4.shr_s(high, 3), i32x4.splat(<i32>0x8fffe000)), f);
}

// Eight halves at p, four of them in the high halves of lanes.
// @ts-ignore: decorator
@inline
function firstHalves(v: v128): v128 {
  return v128.shuffle<i16>(i16x8.splat(0), v, 0, 8, 1, 9, 2, 10, 3, 11);
}
// @ts-ignore: decorator
@inline
function lastHalves(v: v128): v128 {
  return v128.shuffle<i16>(i16x8.splat(0), v, 4, 12, 5, 13, 6, 14, 7, 15);
}

// Four rows of E8M0, half of each: 2^(e - 128), whose exponent field is e - 1, or of 0 and 1 the denormals 2^-128 and 2^-127.
// @ts-ignore: decorator
@inline
function e8m0(e: v128): v128 {
  const normal = i32x4.shl(i32x4.sub(e, i32x4.splat(1)), 23);
  const denormal = i32x4.shl(i32x4.add(e, i32x4.splat(1)), 21);
  return v128.bitselect(denormal, normal, i32x4.lt_s(e, i32x4.splat(2)));
}

// Four rows of unsigned E4M3, half of each: the bits in place, times 2^119. 127 is 0, of 255 the highest bit means nothing.
// @ts-ignore: decorator
@inline
function e4m3(e: v128): v128 {
  const bits = i32x4.shl(v128.and(e, i32x4.splat(127)), 20);
  return v128.andnot(f32x4.mul(bits, f32x4.splat(6.646139978924579e35)), i32x4.eq(e, i32x4.splat(127)));
}

// @ts-ignore: decorator
@inline
function floats(words: v128): v128 {
  return f32x4.convert_i32x4_s(words);
}

/**
 * scales, and offsets if they are not 0, of rows from rowBegin to before rowEnd, multiples of 16: float32 [strip][groups][16 rows].
 * packed: records [strip][groups / perRecord]. Multipliers of BYTES are int8, of NIBBLES the low nibbles; offsets are minus the second
 * half times int8 or the high nibbles, of HALVES the second half itself. factor: a power of two.
 */
export function expand_scales(
  packed: usize, scales: usize, offsets: usize, rowBegin: i32, rowEnd: i32, groups: i32, perRecord: i32, kind: i32,
  factor: f32,
): void {
  const shifted = offsets != 0, heads: usize = kind == E8M0 || kind == E4M3 ? 0 : shifted ? 64 : 32;
  const each: usize = kind == HALVES ? 0 : kind == BYTES && shifted ? 32 : 16;
  const records = groups / perRecord;
  // 2^112 takes the bias of a half's exponent to that of float32.
  const bias = f32x4.splat(5.192296858534828e33), f = f32x4.mul(bias, f32x4.splat(factor)), low = i8x16.splat(15);
  let p = packed + <usize>((rowBegin >> 4) * records) * (heads + <usize>perRecord * each);
  let s = scales + stripStart(rowBegin, groups), o = offsets + stripStart(rowBegin, groups);
  for (let row = rowBegin; row < rowEnd; row += 16) {
    for (let record = 0; record < records; record++) {
      let d0 = f, d1 = f, d2 = f, d3 = f, m0 = f, m1 = f, m2 = f, m3 = f;
      if (heads != 0) {
        let v = v128.load(p);
        d0 = half(firstHalves(v), f), d1 = half(lastHalves(v), f);
        v = v128.load(p, 16), d2 = half(firstHalves(v), f), d3 = half(lastHalves(v), f);
        if (shifted) {
          v = v128.load(p, 32), m0 = half(firstHalves(v), bias), m1 = half(lastHalves(v), bias);
          v = v128.load(p, 48), m2 = half(firstHalves(v), bias), m3 = half(lastHalves(v), bias);
        }
        p += heads;
      }
      if (kind == HALVES) {
        store(s, d0, d1, d2, d3);
        if (shifted) store(o, m0, m1, m2, m3);
        s += STRIP_BYTES, o += STRIP_BYTES;
        continue;
      }
      for (let group = 0; group < perRecord; group++) {
        const v = v128.load(p);
        if (kind == E8M0 || kind == E4M3) {
          const a = i16x8.extend_low_i8x16_u(v), b = i16x8.extend_high_i8x16_u(v);
          const e0 = i32x4.extend_low_i16x8_u(a), e1 = i32x4.extend_high_i16x8_u(a);
          const e2 = i32x4.extend_low_i16x8_u(b), e3 = i32x4.extend_high_i16x8_u(b);
          if (kind == E8M0) store(s, e8m0(e0), e8m0(e1), e8m0(e2), e8m0(e3));
          else store(s, e4m3(e0), e4m3(e1), e4m3(e2), e4m3(e3));
        } else {
          multiples(s, kind == BYTES ? v : v128.and(v, low), d0, d1, d2, d3);
          if (shifted) {
            const u = kind == BYTES ? v128.load(p, 16) : i8x16.shr_u(v, 4);
            multiples(o, u, f32x4.neg(m0), f32x4.neg(m1), f32x4.neg(m2), f32x4.neg(m3));
          }
        }
        p += each, s += STRIP_BYTES, o += STRIP_BYTES;
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function store(to: usize, a: v128, b: v128, c: v128, d: v128): void {
  v128.store(to, a);
  v128.store(to, b, 16);
  v128.store(to, c, 32);
  v128.store(to, d, 48);
}

// Products of 16 rows: 11 bits of a half by 8 bits, which float32 holds.
// @ts-ignore: decorator
@inline
function multiples(to: usize, bytes: v128, a: v128, b: v128, c: v128, d: v128): void {
  const l = i16x8.extend_low_i8x16_s(bytes), h = i16x8.extend_high_i8x16_s(bytes);
  store(
    to,
    f32x4.mul(a, floats(i32x4.extend_low_i16x8_s(l))),
    f32x4.mul(b, floats(i32x4.extend_high_i16x8_s(l))),
    f32x4.mul(c, floats(i32x4.extend_low_i16x8_s(h))),
    f32x4.mul(d, floats(i32x4.extend_high_i16x8_s(h))),
  );
}
