// Tiles of weights to codes for gemm: [step][64 rows][4 bytes], a code a byte where there is a byte dot product (4
// columns a step), an int16 without (2 columns a step: of each 4, columns 0 and 2 first, then 1 and 3). A step is
// STEP_BYTES.
import { hidden, hiddenSplat8, highNibble, lookup, zipHigh16, zipLow16 } from "../lib/simd";
import { joinHigh, moveBits, nibbles3, thirdBits, thirdNibble, unitBytes } from "./decode";
import { STEP_BYTES, storeCodes } from "./step";

/** Steps of a unit (8 columns) of 8-bit codes. */
// @ts-ignore: decorator
@inline
export function unitSteps(): i32 {
  return ASC_FEATURE_RELAXED_SIMD ? 2 : 4;
}

// Eight rows of four 2-bit codes, one row a 16-bit lane, to the codes of 4 columns.
// @ts-ignore: decorator
@inline
function storePairs(v: v128, out: usize, mask: v128): void {
  if (ASC_FEATURE_RELAXED_SIMD) {
    const a = v128.and(v128.or(v, i16x8.shl(v, 6)), mask);
    const b = v128.and(v128.or(i16x8.shr_u(v, 4), i16x8.shl(v, 2)), mask);
    v128.store(out, zipLow16(a, b));
    v128.store(out, zipHigh16(a, b), 16);
  } else {
    let a = v128.and(v, mask), b = v128.and(i16x8.shr_u(v, 4), mask);
    v128.store(out, zipLow16(a, b));
    v128.store(out, zipHigh16(a, b), 16);
    a = v128.and(i16x8.shr_u(v, 2), mask);
    b = i16x8.shr_u(v, 6);
    v128.store(out, zipLow16(a, b), 256);
    v128.store(out, zipHigh16(a, b), 272);
  }
}

/**
 * n units of a bit plane, of a tile that is `height` rows high, to codes w + 1. Spreading a nibble puts its bit j in
 * bits 2j and 2j + 1 of a byte, as 2·bit.
 */
// @ts-ignore: decorator
@inline
export function unpackPlane(w: usize, height: i32, n: i32, out: usize): void {
  const mask = hiddenSplat8(15, n);
  // Where rows 0, 1, … of 16 are in a vector of one plane.
  const order = hidden(i8x16(0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15), n);
  const spread = hidden(
    i8x16(0x00, 0x02, 0x08, 0x0a, 0x20, 0x22, 0x28, 0x2a, -0x80, -0x7e, -0x78, -0x76, -0x60, -0x5e, -0x58, -0x56),
    n,
  );
  const fields = hidden(ASC_FEATURE_RELAXED_SIMD ? i16x8.splat(0x0303) : i16x8.splat(3), n);
  const nibbleBytes = STEP_BYTES * <usize>(unitSteps() >> 1);
  for (let c = 0; c < n; c++) {
    let o = out;
    const end = out + (<usize>height << 2);
    while (o < end) {
      const v = lookup(v128.load(w), order);
      const low = lookup(spread, v128.and(v, mask)), high = lookup(spread, highNibble(v, mask));
      storePairs(i16x8.extend_low_i8x16_u(low), o, fields);
      storePairs(i16x8.extend_high_i8x16_u(low), o + 32, fields);
      storePairs(i16x8.extend_low_i8x16_u(high), o + nibbleBytes, fields);
      storePairs(i16x8.extend_high_i8x16_u(high), o + nibbleBytes + 32, fields);
      o += 64;
      w += 16;
    }
    out += nibbleBytes << 1;
  }
}

/** Bytes between the codes of 4 columns and of the next 4. */
// @ts-ignore: decorator
@inline
function quadBytes(): usize {
  return STEP_BYTES * <usize>(unitSteps() >> 1);
}

// One chunk of the word layout, for the 4 rows whose words start at w (words are 64 bytes apart). Constants are those
// of unpackWords.
// @ts-ignore: decorator
@inline
function unpackChunk(
  w: usize, out: usize, bits: i32, mask15: v128, mask: v128, table0: v128, table1: v128, m: v128,
): void {
  const d = quadBytes(), v = v128.load(w);
  if (bits == 2) {
    storeCodes(v128.and(v, mask), out, m);
    storeCodes(moveBits(v, 2, 0, mask), out + d, m);
    storeCodes(moveBits(v, 4, 0, mask), out + 2 * d, m);
    storeCodes(moveBits(v, 6, 0, mask), out + 3 * d, m);
  } else if (bits == 3) {
    const u = v128.load(w, 64), h = v128.load(w, 128);
    let third = thirdNibble(h, 0, mask15), c = nibbles3(v, third, table0, 0, mask);
    storeCodes(v128.and(c, mask15), out, m);
    storeCodes(highNibble(c, mask15), out + 2 * d, m);
    c = nibbles3(v, third, table1, 1, mask);
    storeCodes(v128.and(c, mask15), out + d, m);
    storeCodes(highNibble(c, mask15), out + 3 * d, m);
    third = thirdNibble(h, 1, mask15);
    c = nibbles3(u, third, table0, 0, mask);
    storeCodes(v128.and(c, mask15), out + 4 * d, m);
    storeCodes(highNibble(c, mask15), out + 6 * d, m);
    c = nibbles3(u, third, table1, 1, mask);
    storeCodes(v128.and(c, mask15), out + 5 * d, m);
    storeCodes(highNibble(c, mask15), out + 7 * d, m);
  } else if (bits == 4) {
    storeCodes(v128.and(v, mask15), out, m);
    storeCodes(highNibble(v, mask15), out + d, m);
  } else if (bits == 5) {
    const h = v128.load(w, 256);
    let u = v128.load(w, 64);
    storeCodes(joinHigh(v, h, 0, 1, mask15, mask), out, m);
    storeCodes(joinHigh(v, h, 1, 1, mask15, mask), out + d, m);
    storeCodes(joinHigh(u, h, 2, 1, mask15, mask), out + 2 * d, m);
    storeCodes(joinHigh(u, h, 3, 1, mask15, mask), out + 3 * d, m);
    u = v128.load(w, 128);
    storeCodes(joinHigh(u, h, 4, 1, mask15, mask), out + 4 * d, m);
    storeCodes(joinHigh(u, h, 5, 1, mask15, mask), out + 5 * d, m);
    u = v128.load(w, 192);
    storeCodes(joinHigh(u, h, 6, 1, mask15, mask), out + 6 * d, m);
    storeCodes(joinHigh(u, h, 7, 1, mask15, mask), out + 7 * d, m);
  } else {
    const u = v128.load(w, 64), h = v128.load(w, 128);
    storeCodes(joinHigh(v, h, 0, 2, mask15, mask), out, m);
    storeCodes(joinHigh(v, h, 1, 2, mask15, mask), out + d, m);
    storeCodes(joinHigh(u, h, 2, 2, mask15, mask), out + 2 * d, m);
    storeCodes(joinHigh(u, h, 3, 2, mask15, mask), out + 3 * d, m);
  }
}

