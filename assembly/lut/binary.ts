// gemv of sign planes by table lookup: y = Σ over planes of α·(Σ ±x), and Σ offset·(Σ x). One plane is binary, several
// are BCQ. Layout, algebra and bounds: README.md in this folder.
import { finishCompensated, finishRows } from "../lib/finish";
import { groupStart, TILE_ROWS, tileHeight } from "../lib/layout";
import { hiddenSplat8, highNibble, lookup } from "../lib/simd";
import { INT8_BASE, lut8Block, LUT8_SEGMENT, prepareInt8, prepareLut8 } from "./prepare";
import { addExact, addWeighted, tileF32 } from "./tile";

// The sum of a low and a high entry is kept as an unsigned byte: sum + BIAS.
export const BIAS: i32 = 128;

// Byte columns whose sums of h fit: 255·n <= 65535 gives 257, and |Σ h| <= 112·n <= 32767 gives 292. A multiple of 3.
const INT8_BLOCK: i32 = 255;

// Byte columns whose sums of l fit a byte: 128 ± 3·2·16 lies in 32..224.
const INT8_SMALL: usize = 3;

export function prepare_binary_int8(x: usize, tables: usize, byteCols: i32, r: f64): void {
  prepareInt8(x, tables, byteCols, r, BIAS);
}

export function prepare_binary_lut8(
  x: usize, tables: usize, steps: usize, byteCols: i32, groupByteCols: i32, p: f32,
): void {
  prepareLut8(x, tables, steps, byteCols, groupByteCols, p, BIAS, lut8Block(byteCols), 32);
}

// Sums of 16 rows in two vectors: `all` has even + 256·odd lanes (mod 2^16), `odd` the odd ones. The lanes of 16 rows are
// stored in such an order (LANES in src/formats/shared/planes.ts) that the even lanes of `even` are rows 0..3, its odd lanes
// rows 4..7, and those of `odd` rows 8..11 and 12..15.
// @ts-ignore: decorator
@inline
export function evenLanes(all: v128, odd: v128): v128 {
  return i16x8.sub(all, i16x8.shl(odd, 8));
}

// acc[16] += weight · sums.
// @ts-ignore: decorator
@inline
export function addRows16(acc: usize, all: v128, odd: v128, forEven: v128, forOdd: v128): void {
  addWeighted(acc, evenLanes(all, odd), forEven, forOdd);
  addWeighted(acc + 32, odd, forEven, forOdd);
}

// A byte column of 16 rows.
// @ts-ignore: decorator
@inline
function sum16(v: v128, low: v128, high: v128, mask: v128): v128 {
  return i8x16.add(lookup(low, v128.and(v, mask)), lookup(high, highNibble(v, mask)));
}

