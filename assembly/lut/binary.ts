// gemv of one bit plane by table lookup: y = Σ ±x. Layout, algebra and bounds: README.md in this folder.
import { TILE_ROWS, tileHeight } from "../lib/layout";
import { hiddenSplat8, highNibble, lookup, zipHigh16, zipLow16 } from "../lib/simd";
import { INT8_BASE, lut8Block, LUT8_SEGMENT, prepareInt8, prepareLut8 } from "./prepare";
import { addExact, addScaled, addWeighted, scaleRows, tileF32 } from "./tile";

// The sum of a low and a high entry is kept as an unsigned byte: sum + BIAS.
const BIAS: i32 = 128;

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
  prepareLut8(x, tables, steps, byteCols, groupByteCols, p, BIAS);
}

// acc[16] += weight · sums of 16 rows: even rows first. `all` has even + 256·odd rows (mod 2^16), `odd` the odd ones.
// @ts-ignore: decorator
@inline
function addRows16(acc: usize, all: v128, odd: v128, forEven: v128, forOdd: v128): void {
  addWeighted(acc, i16x8.sub(all, i16x8.shl(odd, 8)), forEven, forOdd);
  addWeighted(acc + 32, odd, forEven, forOdd);
}

// One block of n <= 32 byte columns: an unsigned sum is at most 255·32 = 8160. Sums stay too large by BIAS a byte column.
// `wide`: 64 rows, else 16.
// @ts-ignore: decorator
@inline
function addBlock(
  w: usize, stride: usize, t: usize, n: i32, mask: v128, weight: i32, acc: usize, wide: bool,
): void {
  const zero = i16x8.splat(0);
  let a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
  const end = t + (<usize>n << 5);
  do {
    const low = v128.load(t), high = v128.load(t, 16);
    let v = v128.load(w);
    v = i8x16.add(lookup(low, v128.and(v, mask)), lookup(high, highNibble(v, mask)));
    a0 = i16x8.add(a0, v);
    b0 = i16x8.add(b0, i16x8.shr_u(v, 8));
    if (wide) {
      v = v128.load(w, 16);
      v = i8x16.add(lookup(low, v128.and(v, mask)), lookup(high, highNibble(v, mask)));
      a1 = i16x8.add(a1, v);
      b1 = i16x8.add(b1, i16x8.shr_u(v, 8));
      v = v128.load(w, 32);
      v = i8x16.add(lookup(low, v128.and(v, mask)), lookup(high, highNibble(v, mask)));
      a2 = i16x8.add(a2, v);
      b2 = i16x8.add(b2, i16x8.shr_u(v, 8));
      v = v128.load(w, 48);
      v = i8x16.add(lookup(low, v128.and(v, mask)), lookup(high, highNibble(v, mask)));
      a3 = i16x8.add(a3, v);
      b3 = i16x8.add(b3, i16x8.shr_u(v, 8));
    }
    t += 32;
    w += stride;
  } while (t < end);
  const forEven = i32x4.splat(weight), forOdd = i32x4.splat(weight << 16);
  addRows16(acc, a0, b0, forEven, forOdd);
  if (wide) {
    addRows16(acc + 64, a1, b1, forEven, forOdd);
    addRows16(acc + 128, a2, b2, forEven, forOdd);
    addRows16(acc + 192, a3, b3, forEven, forOdd);
  }
}

// @ts-ignore: decorator
@inline
function lut8Strip(
  w: usize, stride: usize, scales: usize, tables: usize, steps: usize, y: usize, acc: usize,
  paddedRows: i32, byteCols: i32, groupByteCols: i32, mask: v128, wide: bool,
): void {
  const rowBytes: usize = wide ? 256 : 64;
  for (let group = 0; group < byteCols; group += groupByteCols) {
    const groupEnd = min(group + groupByteCols, byteCols);
    for (let segment = group; segment < groupEnd; segment += LUT8_SEGMENT) {
      const segmentEnd = min(segment + LUT8_SEGMENT, groupEnd), unit = v128.load32_splat(steps);
      const size = lut8Block(segmentEnd - segment);
      steps += 4;
      memory.fill(acc, 0, rowBytes);
      let bias = 0;
      for (let block = segment; block < segmentEnd; block += size) {
        const n = min(size, segmentEnd - block), weight = load<i32>(steps);
        addBlock(w, stride, tables, n, mask, weight, acc, wide);
        bias += weight * n;
        w += <usize>n * stride;
        tables += <usize>n << 5;
        steps += 4;
      }
      // acc has rows 0 4 8 12, 2 6 10 14, 1 5 9 13, 3 7 11 15 of each 16.
      const b = i32x4.splat(bias * BIAS);
      for (let o: usize = 0; o < rowBytes; o += 64) {
        const r0 = i32x4.sub(v128.load(acc + o), b), r2 = i32x4.sub(v128.load(acc + o, 16), b);
        const r1 = i32x4.sub(v128.load(acc + o, 32), b), r3 = i32x4.sub(v128.load(acc + o, 48), b);
        const low02 = v128.shuffle<i32>(r0, r2, 0, 4, 1, 5), high02 = v128.shuffle<i32>(r0, r2, 2, 6, 3, 7);
        const low13 = v128.shuffle<i32>(r1, r3, 0, 4, 1, 5), high13 = v128.shuffle<i32>(r1, r3, 2, 6, 3, 7);
        const s = scales + o, to = y + o;
        addScaled(v128.shuffle<i32>(low02, low13, 0, 4, 1, 5), unit, s, to);
        addScaled(v128.shuffle<i32>(low02, low13, 2, 6, 3, 7), unit, s + 16, to + 16);
        addScaled(v128.shuffle<i32>(high02, high13, 0, 4, 1, 5), unit, s + 32, to + 32);
        addScaled(v128.shuffle<i32>(high02, high13, 2, 6, 3, 7), unit, s + 48, to + 48);
      }
    }
    scales += <usize>paddedRows << 2;
  }
}

