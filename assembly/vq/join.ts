// Sums of 16 rows out of the two vectors that bytes are added into (lut/README.md): `all` has even + 256·odd lanes modulo
// 2^16, `odd` the odd ones. Even bytes are rows 0..7, odd ones rows 8..15.
import { zipHigh16, zipLow16 } from "../lib/simd";

// @ts-ignore: decorator
@inline
export function evenBytes(all: v128, odd: v128): v128 {
  return i16x8.sub(all, i16x8.shl(odd, 8));
}

/** acc[8] int32 += h and l times the low and high half of `weights`. */
// @ts-ignore: decorator
@inline
export function join(acc: usize, h: v128, l: v128, weights: v128): void {
  v128.store(acc, i32x4.add(v128.load(acc), i32x4.dot_i16x8_s(zipLow16(h, l), weights)));
  v128.store(acc, i32x4.add(v128.load(acc, 16), i32x4.dot_i16x8_s(zipHigh16(h, l), weights)), 16);
}
