// gemv of complex weights i^code as two sign planes each: every index serves Re x and Im x. Layout, algebra and bounds:
// README.md in this folder.
import { groupStart, TILE_ROWS, tileHeight } from "../lib/layout";
import { accumulate, hiddenSplat8, highNibble, lookup } from "../lib/simd";
import { addRows16, BIAS, evenLanes, int8Block } from "../lut/binary";
import { lut8Block, LUT8_SEGMENT, prepareLut8 } from "../lut/prepare";
import { addProducts, addRest, SUM_BYTES } from "./sums";

// Byte columns of one block: fewer than fit 16 bits (INT8_BLOCK; 128 of fixed point: 2·128·255 = 65280 <= 65535), so that the
// tables of both halves and two planes of 64 rows, 2·64 + 2·64 bytes each and 2·96 + 2·64, stay in a first-level cache.
// INT8_PAIR_BLOCK is a multiple of 3.
const INT8_PAIR_BLOCK: i32 = 126;
const FIXED_BLOCK: i32 = 64;

/** Conjugation of a plane, of 2 bits each. */
// @ts-ignore: decorator
@inline
export function kindOf(kinds: i32, plane: i32): i32 {
  return (kinds >> (2 * plane)) & 3;
}

/** Rows of the scales of a plane: those of one tile, if all tiles share them. */
// @ts-ignore: decorator
@inline
export function scaleRows(shared: bool, paddedRows: i32): i32 {
  return shared ? TILE_ROWS : paddedRows;
}

// Byte columns that share a lut8 step. Re y and Im y are sums over Re x and Im x: over twice as many blocks as there are of
// each, so blocks are as coarse as those of a real row that is twice as long.
// @ts-ignore: decorator
@inline
function complexBlock(byteCols: i32): i32 {
  return lut8Block(2 * byteCols);
}

/**
 * lut8 tables of Re x or of Im x: those of a byte column 64 bytes after those of the one before, so that the tables of both
 * alternate. The rest is as in prepareLut8.
 */
export function prepare_complex_lut8(
  x: usize, tables: usize, steps: usize, byteCols: i32, groupByteCols: i32, p: f32,
): void {
  prepareLut8(x, tables, steps, byteCols, groupByteCols, p, BIAS, complexBlock(byteCols), 64);
}

// One block of n <= 32 byte columns of one plane: sums[rows] += weight · sums with Re x, and those with Im x SUM_BYTES
// behind. A sum of biased bytes is at most 255·32 = 8160. `wide`: 32 rows, else 16.
// @ts-ignore: decorator
@inline
function lut8Pair(
  w: usize, stride: usize, t: usize, n: i32, mask: v128, weightA: usize, weightB: usize, sums: usize, wide: bool,
): void {
  // -BIAS·n, and 257 times that.
  const odd = i16x8.splat(<i16>(-BIAS * n)), all = i16x8.add(odd, i16x8.shl(odd, 8));
  let a0 = all, a1 = all, b0 = odd, b1 = odd, c0 = all, c1 = all, d0 = odd, d1 = odd;
  const end = t + (<usize>n << 6);
  do {
    const lowA = v128.load(t), highA = v128.load(t, 16), lowB = v128.load(t, 32), highB = v128.load(t, 48);
    let v = v128.load(w), high = highNibble(v, mask), z: v128;
    v = v128.and(v, mask);
    z = i8x16.add(lookup(lowA, v), lookup(highA, high));
    a0 = i16x8.add(a0, z);
    b0 = i16x8.add(b0, i16x8.shr_u(z, 8));
    z = i8x16.add(lookup(lowB, v), lookup(highB, high));
    c0 = i16x8.add(c0, z);
    d0 = i16x8.add(d0, i16x8.shr_u(z, 8));
    if (wide) {
      v = v128.load(w, 16);
      high = highNibble(v, mask);
      v = v128.and(v, mask);
      z = i8x16.add(lookup(lowA, v), lookup(highA, high));
      a1 = i16x8.add(a1, z);
      b1 = i16x8.add(b1, i16x8.shr_u(z, 8));
      z = i8x16.add(lookup(lowB, v), lookup(highB, high));
      c1 = i16x8.add(c1, z);
      d1 = i16x8.add(d1, i16x8.shr_u(z, 8));
    }
    t += 64;
    w += stride;
  } while (t < end);
  let even = v128.load32_splat(weightA), upper = i32x4.shl(even, 16);
  addRows16(sums, a0, b0, even, upper);
  if (wide) addRows16(sums + 64, a1, b1, even, upper);
  even = v128.load32_splat(weightB), upper = i32x4.shl(even, 16);
  addRows16(sums + SUM_BYTES, c0, d0, even, upper);
  if (wide) addRows16(sums + SUM_BYTES + 64, c1, d1, even, upper);
}