// Units of a chunk, and its words.
// @ts-ignore: decorator
@inline
function chunkUnits(bits: i32): i32 {
  return bits == 4 ? 1 : bits & 1 ? 4 : 2;
}

// n units of uniform codes: strips of 16 rows, `stripBytes` apart.
// @ts-ignore: decorator
@inline
export function unpackWords(w: usize, stripBytes: usize, height: i32, n: i32, out: usize, bits: i32): void {
  const units = chunkUnits(bits), chunkBytes = <usize>units * unitBytes(bits);
  const chunkOut = <usize>(units * unitSteps()) * STEP_BYTES;
  const m = hidden(i16x8.splat(255), n), mask15 = hiddenSplat8(15, n);
  const table0 = thirdBits(0, n), table1 = thirdBits(1, n);
  const mask = hiddenSplat8(bits == 2 ? 3 : bits == 3 ? 0x33 : bits == 5 ? 0x10 : 0x30, n);
  for (let row = 0; row < height; row += 16) {
    let from = w, to = out;
    for (let c = 0; c < n; c += units) {
      for (let o: usize = 0; o < 64; o += 16) unpackChunk(from + o, to + o, bits, mask15, mask, table0, table1, m);
      from += chunkBytes;
      to += chunkOut;
    }
    w += stripBytes;
    out += 64;
  }
}

/** Where unit `begin` of the strip of row `row` is, of codes in words of `bits` bits. */
// @ts-ignore: decorator
@inline
export function stripAt(w: usize, row: i32, byteCols: i32, begin: i32, bits: i32): usize {
  return w + <usize>(row >> 4) * (<usize>byteCols * unitBytes(bits)) + <usize>begin * unitBytes(bits);
}

/** Where unit `begin` of a tile of a byte a row and unit is, from the first tile on. */
// @ts-ignore: decorator
@inline
export function tileAt(row: i32, height: i32, byteCols: i32, begin: i32): usize {
  return <usize>row * <usize>byteCols + <usize>begin * <usize>height;
}

/**
 * n units of 8-bit uniform codes to bytes for a dot product whose operand 2 is what `sign` of dot_sign says: codes where it is
 * unsigned, codes less 128 where it is signed; else part 0, 1 or 2 of (c & 127) + 127·b + b, b the top bit of c.
 */
// @ts-ignore: decorator
@inline
export function unpackWhole(
  at: usize, byteCols: i32, height: i32, n: i32, out: usize, sign: i32, part: i32,
): void {
  const stripBytes = <usize>byteCols * unitBytes(8);
  const flip = hidden(i16x8.splat(sign < 0 ? 0x80 : -0x8000), n), keep = hiddenSplat8(sign != 0 ? -1 : part < 2 ? 127 : 1, n);
  const top = sign == 0 && part > 0;
  for (let i = 0; i < height; i += 16) {
    let from = at, to = out;
    for (let c = 0; c < 2 * n; c++) {
      for (let o: usize = 0; o < 64; o += 16) {
        let v = v128.xor(v128.load(from + o), flip);
        if (top) v = i8x16.shr_s(v, 7);
        v128.store(to + o, v128.and(v, keep));
      }
      from += 64;
      to += STEP_BYTES;
    }
    at += stripBytes;
    out += 64;
  }
}

/** n units of 8-bit uniform codes, less 128, to int16. */
// @ts-ignore: decorator
@inline
export function unpackBytes(at: usize, byteCols: i32, height: i32, n: i32, out: usize): void {
  const stripBytes = <usize>byteCols * unitBytes(8);
  const byteMask = hidden(i16x8.splat(255), n), middle = hidden(i16x8.splat(128), n);
  for (let i = 0; i < height; i += 16) {
    let from = at, to = out;
    for (let c = 0; c < 2 * n; c++) {
      for (let o: usize = 0; o < 64; o += 16) {
        const v = v128.load(from + o);
        v128.store(to + o, i16x8.sub(v128.and(v, byteMask), middle));
        v128.store(to + o, i16x8.shr_s(v, 8), 256);
      }
      from += 64;
      to += 2 * STEP_BYTES;
    }
    at += stripBytes;
    out += 64;
  }
}
