// Tables of int8 activations for codes of 8 columns. "Tables" in README.md has the drawing. O(cols).
import { hidden } from "../lib/simd";
import { INT8_BASE, signedSums, splitInt8 } from "../lut/prepare";

/** Bytes of a unit (8 columns). */
export const UNIT_BYTES: usize = 112;

/**
 * From int8 q [byteCols * 8] to 112 bytes a unit: h low, h high, l low, l high (lut/prepare.ts; 128 is added to h high and
 * to l high), h and -h of each column, l and -l of each, and Σ q in 8 lanes of int16.
 */
export function prepare_lattice(q: usize, tables: usize, byteCols: i32): void {
  const m0 = hidden(i8x16(-1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0), byteCols);
  const m1 = hidden(i8x16(-1, -1, 0, 0, -1, -1, 0, 0, -1, -1, 0, 0, -1, -1, 0, 0), byteCols);
  const m2 = hidden(i8x16(-1, -1, -1, -1, 0, 0, 0, 0, -1, -1, -1, -1, 0, 0, 0, 0), byteCols);
  const m3 = hidden(i8x16(-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0), byteCols);
  const clear = hidden(i8x16(4, 3, 3, 2, 3, 2, 2, 1, 3, 2, 2, 1, 2, 1, 1, 0), byteCols);
  const biased = i8x16.add(clear, i8x16.splat(-128));
  const ninth = hidden(i16x8.splat(57), byteCols), half = hidden(i16x8.splat(256), byteCols);
  const base = hidden(i16x8.splat(<i16>INT8_BASE), byteCols), ones = hidden(i16x8.splat(1), byteCols);
  const zero = i8x16.splat(0), end = q + (<usize>byteCols << 3);
  for (; q < end; q += 8) {
    const v = v128.load8x8_s(q), parts = splitInt8(v, ninth, half, base), minus = i8x16.sub(zero, parts);
    // The parts wait in the last vector of the unit.
    const s = tables + 96;
    v128.store(s, parts);
    v128.store(tables, signedSums(s, m0, m1, m2, m3, clear));
    v128.store(tables, signedSums(s + 4, m0, m1, m2, m3, biased), 16);
    v128.store(tables, signedSums(s + 8, m0, m1, m2, m3, clear), 32);
    v128.store(tables, signedSums(s + 12, m0, m1, m2, m3, biased), 48);
    v128.store(tables, v128.shuffle<i64>(parts, minus, 0, 2), 64);
    v128.store(tables, v128.shuffle<i64>(parts, minus, 1, 3), 80);
    let sum = i32x4.dot_i16x8_s(v, ones);
    sum = i32x4.add(sum, v128.shuffle<i32>(sum, sum, 2, 3, 0, 1));
    v128.store(s, i16x8.splat(<i16>(i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1))));
    tables += UNIT_BYTES;
  }
}
