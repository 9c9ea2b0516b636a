// Tiles of PVQ codes to bytes for gemm, y + pulses: a leaf is one row of a step. README.md has the algebra.
import { STEP_BYTES } from "../dot/step";
import { fourHigh, halfLow, highHalf, lowHalf, originOf, placesOf, recordOf, sizeOf } from "./decode";

// 4 columns of a row.
// @ts-ignore: decorator
@inline
function storeLeaf(leaf: u32, out: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) {
    store<u32>(out, leaf);
  } else {
    store<u32>(out, leaf & 0x00ff00ff);
    store<u32>(out, (leaf >> 8) & 0x00ff00ff, 256);
  }
}

// Two leaves, the places of which are the halves of `pair`.
// @ts-ignore: decorator
@inline
function storeTwo(pair: u64, origin: usize, out: usize): void {
  storeLeaf(load<u32>(origin + <usize>(<u32>pair)), out);
  storeLeaf(load<u32>(origin + <usize>(<u32>(pair >> 32))), out + (ASC_FEATURE_RELAXED_SIMD ? STEP_BYTES : 2 * STEP_BYTES));
}

/** n units from unit `begin` on of `height` rows from `row` on. */
export function unpackPvq(
  w: usize, row: i32, height: i32, byteCols: i32, begin: i32, n: i32, out: usize, tables: usize,
): void {
  const four = fourHigh(n), half = halfLow(n), origin = originOf(tables), size = sizeOf(tables);
  const shift: usize = size == 16 ? 1 : 2, twoLeaves: usize = ASC_FEATURE_RELAXED_SIMD ? 2 * STEP_BYTES : 4 * STEP_BYTES;
  let p = w + ((<usize>row * <usize>byteCols + <usize>begin) << shift);
  for (let i = 0; i < height; i++) {
    const end = p + (<usize>n << shift);
    let to = out;
    for (let q = p; q < end; q += 4) {
      const a = placesOf(v128.load32_splat(q), recordOf(tables, load<u32>(q)), four, half);
      storeTwo(lowHalf(a), origin, to);
      to += twoLeaves;
      if (size == 8) continue;
      storeTwo(highHalf(a), origin, to);
      to += twoLeaves;
    }
    p += <usize>byteCols << shift;
    out += 4;
  }
}