// sums[4] += high·2^16 + middle·2^8 + low, of the half of each 32-bit lane that `upper` says. `high` is signed.
// @ts-ignore: decorator
@inline
function addBytes4(sums: usize, low: v128, middle: v128, high: v128, upper: bool): void {
  if (upper) {
    low = i32x4.shr_u(low, 16), middle = i32x4.shr_u(middle, 16), high = i32x4.shr_s(high, 16);
  } else {
    const half = i32x4.splat(0xffff);
    low = v128.and(low, half), middle = v128.and(middle, half), high = i32x4.shr_s(i32x4.shl(high, 16), 16);
  }
  const v = f32x4.add(
    f32x4.mul(f32x4.convert_i32x4_s(high), f32x4.splat(65536)), f32x4.mul(f32x4.convert_i32x4_s(middle), f32x4.splat(256)),
  );
  accumulate(sums, f32x4.add(v, f32x4.convert_i32x4_s(low)));
}

// sums[16] += n byte columns of fixed-point sums, from the sums of their bytes; the bias is 2·128 in the highest byte of a
// byte column: 2·128·64 = 16384, and the sum without it is in -16384..16383.
// @ts-ignore: decorator
@inline
function addBytes16(sums: usize, a0: v128, b0: v128, a1: v128, b1: v128, a2: v128, b2: v128, n: i32): void {
  const bias = i16x8.splat(<i16>(2 * BIAS * n));
  const e0 = evenLanes(a0, b0), e1 = evenLanes(a1, b1), e2 = i16x8.sub(evenLanes(a2, b2), bias), o2 = i16x8.sub(b2, bias);
  addBytes4(sums, e0, e1, e2, false);
  addBytes4(sums + 16, e0, e1, e2, true);
  addBytes4(sums + 32, b0, b1, o2, false);
  addBytes4(sums + 48, b0, b1, o2, true);
}

