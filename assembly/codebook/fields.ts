// From stored words to indices of 4 bits: layout and algebra in README.md.
import { highNibble, lookup } from "../lib/simd";

/** Chunk of a layout in units of 8 columns, for words of 32 bits (a table for all rows). */
// @ts-ignore: decorator
@inline
export function chunkUnits(bits: i32): i32 {
  return bits == 2 ? 2 : bits == 3 ? 4 : 1;
}

/** Bytes of a chunk of one row there. */
// @ts-ignore: decorator
@inline
export function chunkBytes(bits: i32): i32 {
  return bits == 3 ? 12 : 4;
}

/** Chunk in units for words of 128 bits (a table a row). */
// @ts-ignore: decorator
@inline
export function rowChunkUnits(bits: i32): i32 {
  return chunkUnits(bits) << 2;
}

/** Bits j of a nibble (third bits of the indices of fields 0..3) to where `index` takes them: 2, 0, 6 and 4. */
// @ts-ignore: decorator
@inline
export function spreadTable(): v128 {
  return i8x16(0x00, 0x04, 0x01, 0x05, 0x40, 0x44, 0x41, 0x45, 0x10, 0x14, 0x11, 0x15, 0x50, 0x54, 0x51, 0x55);
}

/** The third bits of fields 0..3 (high = false) or 4..7 of a word of 1-bit fields, ready for `index`. */
// @ts-ignore: decorator
@inline
export function thirdBits(word: v128, high: bool, nibble: v128, spread: v128): v128 {
  return lookup(spread, high ? highNibble(word, nibble) : v128.and(word, nibble));
}

/**
 * The table of the indices of even fields, as `index` gives them: 2 bits: the nibble of two neighbouring fields, the
 * first in its low half; else the index itself.
 */
// @ts-ignore: decorator
@inline
export function evenTable(t: v128, bits: i32): v128 {
  if (bits == 2) return i8x16.shuffle(t, t, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
  return t;
}

/** The table of the indices of odd fields. 2 bits: the high half of the nibble; 3 bits: third bit, 0, two low bits. */
// @ts-ignore: decorator
@inline
export function oddTable(t: v128, bits: i32): v128 {
  if (bits == 2) return i8x16.shuffle(t, t, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  if (bits == 3) return i8x16.shuffle(t, t, 0, 4, 0, 4, 1, 5, 1, 5, 2, 6, 2, 6, 3, 7, 3, 7);
  return t;
}

/**
 * The 4-bit index of field j (0..3; an even one for evenTable, an odd one for oddTable). u: the word. v: with 4 bits
 * the next word, which has fields 2 and 3; with 3 bits thirdBits. nibble = 0x0f, pairs = 0x33 in each byte.
 */
// @ts-ignore: decorator
@inline
export function index(j: i32, u: v128, v: v128, nibble: v128, pairs: v128, bits: i32): v128 {
  if (bits == 4) return nibbleOf(j < 2 ? u : v, (j & 1) != 0, nibble);
  if (bits == 2) return nibbleOf(u, j >= 2, nibble);
  // Even fields have their two low bits in bits 0..1 of a nibble of u, odd ones in bits 2..3. Exchanging bits 0..1 of u
  // and v puts third bits into the rest, for all of them by four operations.
  const exchange = v128.and(v128.xor(u, v), pairs);
  return nibbleOf(v128.xor((j & 1) != 0 ? u : v, exchange), j >= 2, nibble);
}

// @ts-ignore: decorator
@inline
function nibbleOf(v: v128, high: bool, nibble: v128): v128 {
  return high ? highNibble(v, nibble) : v128.and(v, nibble);
}
