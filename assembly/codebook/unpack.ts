// From stored words to the blocks that gemm multiplies: [step][64 rows][4 bytes]. README.md in this folder.
import { STEP_BYTES, storeCodes } from "../dot/step";
import { hidden, hiddenSplat8, lookup, zipHigh8, zipLow8 } from "../lib/simd";
import { chunkBytes, chunkUnits, evenTable, index, oddTable, rowChunkUnits, spreadTable, thirdBits } from "./fields";

// 4 rows x 4 columns from low and high bytes, always as two steps of 2 columns: (0, 2), (1, 3).
// @ts-ignore: decorator
@inline
function storeInt16(out: usize, low: v128, high: v128, lowBytes: v128): void {
  v128.store(out, v128.or(v128.and(low, lowBytes), i16x8.shl(high, 8)));
  v128.store(out, v128.or(i16x8.shr_u(low, 8), v128.andnot(high, lowBytes)), 256);
}

// Field j of `index` in 4 rows: entries at out. `wide`: int16.
// @ts-ignore: decorator
@inline
function storeField(
  out: usize, j: i32, u: v128, v: v128, low: v128, high: v128, nibble: v128, pairs: v128, lowBytes: v128,
  bits: i32, wide: bool,
): void {
  const i = index(j, u, v, nibble, pairs, bits);
  if (wide) storeInt16(out, lookup(low, i), lookup(high, i), lowBytes);
  else storeCodes(lookup(low, i), out, lowBytes);
}

/**
 * `units` units from unit `first` (both whole chunks) of a tile of `height` rows, whose first strip is at w, to table
 * entries at out. Bytes, less the smallest entry: steps of 4 columns with relaxed dot products, else of 2 int16 ones.
 * `wide`, for int16 entries: steps of 2 columns. Columns of two steps are (0, 2), (1, 3) of each 4.
 */
// @ts-ignore: decorator
@inline
export function unpackShared(
  w: usize, byteCols: i32, first: i32, units: i32, height: i32, out: usize, table: usize, bits: i32, wide: bool,
): void {
  const nibble = hiddenSplat8(15, byteCols), pairs = hiddenSplat8(0x33, byteCols);
  const spread = hidden(spreadTable(), byteCols), lowBytes = hidden(i16x8.splat(255), byteCols);
  const low = v128.load(table), high = wide ? v128.load(table, 16) : low;
  const l0 = evenTable(low, bits), h0 = evenTable(high, bits), l1 = oddTable(low, bits), h1 = oddTable(high, bits);
  const chunk = chunkUnits(bits), stride = <usize>(chunkBytes(bits) << 4);
  const stripBytes = <usize>(byteCols / chunk) * stride, n = <usize>(units / chunk);
  const field: usize = wide || !ASC_FEATURE_RELAXED_SIMD ? 2 * STEP_BYTES : STEP_BYTES;
  for (let row = 0; row < height; row += 16) {
    const begin = w + <usize>(row >> 4) * stripBytes + <usize>(first / chunk) * stride, end = begin + n * stride;
    for (let rows: usize = 0; rows < 64; rows += 16) {
      let o = out + (<usize>row << 2) + rows;
      for (let p = begin + rows; p < end; p += stride) {
        const u = v128.load(p), third = bits == 3 ? v128.load(p, 128) : u;
        const v = bits == 3 ? thirdBits(third, false, nibble, spread) : u;
        storeField(o, 0, u, v, l0, h0, nibble, pairs, lowBytes, bits, wide);
        storeField(o + field, 1, u, v, l1, h1, nibble, pairs, lowBytes, bits, wide);
        o += 2 * field;
        if (bits != 4) {
          storeField(o, 2, u, v, l0, h0, nibble, pairs, lowBytes, bits, wide);
          storeField(o + field, 3, u, v, l1, h1, nibble, pairs, lowBytes, bits, wide);
          o += 2 * field;
        }
        if (bits == 3) {
          const u = v128.load(p, 64), v = thirdBits(third, true, nibble, spread);
          storeField(o, 0, u, v, l0, h0, nibble, pairs, lowBytes, bits, wide);
          storeField(o + field, 1, u, v, l1, h1, nibble, pairs, lowBytes, bits, wide);
          storeField(o + 2 * field, 2, u, v, l0, h0, nibble, pairs, lowBytes, bits, wide);
          storeField(o + 3 * field, 3, u, v, l1, h1, nibble, pairs, lowBytes, bits, wide);
          o += 4 * field;
        }
      }
    }
  }
}

/** Steps in 16-bit lanes of table entries: 4·2·127·32 = 32512, 2·2·127·63 = 32004; of larger ones every step is 32 bits. */
export function tableDepth(table: usize): i32 {
  let largest = 0;
  for (let i: usize = 0; i < 16; i++) largest = max(largest, <i32>load<u8>(table + i));
  return largest <= 32 ? 4 : largest <= 63 ? 2 : 1;
}

// 4 rows x 8 columns, a row a vector, to 4 steps of 2 columns.
// @ts-ignore: decorator
@inline
function storeTransposed(out: usize, a: v128, b: v128, c: v128, d: v128): void {
  const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
  v128.store(out, v128.shuffle<i64>(ab, cd, 0, 2));
  v128.store(out, v128.shuffle<i64>(ab, cd, 1, 3), 256);
  const ef = v128.shuffle<i32>(a, b, 2, 6, 3, 7), gh = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
  v128.store(out, v128.shuffle<i64>(ef, gh, 0, 2), 512);
  v128.store(out, v128.shuffle<i64>(ef, gh, 1, 3), 768);
}