// sums[16] float32 += n <= FIXED_BLOCK byte columns of one plane; those of Im x SUM_BYTES behind.
// @ts-ignore: decorator
@inline
function fixedPair(w: usize, stride: usize, t: usize, part: usize, n: i32, mask: v128, sums: usize): void {
  const zero = i16x8.splat(0), end = t + 96 * <usize>n;
  let a0 = zero, b0 = zero, a1 = zero, b1 = zero, a2 = zero, b2 = zero;
  let c0 = zero, d0 = zero, c1 = zero, d1 = zero, c2 = zero, d2 = zero, u = t + part;
  do {
    let v = v128.load(w), z: v128;
    const high = highNibble(v, mask);
    v = v128.and(v, mask);
    z = lookup(v128.load(t), v);
    a0 = i16x8.add(a0, z);
    b0 = i16x8.add(b0, i16x8.shr_u(z, 8));
    z = lookup(v128.load(t, 16), high);
    a0 = i16x8.add(a0, z);
    b0 = i16x8.add(b0, i16x8.shr_u(z, 8));
    z = lookup(v128.load(t, 32), v);
    a1 = i16x8.add(a1, z);
    b1 = i16x8.add(b1, i16x8.shr_u(z, 8));
    z = lookup(v128.load(t, 48), high);
    a1 = i16x8.add(a1, z);
    b1 = i16x8.add(b1, i16x8.shr_u(z, 8));
    z = lookup(v128.load(t, 64), v);
    a2 = i16x8.add(a2, z);
    b2 = i16x8.add(b2, i16x8.shr_u(z, 8));
    z = lookup(v128.load(t, 80), high);
    a2 = i16x8.add(a2, z);
    b2 = i16x8.add(b2, i16x8.shr_u(z, 8));
    z = lookup(v128.load(u), v);
    c0 = i16x8.add(c0, z);
    d0 = i16x8.add(d0, i16x8.shr_u(z, 8));
    z = lookup(v128.load(u, 16), high);
    c0 = i16x8.add(c0, z);
    d0 = i16x8.add(d0, i16x8.shr_u(z, 8));
    z = lookup(v128.load(u, 32), v);
    c1 = i16x8.add(c1, z);
    d1 = i16x8.add(d1, i16x8.shr_u(z, 8));
    z = lookup(v128.load(u, 48), high);
    c1 = i16x8.add(c1, z);
    d1 = i16x8.add(d1, i16x8.shr_u(z, 8));
    z = lookup(v128.load(u, 64), v);
    c2 = i16x8.add(c2, z);
    d2 = i16x8.add(d2, i16x8.shr_u(z, 8));
    z = lookup(v128.load(u, 80), high);
    c2 = i16x8.add(c2, z);
    d2 = i16x8.add(d2, i16x8.shr_u(z, 8));
    t += 96;
    u += 96;
    w += stride;
  } while (t < end);
  addBytes16(sums, a0, b0, a1, b1, a2, b2, n);
  addBytes16(sums + SUM_BYTES, c0, d0, c1, d1, c2, d2, n);
}

// The kernels, which differ in what a block of byte columns is: constants, so that each export has its own loops.
const LUT8: i32 = 0;
const INT8: i32 = 1;
const FIXED: i32 = 2;

// sums[4][SUM_BYTES] += a block of n byte columns: planes s and t at w (planeBytes apart) with the tables at t. `part`: see gemv.
// @ts-ignore: decorator
@inline
function addBlock(
  w: usize, height: usize, planeBytes: usize, t: usize, part: usize, n: i32, weights: usize, sums: usize, mask: v128,
  core: i32,
): void {
  if (core == LUT8) {
    for (let sign: usize = 0; sign < 2; sign++) {
      const to = sums + 2 * sign * SUM_BYTES;
      let i: usize = 0;
      for (; i + 32 <= height; i += 32) lut8Pair(w + i, height, t, n, mask, weights, weights + part, to + (i << 2), true);
      if (i < height) lut8Pair(w + i, height, t, n, mask, weights, weights + part, to + (i << 2), false);
      w += planeBytes;
    }
  } else if (core == INT8) {
    // One operand at a time: the accumulators of two would leave room for 16 rows only, and cost as much.
    for (let o: usize = 0; o < 4; o++) {
      const from = w + (o >> 1) * planeBytes, table = t + (o & 1) * part, to = sums + o * SUM_BYTES;
      let i: usize = 0;
      for (; i + 32 <= height; i += 32) int8Block(from + i, height, table, n, to + (i << 2), mask, true);
      if (i < height) int8Block(from + i, height, table, n, to + (i << 2), mask, false);
    }
  } else {
    for (let sign: usize = 0; sign < 2; sign++) {
      const to = sums + 2 * sign * SUM_BYTES;
      for (let i: usize = 0; i < height; i += 16) fixedPair(w + i, height, t, part, n, mask, to + (i << 2));
      w += planeBytes;
    }
  }
}

/**
 * y[4 parts][paddedRows] (sums.ts), then working space of 16 bytes a row, of whole tiles, and for f32 as much as y. `part`: bytes between what was
 * prepared of Re x and of Im x. `shared`: scales are those of one tile of 64 rows. `kinds`: see kindOf.
 */
