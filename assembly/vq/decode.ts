// From the two stored bytes of an E8P code to bit masks over its 8 columns, for 16 rows at once. README.md has the algebra.
import { hidden, lookup } from "../lib/simd";

// Which absolute bytes are escapes: those whose nibbles share a bit of these two tables.
// @ts-ignore: decorator
@inline
export function escapeLow(hide: i32): v128 {
  return hidden(i8x16(0, 0, 0, 4, 0, 1, 1, 1, 0, 1, 1, 1, 2, 17, 1, 8), hide);
}
// @ts-ignore: decorator
@inline
export function escapeHigh(hide: i32): v128 {
  return hidden(i8x16(0, 8, 8, 8, 8, 8, 8, 11, 8, 8, 8, 15, 24, 15, 13, 15), hide);
}

// What the nibbles of an escape add up to: 8 · (column of the 5/2) + (column of the 3/2, or the same if there is none).
// @ts-ignore: decorator
@inline
export function placeLow(hide: i32): v128 {
  return hidden(i8x16(0, 0, 0, 0, 0, 5, 10, 30, 0, 15, 20, 35, 25, 45, 40, 50), hide);
}
// @ts-ignore: decorator
@inline
export function placeHigh(hide: i32): v128 {
  return hidden(i8x16(0, 5, 6, 10, 7, 11, 12, 0, 9, -50, -22, 1, 13, 2, 3, 4), hide);
}

/** 1 << index. */
// @ts-ignore: decorator
@inline
export function bitTable(hide: i32): v128 {
  return hidden(i8x16(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128), hide);
}

/** The parity of a nibble. */
// @ts-ignore: decorator
@inline
export function parityTable(hide: i32): v128 {
  return hidden(i8x16(0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0), hide);
}

/** -1 where the absolute byte is the mask of its entries above 1/2, 0 where it is an escape. */
// @ts-ignore: decorator
@inline
export function ordinary(low: v128, high: v128, escapeLow: v128, escapeHigh: v128): v128 {
  return i8x16.eq(v128.and(lookup(escapeLow, low), lookup(escapeHigh, high)), i8x16.splat(0));
}

/** Both columns of an escape, as placeLow says; 255 where plain (of `ordinary`) is set. */
// @ts-ignore: decorator
@inline
export function places(low: v128, high: v128, plain: v128, placeLow: v128, placeHigh: v128): v128 {
  return v128.or(i8x16.add(lookup(placeLow, low), lookup(placeHigh, high)), plain);
}

/** The column of the 5/2; 255 where there is none. places are 0..63, so 15 masks as well as 7 what crosses from bytes above. */
// @ts-ignore: decorator
@inline
export function placeOfFive(places: v128, plain: v128, nibble: v128): v128 {
  return v128.or(v128.and(i16x8.shr_u(places, 3), nibble), plain);
}

/** The mask of entries above 1/2. five: the mask of the 5/2. secondMask = 0x87 */
// @ts-ignore: decorator
@inline
export function above(absolute: v128, plain: v128, places: v128, five: v128, bits: v128, secondMask: v128): v128 {
  return v128.or(v128.and(absolute, plain), v128.or(five, lookup(bits, v128.and(places, secondMask))));
}

/**
 * 1 where the code is shifted by -1/4, 0 where by +1/4: the parity of the stored signs and of the entries that are odd
 * multiples off 1/2.
 */
// @ts-ignore: decorator
@inline
export function shifted(signs: v128, above: v128, five: v128, parity: v128, nibble: v128): v128 {
  return lookup(parity, foldParity(v128.xor(signs, v128.xor(above, five)), nibble));
}

/** A nibble of the parity of each byte. */
// @ts-ignore: decorator
@inline
export function foldParity(bits: v128, nibble: v128): v128 {
  return v128.and(v128.xor(bits, i16x8.shr_u(bits, 4)), nibble);
}

/**
 * E81B codes below 128 are the sum of two axes i and i + d, i the low nibble and d the high one, modulo 16, where i + 8 is
 * -i: this is the second. 2·(-e7) is no code of it: that one is zero, -e7 + e7. eight = 8
 */
// @ts-ignore: decorator
@inline
export function secondAxis(code: v128, first: v128, nibble: v128, eight: v128): v128 {
  const second = v128.and(i8x16.add(first, i16x8.shr_u(v128.andnot(code, nibble), 4)), nibble);
  return v128.xor(second, v128.and(i8x16.eq(code, nibble), eight));
}