// The index of field j with the columns of each 4 as 0, 2, 1, 3.
// @ts-ignore: decorator
@inline
function dealt(j: i32, u: v128, v: v128, nibble: v128, pairs: v128, bits: i32): v128 {
  const i = index(j, u, v, nibble, pairs, bits);
  return i8x16.shuffle(i, i, 0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
}

// Field j of 4 rows of `rowBytes` a row at p; third: where their word of third bits is.
// @ts-ignore: decorator
@inline
function storeRowsField(
  out: usize, j: i32, p: usize, third: usize, high: bool, rowBytes: usize, tables: usize,
  nibble: v128, pairs: v128, spread: v128, bits: i32,
): void {
  let v = nibble;
  if (bits == 3) v = thirdBits(v128.load(third), high, nibble, spread);
  const a = dealt(j, v128.load(p), v, nibble, pairs, bits);
  if (bits == 3) v = thirdBits(v128.load(third + rowBytes), high, nibble, spread);
  const b = dealt(j, v128.load(p + rowBytes), v, nibble, pairs, bits);
  if (bits == 3) v = thirdBits(v128.load(third + 2 * rowBytes), high, nibble, spread);
  const c = dealt(j, v128.load(p + 2 * rowBytes), v, nibble, pairs, bits);
  if (bits == 3) v = thirdBits(v128.load(third + 3 * rowBytes), high, nibble, spread);
  const d = dealt(j, v128.load(p + 3 * rowBytes), v, nibble, pairs, bits);
  const al = lookup(fieldTable(v128.load(tables), j, bits), a);
  const ah = lookup(fieldTable(v128.load(tables, 16), j, bits), a);
  const bl = lookup(fieldTable(v128.load(tables, 32), j, bits), b);
  const bh = lookup(fieldTable(v128.load(tables, 48), j, bits), b);
  const cl = lookup(fieldTable(v128.load(tables, 64), j, bits), c);
  const ch = lookup(fieldTable(v128.load(tables, 80), j, bits), c);
  const dl = lookup(fieldTable(v128.load(tables, 96), j, bits), d);
  const dh = lookup(fieldTable(v128.load(tables, 112), j, bits), d);
  storeTransposed(out, zipLow8(al, ah), zipLow8(bl, bh), zipLow8(cl, ch), zipLow8(dl, dh));
  storeTransposed(out + 4 * STEP_BYTES, zipHigh8(al, ah), zipHigh8(bl, bh), zipHigh8(cl, ch), zipHigh8(dl, dh));
}

// @ts-ignore: decorator
@inline
function fieldTable(t: v128, j: i32, bits: i32): v128 {
  return (j & 1) != 0 ? oddTable(t, bits) : evenTable(t, bits);
}

/** As unpackShared with int16 entries, from a table a row: `tables` is that of the tile's first row. */
// @ts-ignore: decorator
@inline
export function unpackRows(
  w: usize, byteCols: i32, first: i32, units: i32, height: i32, out: usize, tables: usize, bits: i32,
): void {
  const nibble = hiddenSplat8(15, byteCols), pairs = hiddenSplat8(0x33, byteCols);
  const spread = hidden(spreadTable(), byteCols), field: usize = 8 * STEP_BYTES; // 16 columns
  const chunk = rowChunkUnits(bits), rowBytes: usize = bits == 3 ? 48 : 16, stride = rowBytes << 4;
  const stripBytes = <usize>(byteCols / chunk) * stride, n = <usize>(units / chunk);
  for (let row = 0; row < height; row += 4) {
    const begin = w + <usize>(row >> 4) * stripBytes + <usize>(first / chunk) * stride;
    const end = begin + n * stride;
    let o = out + (<usize>row << 2);
    for (let p = begin + <usize>(row & 15) * rowBytes; p < end; p += stride) {
      const third = p + 32;
      storeRowsField(o, 0, p, third, false, rowBytes, tables, nibble, pairs, spread, bits);
      storeRowsField(o + field, 1, p, third, false, rowBytes, tables, nibble, pairs, spread, bits);
      o += 2 * field;
      if (bits != 4) {
        storeRowsField(o, 2, p, third, false, rowBytes, tables, nibble, pairs, spread, bits);
        storeRowsField(o + field, 3, p, third, false, rowBytes, tables, nibble, pairs, spread, bits);
        o += 2 * field;
      }
      if (bits == 3) {
        storeRowsField(o, 0, p + 16, third, true, rowBytes, tables, nibble, pairs, spread, bits);
        storeRowsField(o + field, 1, p + 16, third, true, rowBytes, tables, nibble, pairs, spread, bits);
        storeRowsField(o + 2 * field, 2, p + 16, third, true, rowBytes, tables, nibble, pairs, spread, bits);
        storeRowsField(o + 3 * field, 3, p + 16, third, true, rowBytes, tables, nibble, pairs, spread, bits);
        o += 4 * field;
      }
    }
    tables += 128;
  }
}