// One block of n <= 32 byte columns: a sum of biased bytes is at most 255·32 = 8160. Sums start at -BIAS·n, so that they
// come out without bias. `wide`: 64 rows, else 16. `add`: acc[rows] int32 += weight · sums; else acc[rows] int16 = sums.
// @ts-ignore: decorator
@inline
function addBlock(
  w: usize, stride: usize, t: usize, n: i32, mask: v128, weight: i32, acc: usize, wide: bool, add: bool,
): void {
  const all = i16x8.splat(<i16>(-257 * BIAS * n)), odd = i16x8.splat(<i16>(-BIAS * n));
  let a0 = all, a1 = all, a2 = all, a3 = all, b0 = odd, b1 = odd, b2 = odd, b3 = odd;
  // Two byte columns a turn, then the last of an odd number.
  const end = t + (<usize>(n & -2) << 5);
  while (t < end) {
    let low = v128.load(t), high = v128.load(t, 16), v = sum16(v128.load(w), low, high, mask);
    a0 = i16x8.add(a0, v), b0 = i16x8.add(b0, i16x8.shr_u(v, 8));
    if (wide) {
      v = sum16(v128.load(w, 16), low, high, mask);
      a1 = i16x8.add(a1, v), b1 = i16x8.add(b1, i16x8.shr_u(v, 8));
      v = sum16(v128.load(w, 32), low, high, mask);
      a2 = i16x8.add(a2, v), b2 = i16x8.add(b2, i16x8.shr_u(v, 8));
      v = sum16(v128.load(w, 48), low, high, mask);
      a3 = i16x8.add(a3, v), b3 = i16x8.add(b3, i16x8.shr_u(v, 8));
    }
    const next = w + stride;
    low = v128.load(t, 32), high = v128.load(t, 48), v = sum16(v128.load(next), low, high, mask);
    a0 = i16x8.add(a0, v), b0 = i16x8.add(b0, i16x8.shr_u(v, 8));
    if (wide) {
      v = sum16(v128.load(next, 16), low, high, mask);
      a1 = i16x8.add(a1, v), b1 = i16x8.add(b1, i16x8.shr_u(v, 8));
      v = sum16(v128.load(next, 32), low, high, mask);
      a2 = i16x8.add(a2, v), b2 = i16x8.add(b2, i16x8.shr_u(v, 8));
      v = sum16(v128.load(next, 48), low, high, mask);
      a3 = i16x8.add(a3, v), b3 = i16x8.add(b3, i16x8.shr_u(v, 8));
    }
    t += 64;
    w = next + stride;
  }
  if (n & 1) {
    let low = v128.load(t), high = v128.load(t, 16), v = sum16(v128.load(w), low, high, mask);
    a0 = i16x8.add(a0, v), b0 = i16x8.add(b0, i16x8.shr_u(v, 8));
    if (wide) {
      v = sum16(v128.load(w, 16), low, high, mask);
      a1 = i16x8.add(a1, v), b1 = i16x8.add(b1, i16x8.shr_u(v, 8));
      v = sum16(v128.load(w, 32), low, high, mask);
      a2 = i16x8.add(a2, v), b2 = i16x8.add(b2, i16x8.shr_u(v, 8));
      v = sum16(v128.load(w, 48), low, high, mask);
      a3 = i16x8.add(a3, v), b3 = i16x8.add(b3, i16x8.shr_u(v, 8));
    }
  }
  if (add) {
    const forEven = i32x4.splat(weight), forOdd = i32x4.splat(weight << 16);
    addRows16(acc, a0, b0, forEven, forOdd);
    if (wide) {
      addRows16(acc + 64, a1, b1, forEven, forOdd);
      addRows16(acc + 128, a2, b2, forEven, forOdd);
      addRows16(acc + 192, a3, b3, forEven, forOdd);
    }
  } else {
    v128.store(acc, evenLanes(a0, b0));
    v128.store(acc, b0, 16);
    v128.store(acc, evenLanes(a1, b1), 32);
    v128.store(acc, b1, 48);
    v128.store(acc, evenLanes(a2, b2), 64);
    v128.store(acc, b2, 80);
    v128.store(acc, evenLanes(a3, b3), 96);
    v128.store(acc, b3, 112);
  }
}

// y[4] + weight · sums · scales, the weight in the half of the 32-bit lanes that has the sums.
// @ts-ignore: decorator
@inline
function addSums(y: v128, sums: v128, weight: v128, scales: v128): v128 {
  return f32x4.add(y, f32x4.mul(f32x4.convert_i32x4_s(i32x4.dot_i16x8_s(sums, weight)), scales));
}

// Groups of one block: this many wait as int16 sums of 64 rows, so that y is loaded and stored once for all of them.
const WAITING: usize = 8;

