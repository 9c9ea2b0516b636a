// From the stored stream of a tile to 16-bit states and from states to weights, four at a time. README.md has the drawing
// and the algebra.
import { hidden, lookup } from "../lib/simd";

/** The record behind a matrix: multiplier, addend and bits of its codebook, uint32 each. */
// @ts-ignore: decorator
@inline
export function multiplierOf(table: usize): v128 {
  return v128.load32_splat(table);
}
// @ts-ignore: decorator
@inline
export function addendOf(table: usize): v128 {
  return v128.load32_splat(table, 4);
}
// @ts-ignore: decorator
@inline
export function bitsOf(table: usize): i32 {
  return load<i32>(table, 8);
}

/** Bytes from the stored bytes of a chunk (8 positions of each lane) to those of the word that begins with the state of j. */
// @ts-ignore: decorator
@inline
export function wordAt(bits: i32, j: i32): usize {
  return <usize>(((((j + 1) * bits) >> 3) - 2) << 2);
}

/** What brings that state to the top 16 bits of its word. */
// @ts-ignore: decorator
@inline
export function align(bits: i32, j: i32): v128 {
  return i32x4.splat(1 << (((j + 1) * bits) & 7));
}

/** Bytes [4 places][4 lanes] to big-endian words of the lanes. */
// @ts-ignore: decorator
@inline
export function wordOrder(hide: i32): v128 {
  return hidden(i8x16(12, 8, 4, 0, 13, 9, 5, 1, 14, 10, 6, 2, 15, 11, 7, 3), hide);
}

/** The mean of the sum of four bytes. */
export const CENTRE: i32 = 510;

/**
 * To `work`, 48 bytes: the last two places of a tile with lanes moved on by one (each lane continues the one before it), then the
 * first ten.
 */
// @ts-ignore: decorator
@inline
export function wrap(tile: usize, tileBytes: usize, work: usize): void {
  const last = v128.load64_zero(tile + tileBytes - 8), first = v128.load(tile);
  v128.store(work, i8x16.shuffle(last, first, 3, 0, 1, 2, 7, 4, 5, 6, 16, 17, 18, 19, 20, 21, 22, 23));
  v128.store(work, v128.load(tile, 8), 16);
  v128.store(work, v128.load(tile, 24), 32);
}

// 3INST and mcg: what a half is multiplied by, twice 2^(exponent - 12), by bits 11..8 of it, of which two are exponent.
// @ts-ignore: decorator
@inline
export function factorTable(hide: i32): v128 {
  return hidden(i8x16(8, 8, 8, 8, 16, 16, 16, 16, 2, 2, 2, 2, 4, 4, 4, 4), hide);
}

/**
 * Two int16 whose sum is the weight. halves: 2^14 times the two float16 of (y & 0x8fff8fff) ^ 0x3b603b60; otherwise sums
 * of two bytes of y. keep = 0x83ff, flip = 0x0760 in 16-bit lanes, nibble = 15 in bytes.
 */
// @ts-ignore: decorator
@inline
export function parts(y: v128, halves: bool, keep: v128, flip: v128, nibble: v128, factors: v128): v128 {
  if (!halves) return i16x8.extadd_pairwise_i8x16_u(y);
  const factor = i16x8.shr_u(lookup(factors, v128.and(y, nibble)), 8);
  // abs of sign and magnitude m is m, or -m + 2^15, which an even factor makes -m modulo 2^16.
  return i16x8.mul(i16x8.abs(v128.xor(v128.and(y, keep), flip)), factor);
}
