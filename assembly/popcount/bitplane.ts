// gemv of p-bit weights and q-bit activations, both as bit planes: D = base + Σ_ij c_ij popcnt(W_i op X_j).
// Layout, algebra and bounds: README.md in this folder.
import { finishRows } from "../lib/finish";
import { groupStart, TILE_ROWS, tileHeight } from "../lib/layout";
import { addExact } from "../lut/tile";
import { addAnd, addAndNative, addXor, addXorNative } from "./count";
import { meetsByXor, RECORD_BYTES, signPlane, weightBits } from "./prepare";

// @ts-ignore: decorator
@inline
function fill(p: usize, bytes: usize, v: v128): void {
  for (const end = p + bytes; p < end; p += 16) v128.store(p, v);
}

// @ts-ignore: decorator
@inline
function gemv(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, format: i32,
  native: bool,
): void {
  const bits = weightBits(format), top = signPlane(format), xor = meetsByXor(format);
  const words = (byteCols + 3) >> 2, groupWords = (min(groupByteCols, byteCols) + 3) >> 2;
  const groups = (words + groupWords - 1) / groupWords;
  const planeBytes = <usize>words << 4, quadBytes = planeBytes * <usize>bits, rowBytes = <usize>paddedRows << 2;
  const weights = steps + 4, weightsEnd = weights + (load<i32>(steps) << 2);
  for (let row = rowBegin; row < rowEnd; row += TILE_ROWS) {
    const height = tileHeight(row, paddedRows), bytes = <usize>height << 2;
    const o = <usize>row << 2, tile = w + (<usize>row >> 2) * quadBytes, out = y + o, sums = out + rowBytes;
    let s = scales + groupStart(row, groups), base = steps + RECORD_BYTES;
    fill(out, bytes, i32x4.splat(0));
    for (let word = 0; word < words; word += groupWords) {
      const n = min(groupWords, words - word), at = <usize>word << 4;
      fill(sums, bytes, v128.load32_splat(base));
      let plane = tile + at;
      for (let i = 0; i < bits; i++) {
        let x = tables + at;
        for (let c = weights; c < weightsEnd; c += 4) {
          let weight = load<i32>(c) << i;
          if (i == top) weight = -weight;
          const sumsEnd = sums + bytes;
          if (native) {
            if (xor) addXorNative(plane, quadBytes, x, n, weight, sums, sumsEnd);
            else addAndNative(plane, quadBytes, x, n, weight, sums, sumsEnd);
          } else {
            if (xor) addXor(plane, quadBytes, x, n, weight, sums, sumsEnd);
            else addAnd(plane, quadBytes, x, n, weight, sums, sumsEnd);
          }
          x += planeBytes;
        }
        plane += planeBytes;
      }
      for (let k: usize = 0; k < bytes; k += 16) addExact(v128.load(sums + k), s + k, out + k);
      s += bytes;
      base += 4;
    }
    finishRows(out, height, row, 1, factor, offsets, fsums, groups);
  }
}

/**
 * w: v128 [paddedRows / 4][planes][words], a v128 is one word of 32 columns of 4 rows. tables, steps, fsums: what
 * prepare_bitplane_bits left. format: as there. The rest as of every gemv kernel (assembly/README.md).
 */
export function gemv_bitplane_bits_16x32(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, format: i32,
): void {
  gemv(
    w, scales, tables, steps, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, format,
    false,
  );
}

/** The same for machines that count the bits of bytes in one instruction (ARM). */
export function gemv_bitplane_bits_16x32_cnt(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, format: i32,
): void {
  gemv(
    w, scales, tables, steps, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, format,
    true,
  );
}