// y[32] += scales · weights · sums, over the groups that wait.
// @ts-ignore: decorator
@inline
function addWaiting32(y: usize, sums: usize, sumsEnd: usize, scales: usize, weights: usize, rowBytes: usize): void {
  let y0 = v128.load(y), y1 = v128.load(y, 16), y2 = v128.load(y, 32), y3 = v128.load(y, 48);
  let y4 = v128.load(y, 64), y5 = v128.load(y, 80), y6 = v128.load(y, 96), y7 = v128.load(y, 112);
  do {
    const even = v128.load32_splat(weights), odd = i32x4.shl(even, 16);
    let v = v128.load(sums);
    y0 = addSums(y0, v, even, v128.load(scales));
    y1 = addSums(y1, v, odd, v128.load(scales, 16));
    v = v128.load(sums, 16);
    y2 = addSums(y2, v, even, v128.load(scales, 32));
    y3 = addSums(y3, v, odd, v128.load(scales, 48));
    v = v128.load(sums, 32);
    y4 = addSums(y4, v, even, v128.load(scales, 64));
    y5 = addSums(y5, v, odd, v128.load(scales, 80));
    v = v128.load(sums, 48);
    y6 = addSums(y6, v, even, v128.load(scales, 96));
    y7 = addSums(y7, v, odd, v128.load(scales, 112));
    sums += 128;
    weights += 4;
    scales += rowBytes;
  } while (sums < sumsEnd);
  v128.store(y, y0);
  v128.store(y, y1, 16);
  v128.store(y, y2, 32);
  v128.store(y, y3, 48);
  v128.store(y, y4, 64);
  v128.store(y, y5, 80);
  v128.store(y, y6, 96);
  v128.store(y, y7, 112);
}

// A tile of 64 rows in groups of at most one block. `waiting`: 1 KB.
function lut8Groups(
  w: usize, scales: usize, tables: usize, weights: usize, y: usize, waiting: usize,
  byteCols: i32, groupByteCols: i32, mask: v128,
): void {
  const rowBytes = TILE_ROWS << 2;
  for (let group = 0; group < byteCols; ) {
    let end = waiting;
    do {
      const n = min(groupByteCols, byteCols - group);
      addBlock(w, TILE_ROWS, tables, n, mask, 0, end, true, false);
      w += <usize>n * TILE_ROWS;
      tables += <usize>n << 5;
      group += n;
      end += 128;
    } while (group < byteCols && end < waiting + 128 * WAITING);
    addWaiting32(y, waiting, end, scales, weights, rowBytes);
    addWaiting32(y + 128, waiting + 64, end + 64, scales + 128, weights, rowBytes);
    const count = (end - waiting) >> 7;
    weights += count << 2;
    scales += count * rowBytes;
  }
}

// @ts-ignore: decorator
@inline
function lut8Strip(
  w: usize, stride: usize, scales: usize, tables: usize, weights: usize, y: usize, acc: usize,
  byteCols: i32, groupByteCols: i32, mask: v128, wide: bool,
): void {
  const rowBytes: usize = wide ? 256 : 64, size = lut8Block(byteCols), groupBytes = stride << 2;
  for (let group = 0; group < byteCols; group += groupByteCols) {
    const groupEnd = min(group + groupByteCols, byteCols);
    for (let segment = group; segment < groupEnd; segment += LUT8_SEGMENT) {
      const segmentEnd = min(segment + LUT8_SEGMENT, groupEnd);
      memory.fill(acc, 0, rowBytes);
      for (let block = segment; block < segmentEnd; block += size) {
        const n = min(size, segmentEnd - block);
        addBlock(w, stride, tables, n, mask, load<i32>(weights), acc, wide, true);
        w += <usize>n * stride;
        tables += <usize>n << 5;
        weights += 4;
      }
      for (let o: usize = 0; o < rowBytes; o += 16) addExact(v128.load(acc + o), scales + o, y + o);
    }
    scales += groupBytes;
  }
}

