// gemm of complex weights by integer dot products: the sign planes of a tile are unpacked one after the other, and Re x and
// Im x of a token are the two tokens of an inner loop of dot/gemm.ts. Algebra and bounds: README.md in this folder.
import { BLOCK_BYTES, BLOCK_STEPS, multiplyPairs } from "../dot/gemm";
import { centre, depth, SIGNS, unpack } from "../dot/kinds";
import { unitSteps } from "../dot/unpack";
import { groupStart, TILE_ROWS, tileHeight } from "../lib/layout";
import { hidden } from "../lib/simd";
import { kindOf, scaleRows } from "./complex";
import { addProducts, SUM_BYTES } from "./sums";

/**
 * y[n][4 parts][paddedRows] of n tokens (finish_complex makes the result of it). panel: a pair a token, of Re x and Im x, as
 * prepare_pairs leaves it. sums: int32 [n][2][groups], of prepare_sums. scratch: BLOCK_BYTES for the unpacked tile,
 * then n x 1024 bytes of int32 sums. shared, planes, kinds: as in complex.ts.
 */
// @ts-ignore: decorator
@inline
function gemm(
  w: usize, scales: usize, panel: usize, sums: usize, y: usize, scratch: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, n: i32,
  shared: bool, planes: i32, kinds: i32, exact32: bool,
): void {
  const ones = hidden(i16x8.splat(1), byteCols), narrow = ASC_FEATURE_RELAXED_SIMD && !exact32;
  const perUnit = unitSteps(), blockUnits = BLOCK_STEPS / perUnit, pairBytes = <usize>byteCols * <usize>perUnit * 8;
  const groups = (byteCols + groupByteCols - 1) / groupByteCols, rowBytes = <usize>paddedRows << 2;
  const scaleBytes = <usize>(groups * scaleRows(shared, paddedRows)) << 2, totals = scratch + BLOCK_BYTES;
  for (let row = rowBegin; row < rowEnd; row += TILE_ROWS) {
    const height = tileHeight(row, paddedRows), bytes = <usize>height << 2, out = y + (<usize>row << 2);
    const groupBytes = shared ? SUM_BYTES : bytes, tile = <usize>row * <usize>byteCols;
    let p = w + 2 * tile * <usize>planes, s = scales + (shared ? 0 : groupStart(row, groups));
    for (let o = 0; o < 4 * n; o++) memory.fill(out + <usize>o * rowBytes, 0, bytes);
    for (let plane = 0; plane < planes; plane++) {
      let g = s, groupSums = sums;
      for (let group = 0; group < byteCols; group += groupByteCols) {
        const groupEnd = min(group + groupByteCols, byteCols);
        memory.fill(totals, 0, <usize>n << 10);
        for (let sign: usize = 0; sign < 2; sign++) {
          // unpack finds a tile where it would be if there were this plane only.
          const from = p + sign * <usize>height * <usize>byteCols - tile, to = totals + 2 * sign * SUM_BYTES;
          for (let block = group; block < groupEnd; block += blockUnits) {
            const units = min(blockUnits, groupEnd - block), x = panel + <usize>(block * perUnit) * 8;
            unpack(from, row, height, byteCols, block, units, scratch, SIGNS, 0, 0);
            multiplyPairs(
              scratch, bytes, x, pairBytes, n, units * perUnit, to, 4 * SUM_BYTES, depth(SIGNS, 0), ones, narrow, false,
            );
          }
        }
        for (let t = 0; t < n; t++) {
          const total = totals + (<usize>t << 10);
          for (let o: usize = 0; o < 4; o++) {
            const q = load<i32>(groupSums + ((2 * <usize>t + (o & 1)) * <usize>groups << 2));
            const less = i32x4.splat(centre(SIGNS, 0) * q);
            for (let i = o * SUM_BYTES; i < o * SUM_BYTES + bytes; i += 16) {
              v128.store(total + i, i32x4.sub(v128.load(total + i), less));
            }
          }
          const to = out + 4 * <usize>t * rowBytes;
          addProducts(total, height, to, 0, rowBytes, g, g + scaleBytes, kindOf(kinds, plane), 1, false);
        }
        g += groupBytes;
        groupSums += 4;
      }
      p += 2 * <usize>height * <usize>byteCols;
      s += 2 * scaleBytes;
    }
  }
}

export function gemm_complex_int8_16x2(
  w: usize, scales: usize, panel: usize, sums: usize, y: usize, scratch: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, n: i32,
  shared: bool, planes: i32, kinds: i32,
): void {
  gemm(
    w, scales, panel, sums, y, scratch, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, n, shared, planes, kinds,
    false,
  );
}

/** Its twin for the relaxed binary, with sums in 32-bit lanes: without a relaxed dot product it would be the same. */
export function gemm_complex_int8_16x2_i32(
  w: usize, scales: usize, panel: usize, sums: usize, y: usize, scratch: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, n: i32,
  shared: bool, planes: i32, kinds: i32,
): void {
  gemm(
    w, scales, panel, sums, y, scratch, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, n, shared, planes, kinds,
    true,
  );
}
