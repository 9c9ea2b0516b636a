// Codes out of the word layout of uniform weights: vectors of 4 rows x 4 columns, a code a byte. The drawing is in
// README.md. Shift amounts are constants once these are inlined. x86 has no byte shift: 16-bit lanes are shifted, and
// the mask takes away what crossed.
import { hidden, highNibble, lookup } from "../lib/simd";

/** Bytes of a unit (8 columns) of 16 rows: bits is 2, 3, 4, 5, 6 or 8. */
// @ts-ignore: decorator
@inline
export function unitBytes(bits: i32): usize {
  return <usize>(16 * bits);
}

/** v with bit `from` of each byte brought to bit `to`, and'ed with mask. */
// @ts-ignore: decorator
@inline
export function moveBits(v: v128, from: i32, to: i32, mask: v128): v128 {
  if (from == to) return v128.and(v, mask);
  if (from < to) return v128.and(i16x8.shl(v, to - from), mask);
  return v128.and(i16x8.shr_u(v, from - to), mask);
}

/**
 * 3 bits: a table that spreads a nibble of third bits to where nibbles of 2-bit codes leave room: bits 2 and 6 get the
 * bits of columns 0..3 and 8..11 of a word (odd = 0) or of columns 4..7 and 12..15 (odd = 1).
 */
// @ts-ignore: decorator
@inline
export function thirdBits(odd: i32, hide: i32): v128 {
  return hidden(
    odd == 0
      ? i8x16(0, 4, 0, 4, 64, 68, 64, 68, 0, 4, 0, 4, 64, 68, 64, 68)
      : i8x16(0, 0, 4, 4, 0, 0, 4, 4, 64, 64, 68, 68, 64, 64, 68, 68),
    hide,
  );
}

/** 3 bits: the nibble of v that holds the third bits of word 0 or 1. */
// @ts-ignore: decorator
@inline
export function thirdNibble(v: v128, word: i32, mask15: v128): v128 {
  return word == 0 ? v128.and(v, mask15) : highNibble(v, mask15);
}

/**
 * 3 bits: 16 columns' word of 2-bit codes and their third bits, as nibbles of whole codes: columns 0..3 and 8..11 (odd
 * = 0) or 4..7 and 12..15 (odd = 1). mask33 = 0x33.
 */
// @ts-ignore: decorator
@inline
export function nibbles3(v: v128, third: v128, table: v128, odd: i32, mask33: v128): v128 {
  return v128.or(moveBits(v, 2 * odd, 0, mask33), lookup(table, third));
}

/**
 * 5 and 6 bits: the codes of columns 4k..4k+3 from the word of low nibbles that has them (field k & 1) and the word of
 * high bits, `high` = 1 or 2 a code. maskHigh = 0x10 or 0x30.
 */
// @ts-ignore: decorator
@inline
export function joinHigh(v: v128, h: v128, k: i32, high: i32, mask15: v128, maskHigh: v128): v128 {
  return v128.or(moveBits(v, 4 * (k & 1), 0, mask15), moveBits(h, high * k, 4, maskHigh));
}