// @ts-ignore: decorator
@inline
function gemv(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32,
  part: usize, shared: bool, planes: i32, kinds: i32, core: i32,
): void {
  const mask = hiddenSplat8(15, byteCols), rowBytes = <usize>paddedRows << 2;
  const size = core == LUT8 ? complexBlock(byteCols) : core == INT8 ? INT8_PAIR_BLOCK : FIXED_BLOCK;
  // f32: sums of a block are exact until they are joined to float32, and y, which is compensated, takes them one by one.
  const segmentCols = core == LUT8 ? LUT8_SEGMENT : core == FIXED ? FIXED_BLOCK : byteCols, tableBytes: usize = core == FIXED ? 96 : 64;
  const groups = (byteCols + groupByteCols - 1) / groupByteCols;
  const scaleBytes = <usize>(groups * scaleRows(shared, paddedRows)) << 2;
  // f32: of the four parts what is rounded off, after the working space of whole tiles.
  const lows = y + 4 * rowBytes + (<usize>((paddedRows + TILE_ROWS - 1) & -TILE_ROWS) << 4);
  for (let row = rowBegin; row < rowEnd; row += TILE_ROWS) {
    const height = <usize>tileHeight(row, paddedRows), planeBytes = height * <usize>byteCols;
    const out = y + (<usize>row << 2), sums = y + 4 * rowBytes + (<usize>row << 4);
    const groupBytes = shared ? SUM_BYTES : height << 2;
    let p = w + 2 * <usize>row * <usize>byteCols * <usize>planes, s = scales + (shared ? 0 : groupStart(row, groups));
    const low = lows + (<usize>row << 2);
    for (let o: usize = 0; o < 4; o++) {
      memory.fill(out + o * rowBytes, 0, height << 2);
      if (core == FIXED) memory.fill(low + o * rowBytes, 0, height << 2);
    }
    for (let plane = 0; plane < planes; plane++) {
      let t = tables, weights = steps + 4, g = s, q = p;
      for (let group = 0; group < byteCols; group += groupByteCols) {
        const groupEnd = min(group + groupByteCols, byteCols);
        for (let segment = group; segment < groupEnd; segment += segmentCols) {
          const segmentEnd = min(segment + segmentCols, groupEnd);
          memory.fill(sums, 0, 4 * SUM_BYTES);
          for (let block = segment; block < segmentEnd; block += size) {
            const n = min(size, segmentEnd - block);
            addBlock(q, height, planeBytes, t, part, n, weights, sums, mask, core);
            q += <usize>n * height;
            t += <usize>n * tableBytes;
            weights += 4;
          }
          // Of exact integers P + Q and their like are twice what is wanted: halved before the first float operation.
          const shift = core == INT8 ? 1 : 0;
          addProducts(sums, <i32>height, out, low, rowBytes, g, g + scaleBytes, kindOf(kinds, plane), shift, core == FIXED);
        }
        g += groupBytes;
      }
      p += 2 * planeBytes;
      s += 2 * scaleBytes;
    }
    if (core == FIXED) addRest(out, low, <i32>height, rowBytes);
  }
}

export function gemv_complex_int8_32x8(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32,
  part: usize, shared: bool, planes: i32, kinds: i32,
): void {
  gemv(
    w, scales, tables, steps, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, part, shared, planes, kinds, INT8,
  );
}

export function gemv_complex_lut8_32x8(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32,
  part: usize, shared: bool, planes: i32, kinds: i32,
): void {
  gemv(
    w, scales, tables, steps, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, part, shared, planes, kinds, LUT8,
  );
}

export function gemv_complex_f32_16x8(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32,
  part: usize, shared: bool, planes: i32, kinds: i32,
): void {
  gemv(
    w, scales, tables, steps, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, part, shared, planes, kinds, FIXED,
  );
}
