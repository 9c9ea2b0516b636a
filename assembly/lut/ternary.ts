// gemv of ternary weights as two bit planes: w = (B0 + B1) / 2 with B0 = sign of (w >= 0), B1 = sign of (w > 0).
// The planes of a row are neighbouring bytes, so one pairwise addition joins them. Everything here is twice the
// product; the caller halves `factor`. Layout, algebra and bounds: README.md in this folder.
import { scaleRows } from "../lib/finish";
import { groupStart, TILE_ROWS, tileHeight } from "../lib/layout";
import { hiddenSplat8, highNibble, lookup } from "../lib/simd";
import { lut8Block, LUT8_SEGMENT, prepareLut8 } from "./prepare";
import { addExact, addWeighted } from "./tile";

// sums[8] += the two planes of 8 rows. As a dot product with ones it is one instruction on x86 and three on ARM, as a
// pairwise addition three on x86 (V8 reloads its constant) and one on ARM.
// @ts-ignore: decorator
@inline
function addPlanes(sums: v128, v: v128, ones: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.add(sums, i16x8.relaxed_dot_i8x16_i7x16_s(v, ones));
  return i16x8.add(sums, i16x8.extadd_pairwise_i8x16_s(v));
}

export function prepare_ternary_lut8(
  x: usize, tables: usize, steps: usize, byteCols: i32, groupByteCols: i32, p: f32,
): void {
  prepareLut8(x, tables, steps, byteCols, groupByteCols, p, 0, lut8Block(byteCols), 32);
}

// One block of n <= 32 byte columns: |sum| <= 32·2·127 = 8128. `wide`: 64 rows, else 16.
// @ts-ignore: decorator
@inline
function addBlock(
  w: usize, stride: usize, t: usize, n: i32, mask: v128, ones: v128, weight: i32, acc: usize, wide: bool,
): void {
  const zero = i16x8.splat(0);
  let a0 = zero, a1 = zero, a2 = zero, a3 = zero, a4 = zero, a5 = zero, a6 = zero, a7 = zero;
  const end = t + (<usize>n << 5);
  do {
    const low = v128.load(t), high = v128.load(t, 16);
    let v = v128.load(w);
    v = i8x16.add(lookup(low, v128.and(v, mask)), lookup(high, highNibble(v, mask)));
    a0 = addPlanes(a0, v, ones);
    v = v128.load(w, 16);
    v = i8x16.add(lookup(low, v128.and(v, mask)), lookup(high, highNibble(v, mask)));
    a1 = addPlanes(a1, v, ones);
    if (wide) {
      v = v128.load(w, 32);
      v = i8x16.add(lookup(low, v128.and(v, mask)), lookup(high, highNibble(v, mask)));
      a2 = addPlanes(a2, v, ones);
      v = v128.load(w, 48);
      v = i8x16.add(lookup(low, v128.and(v, mask)), lookup(high, highNibble(v, mask)));
      a3 = addPlanes(a3, v, ones);
      v = v128.load(w, 64);
      v = i8x16.add(lookup(low, v128.and(v, mask)), lookup(high, highNibble(v, mask)));
      a4 = addPlanes(a4, v, ones);
      v = v128.load(w, 80);
      v = i8x16.add(lookup(low, v128.and(v, mask)), lookup(high, highNibble(v, mask)));
      a5 = addPlanes(a5, v, ones);
      v = v128.load(w, 96);
      v = i8x16.add(lookup(low, v128.and(v, mask)), lookup(high, highNibble(v, mask)));
      a6 = addPlanes(a6, v, ones);
      v = v128.load(w, 112);
      v = i8x16.add(lookup(low, v128.and(v, mask)), lookup(high, highNibble(v, mask)));
      a7 = addPlanes(a7, v, ones);
    }
    t += 32;
    w += stride;
  } while (t < end);
  const forEven = i32x4.splat(weight), forOdd = i32x4.splat(weight << 16);
  addWeighted(acc, a0, forEven, forOdd);
  addWeighted(acc + 32, a1, forEven, forOdd);
  if (wide) {
    addWeighted(acc + 64, a2, forEven, forOdd);
    addWeighted(acc + 96, a3, forEven, forOdd);
    addWeighted(acc + 128, a4, forEven, forOdd);
    addWeighted(acc + 160, a5, forEven, forOdd);
    addWeighted(acc + 192, a6, forEven, forOdd);
    addWeighted(acc + 224, a7, forEven, forOdd);
  }
}

// @ts-ignore: decorator
@inline
function lut8Strip(
  w: usize, stride: usize, scales: usize, tables: usize, weights: usize, y: usize, acc: usize,
  byteCols: i32, groupByteCols: i32, wide: bool,
): void {
  const mask = hiddenSplat8(15, byteCols), ones = hiddenSplat8(1, byteCols), rowBytes: usize = wide ? 256 : 64;
  const size = lut8Block(byteCols);
  for (let group = 0; group < byteCols; group += groupByteCols) {
    const groupEnd = min(group + groupByteCols, byteCols);
    for (let segment = group; segment < groupEnd; segment += LUT8_SEGMENT) {
      const segmentEnd = min(segment + LUT8_SEGMENT, groupEnd);
      memory.fill(acc, 0, rowBytes);
      for (let block = segment; block < segmentEnd; block += size) {
        const n = min(size, segmentEnd - block);
        addBlock(w, stride, tables, n, mask, ones, load<i32>(weights), acc, wide);
        w += <usize>n * stride;
        tables += <usize>n << 5;
        weights += 4;
      }
      // acc has rows 0 2 4 6, 1 3 5 7 of each 8.
      for (let o: usize = 0; o < rowBytes; o += 32) {
        const even = v128.load(acc + o), odd = v128.load(acc + o, 16);
        addExact(v128.shuffle<i32>(even, odd, 0, 4, 1, 5), scales + o, y + o);
        addExact(v128.shuffle<i32>(even, odd, 2, 6, 3, 7), scales + o + 16, y + o + 16);
      }
    }
    scales += stride << 1;
  }
}

export function gemv_ternary_lut8_64x8(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
): void {
  const work = <usize>paddedRows << 2, scale = load<f32>(steps) * factor;
  const groups = (byteCols + groupByteCols - 1) / groupByteCols;
  for (let row = rowBegin; row < rowEnd; row += TILE_ROWS) {
    const height = tileHeight(row, paddedRows), stride = <usize>height << 1;
    const tile = w + <usize>row * <usize>byteCols * 2, s = scales + groupStart(row, groups), out = y + (<usize>row << 2);
    memory.fill(out, 0, <usize>height << 2);
    if (height == TILE_ROWS) {
      lut8Strip(tile, stride, s, tables, steps + 4, out, out + work, byteCols, groupByteCols, true);
    } else {
      for (let i = 0; i < height; i += 16) {
        const o = out + (<usize>i << 2);
        lut8Strip(
          tile + (<usize>i << 1), stride, s + (<usize>i << 2), tables, steps + 4, o, o + work,
          byteCols, groupByteCols, false,
        );
      }
    }
    scaleRows(out, height, scale);
  }
}
