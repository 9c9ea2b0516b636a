// Stored codes of PVQ vectors to the places of their leaves. Layout, algebra and bounds: README.md in this folder.
import { hidden } from "../lib/simd";

/** Pulses of a vector, and its columns: 8 or 16. */
// @ts-ignore: decorator
@inline
export function pulsesOf(tables: usize): i32 {
  return load<i32>(tables);
}
// @ts-ignore: decorator
@inline
export function sizeOf(tables: usize): i32 {
  return load<i32>(tables, 8);
}

/** The address of leaf number 0 of `places`, which is the 16384th. */
// @ts-ignore: decorator
@inline
export function originOf(tables: usize): usize {
  return tables + load<u32>(tables, 4) + 65536;
}

/** The record of a code. */
// @ts-ignore: decorator
@inline
export function recordOf(tables: usize, code: u32): usize {
  return tables + <usize>load<u16>(tables + (<usize>(code >>> 20) << 1), 64);
}

/** Constants of `places`: 4 in the high half of each lane; -32768 in the low half. */
// @ts-ignore: decorator
@inline
export function fourHigh(hide: i32): v128 {
  return hidden(i32x4.splat(4 << 16), hide);
}
// @ts-ignore: decorator
@inline
export function halfLow(hide: i32): v128 {
  return hidden(i32x4.splat(0x8000), hide);
}

/** Places of four leaves, 4 · number of the leaf. codes: of each lane; multipliers, factors: of its record. */
// @ts-ignore: decorator
@inline
export function places(codes: v128, multipliers: v128, factors: v128, four: v128, half: v128): v128 {
  const fractions = v128.shuffle<i16>(half, i32x4.mul(codes, multipliers), 0, 9, 2, 11, 4, 13, 6, 15);
  return i32x4.dot_i16x8_s(i32x4.dot_i16x8_s(fractions, factors), four);
}

/** Those of one code of 16 columns. */
// @ts-ignore: decorator
@inline
export function placesOf(codes: v128, record: usize, four: v128, half: v128): v128 {
  return places(codes, v128.load(record), v128.load(record, 16), four, half);
}

/** Lanes 0 and 1 of a vector as one number: what is taken out in halves takes fewer instructions than by lanes. */
// @ts-ignore: decorator
@inline
export function lowHalf(v: v128): u64 {
  return <u64>i64.reinterpret_f64(f64x2.extract_lane(v, 0));
}
// @ts-ignore: decorator
@inline
export function highHalf(v: v128): u64 {
  return <u64>i64x2.extract_lane(v, 1);
}