export function gemv_binary_lut8_64x8(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, sums: usize, planes: i32,
): void {
  const mask = hiddenSplat8(15, byteCols), work = y + (<usize>paddedRows << 2), unit = load<f32>(steps);
  const groups = (byteCols + groupByteCols - 1) / groupByteCols, weights = steps + 4;
  for (let row = rowBegin; row < rowEnd; row += TILE_ROWS) {
    const height = tileHeight(row, paddedRows), planeBytes = <usize>height * <usize>byteCols;
    let tile = w + <usize>row * <usize>byteCols * <usize>planes, s = scales + groupStart(row, groups);
    const out = y + (<usize>row << 2), acc = work + (<usize>row << 4);
    memory.fill(out, 0, <usize>height << 2);
    for (let plane = 0; plane < planes; plane++) {
      if (height != TILE_ROWS) {
        for (let i = 0; i < height; i += 16) {
          const o = <usize>i << 2;
          lut8Strip(
            tile + <usize>i, height, s + o, tables, weights, out + o, acc,
            byteCols, groupByteCols, mask, false,
          );
        }
      } else if (groupByteCols <= lut8Block(byteCols)) {
        lut8Groups(tile, s, tables, weights, out, acc, byteCols, groupByteCols, mask);
      } else {
        lut8Strip(
          tile, TILE_ROWS, s, tables, weights, out, acc, byteCols, groupByteCols, mask, true,
        );
      }
      tile += planeBytes;
      s += <usize>groups * (<usize>paddedRows << 2);
    }
    finishRows(out, height, row, unit, factor, offsets, sums, groups);
  }
}

// acc[4] += INT8_BASE · sums of h + sums of l, of the half of the 32-bit lanes that `base` and `one` choose.
// @ts-ignore: decorator
@inline
function joinRows4(acc: usize, h: v128, l: v128, base: v128, one: v128): void {
  const sums = i32x4.add(i32x4.dot_i16x8_s(h, base), i32x4.dot_i16x8_s(l, one));
  v128.store(acc, i32x4.add(v128.load(acc), sums));
}

// acc[16] += INT8_BASE · sums of h + sums of l, for 16 rows; each byte that was added is too large by BIAS.
// @ts-ignore: decorator
@inline
function joinRows16(acc: usize, h: v128, ho: v128, l: v128, lo: v128, hBias: v128, lBias: v128): void {
  const base = i32x4.splat(INT8_BASE), one = i32x4.splat(1);
  const baseOdd = i32x4.splat(INT8_BASE << 16), oneOdd = i32x4.splat(1 << 16);
  const hEven = i16x8.sub(evenLanes(h, ho), hBias), hOdd = i16x8.sub(ho, hBias);
  const lEven = i16x8.sub(evenLanes(l, lo), lBias), lOdd = i16x8.sub(lo, lBias);
  joinRows4(acc, hEven, lEven, base, one);
  joinRows4(acc + 16, hEven, lEven, baseOdd, oneOdd);
  joinRows4(acc + 32, hOdd, lOdd, base, one);
  joinRows4(acc + 48, hOdd, lOdd, baseOdd, oneOdd);
}

// acc += sums of 16 rows, or 32 when wide, over n <= INT8_BLOCK byte columns, exact in int32.
// @ts-ignore: decorator
@inline
export function int8Block(w: usize, stride: usize, tables: usize, n: i32, acc: usize, mask: v128, wide: bool): void {
  const zero = i16x8.splat(0), middle = hiddenSplat8(BIAS, n);
  const end = tables + (<usize>n << 6);
  let a0 = zero, b0 = zero, d0 = zero, e0 = zero, a1 = zero, b1 = zero, d1 = zero, e1 = zero;
  do {
    let c0 = middle, c1 = middle;
    const smallEnd = min(tables + 64 * INT8_SMALL, end);
    do {
      const h0 = v128.load(tables), h1 = v128.load(tables, 16);
      const l0 = v128.load(tables, 32), l1 = v128.load(tables, 48);
      let v = v128.load(w), u = highNibble(v, mask);
      v = v128.and(v, mask);
      c0 = i8x16.add(i8x16.add(c0, lookup(l0, v)), lookup(l1, u));
      v = i8x16.add(lookup(h0, v), lookup(h1, u));
      a0 = i16x8.add(a0, v);
      b0 = i16x8.add(b0, i16x8.shr_u(v, 8));
      if (wide) {
        v = v128.load(w, 16);
        u = highNibble(v, mask);
        v = v128.and(v, mask);
        c1 = i8x16.add(i8x16.add(c1, lookup(l0, v)), lookup(l1, u));
        v = i8x16.add(lookup(h0, v), lookup(h1, u));
        a1 = i16x8.add(a1, v);
        b1 = i16x8.add(b1, i16x8.shr_u(v, 8));
      }
      tables += 64;
      w += stride;
    } while (tables < smallEnd);
    d0 = i16x8.add(d0, c0);
    e0 = i16x8.add(e0, i16x8.shr_u(c0, 8));
    if (wide) {
      d1 = i16x8.add(d1, c1);
      e1 = i16x8.add(e1, i16x8.shr_u(c1, 8));
    }
  } while (tables < end);
  const small = (n + <i32>INT8_SMALL - 1) / <i32>INT8_SMALL;
  const hBias = i16x8.splat(<i16>(n * BIAS)), lBias = i16x8.splat(<i16>(small * BIAS));
  joinRows16(acc, a0, b0, d0, e0, hBias, lBias);
  if (wide) joinRows16(acc + 64, a1, b1, d1, e1, hBias, lBias);
}