export function gemv_binary_lut8_64x8(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
): void {
  const mask = hiddenSplat8(15, byteCols), work = <usize>paddedRows << 2;
  for (let row = rowBegin; row < rowEnd; row += TILE_ROWS) {
    const height = tileHeight(row, paddedRows);
    const tile = w + <usize>row * <usize>byteCols, s = scales + (<usize>row << 2), out = y + (<usize>row << 2);
    memory.fill(out, 0, <usize>height << 2);
    if (height == TILE_ROWS) {
      lut8Strip(
        tile, TILE_ROWS, s, tables, steps, out, out + work, paddedRows, byteCols, groupByteCols, mask, true,
      );
    } else {
      for (let i = 0; i < height; i += 16) {
        const o = out + (<usize>i << 2);
        lut8Strip(
          tile + <usize>i, height, s + (<usize>i << 2), tables, steps, o, o + work,
          paddedRows, byteCols, groupByteCols, mask, false,
        );
      }
    }
    scaleRows(out, height, factor);
  }
}

// acc[16] += INT8_BASE · sums of h + sums of l, for 16 rows. h and l: even + 256·odd rows (mod 2^16); ho and lo: odd rows;
// each byte that was added is too large by BIAS.
// @ts-ignore: decorator
@inline
function joinRows16(acc: usize, h: v128, ho: v128, l: v128, lo: v128, hBias: v128, lBias: v128): void {
  const join = i32x4.splat((1 << 16) | INT8_BASE);
  const hEven = i16x8.sub(i16x8.sub(h, i16x8.shl(ho, 8)), hBias), hOdd = i16x8.sub(ho, hBias);
  const lEven = i16x8.sub(i16x8.sub(l, i16x8.shl(lo, 8)), lBias), lOdd = i16x8.sub(lo, lBias);
  const h0 = zipLow16(hEven, hOdd), l0 = zipLow16(lEven, lOdd);
  const h1 = zipHigh16(hEven, hOdd), l1 = zipHigh16(lEven, lOdd);
  v128.store(acc, i32x4.add(v128.load(acc), i32x4.dot_i16x8_s(zipLow16(h0, l0), join)));
  v128.store(acc, i32x4.add(v128.load(acc, 16), i32x4.dot_i16x8_s(zipHigh16(h0, l0), join)), 16);
  v128.store(acc, i32x4.add(v128.load(acc, 32), i32x4.dot_i16x8_s(zipLow16(h1, l1), join)), 32);
  v128.store(acc, i32x4.add(v128.load(acc, 48), i32x4.dot_i16x8_s(zipHigh16(h1, l1), join)), 48);
}

// acc += sums of 16 rows, or 32 when wide, over n <= INT8_BLOCK byte columns, exact in int32.
// @ts-ignore: decorator
@inline
function int8Block(w: usize, stride: usize, tables: usize, n: i32, acc: usize, mask: v128, wide: bool): void {
  const zero = i16x8.splat(0), middle = i8x16.splat(<i8>BIAS);
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
): void {
  const mask = hiddenSplat8(15, byteCols), rowBytes = <usize>paddedRows << 2;
  for (let row = rowBegin; row < rowEnd; row += TILE_ROWS) {
    const height = tileHeight(row, paddedRows), stride = <usize>height, bytes = <usize>height << 2;
    const out = y + (<usize>row << 2), acc = out + rowBytes;
    let p = w + <usize>row * <usize>byteCols, t = tables, s = scales + (<usize>row << 2);
    memory.fill(out, 0, bytes);
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
      for (let o: usize = 0; o < bytes; o += 16) addExact(v128.load(acc + o), s + o, out + o);
      s += rowBytes;
    }
    scaleRows(out, height, factor);
  }
}

export function gemv_binary_f32_16x8(
  w: usize, scales: usize, tables: usize, _steps: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
): void {
  for (let row = rowBegin; row < rowEnd; row += TILE_ROWS) {
    const height = tileHeight(row, paddedRows), tile = w + <usize>row * <usize>byteCols;
    const o = <usize>row << 2;
    tileF32(tile, height, scales + o, tables, y + o, paddedRows, byteCols, groupByteCols, 1);
    scaleRows(y + o, height, factor);
  }
}