// Blocks outside, rows inside: a block of the tile and of the tables stays in the first-level cache for all rows.
export function gemv_binary_int8_32x8(
  w: usize, scales: usize, tables: usize, _steps: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, sums: usize, planes: i32,
): void {
  const mask = hiddenSplat8(15, byteCols), rowBytes = <usize>paddedRows << 2;
  const groups = (byteCols + groupByteCols - 1) / groupByteCols;
  for (let row = rowBegin; row < rowEnd; row += TILE_ROWS) {
    const height = tileHeight(row, paddedRows), stride = <usize>height, bytes = <usize>height << 2;
    const out = y + (<usize>row << 2), acc = out + rowBytes;
    let p = w + <usize>row * <usize>byteCols * <usize>planes, s = scales + groupStart(row, groups);
    memory.fill(out, 0, bytes);
    for (let plane = 0; plane < planes; plane++) {
      let t = tables, g = s;
      for (let group = 0; group < byteCols; group += groupByteCols) {
        const groupEnd = min(group + groupByteCols, byteCols);
        memory.fill(acc, 0, bytes);
        for (let block = group; block < groupEnd; block += INT8_BLOCK) {
          const n = min(INT8_BLOCK, groupEnd - block);
          let i = 0;
          for (; i + 32 <= height; i += 32) int8Block(p + <usize>i, stride, t, n, acc + (<usize>i << 2), mask, true);
          if (i < height) int8Block(p + <usize>i, stride, t, n, acc + (<usize>i << 2), mask, false);
          p += <usize>n * stride;
          t += <usize>n << 6;
        }
        for (let o: usize = 0; o < bytes; o += 16) addExact(v128.load(acc + o), g + o, out + o);
        g += bytes;
      }
      s += <usize>groups * rowBytes;
    }
    finishRows(out, height, row, 1, factor, offsets, sums, groups);
  }
}

export function gemv_binary_f32_16x8(
  w: usize, scales: usize, tables: usize, _steps: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, sums: usize, planes: i32,
): void {
  const groups = (byteCols + groupByteCols - 1) / groupByteCols, rowBytes = <usize>paddedRows << 2;
  for (let row = rowBegin; row < rowEnd; row += TILE_ROWS) {
    const height = tileHeight(row, paddedRows), out = y + (<usize>row << 2), run = out + rowBytes, low = run + rowBytes;
    let tile = w + <usize>row * <usize>byteCols * <usize>planes, s = scales + groupStart(row, groups);
    memory.fill(out, 0, <usize>height << 2);
    memory.fill(run, 0, <usize>height << 2);
    memory.fill(low, 0, <usize>height << 2);
    for (let plane = 0; plane < planes; plane++) {
      tileF32(tile, height, s, tables, out, run, low, byteCols, groupByteCols);
      tile += <usize>height * <usize>byteCols;
      s += <usize>groups * (<usize>paddedRows << 2);
    }
    finishCompensated(out, low, height, row, factor, offsets, sums, groups);
  }
}
