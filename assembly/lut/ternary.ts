// gemv of ternary weights as two bit planes: w = (B0 + B1) / 2 with B0 = sign of (w >= 0), B1 = sign of (w > 0).
// The planes of a row are neighbouring bytes, so one pairwise addition joins them. Everything here is twice the
// product; the caller halves `factor`. Layout, algebra and bounds: README.md in this folder.
import { TILE_ROWS, tileHeight } from "../lib/layout";
import { accumulate, hiddenSplat8, highNibble, lookup, zipHigh16, zipLow16 } from "../lib/simd";
import { INT8_BASE, LUT8_BLOCK, LUT8_SEGMENT, prepareInt8, prepareLut8 } from "./prepare";
import { addScaled, addWeighted, scaleRows, stripF32 } from "./strip";

// Two ways to add neighbouring bytes into 16-bit lanes. Relaxed: a dot product with ones, one instruction on x86, on
// signed bytes. simd128: extadd_pairwise costs three on x86 (it reloads its constant), so bytes are kept unsigned
// (sum + 128), `all` collects even + 256·odd modulo 2^16 and `odd` the odd ones: even + odd = all - 255·odd.
// @ts-ignore: decorator
@inline
function bias(): i32 {
  return ASC_FEATURE_RELAXED_SIMD ? 0 : 128;
}
// @ts-ignore: decorator
@inline
function addAll(all: v128, v: v128, ones: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.add(all, i16x8.relaxed_dot_i8x16_i7x16_s(v, ones));
  return i16x8.add(all, v);
}
// @ts-ignore: decorator
@inline
function addOdd(odd: v128, v: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return odd;
  return i16x8.add(odd, i16x8.shr_u(v, 8));
}
// The sums of both planes, `terms` bytes having been added to each.
// @ts-ignore: decorator
@inline
function total(all: v128, odd: v128, terms: i32): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return all;
  return i16x8.sub(i16x8.sub(all, i16x8.mul(odd, i16x8.splat(255))), i16x8.splat(<i16>(terms * 256)));
}

// Byte columns whose sums of h fit 16 bits: |low + high| <= 112 a plane, two planes: 224·n <= 32767 gives 146; and in
// the unsigned form 255·n <= 65535. A multiple of 3.
const INT8_BLOCK: i32 = 144;

// Byte columns whose sums of l fit a byte: 3·2·16 = 96 <= 127, and 128 ± 96 lies in 32..224.
const INT8_SMALL: usize = 3;

export function prepare_ternary_int8(x: usize, tables: usize, byteCols: i32, r: f64): void {
  prepareInt8(x, tables, byteCols, r, bias());
}

export function prepare_ternary_lut8(
  x: usize, tables: usize, steps: usize, byteCols: i32, groupByteCols: i32, p: f32,
): void {
  prepareLut8(x, tables, steps, byteCols, groupByteCols, p, bias());
}

// One block of n <= LUT8_BLOCK byte columns: |sum| <= 16·2·127 = 4064. `wide`: 32 rows, else 16.
// @ts-ignore: decorator
@inline
function lut8Block(
  w: usize, stride: usize, t: usize, n: i32, mask: v128, ones: v128, weight: i32, acc: usize, wide: bool,
): void {
  const zero = i16x8.splat(0);
  let a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
  const end = t + (<usize>n << 5);
  do {
    const low = v128.load(t), high = v128.load(t, 16);
    let v = v128.load(w);
    v = i8x16.add(lookup(low, v128.and(v, mask)), lookup(high, highNibble(v, mask)));
    a0 = addAll(a0, v, ones);
    b0 = addOdd(b0, v);
    v = v128.load(w, 16);
    v = i8x16.add(lookup(low, v128.and(v, mask)), lookup(high, highNibble(v, mask)));
    a1 = addAll(a1, v, ones);
    b1 = addOdd(b1, v);
    if (wide) {
      v = v128.load(w, 32);
      v = i8x16.add(lookup(low, v128.and(v, mask)), lookup(high, highNibble(v, mask)));
      a2 = addAll(a2, v, ones);
      b2 = addOdd(b2, v);
      v = v128.load(w, 48);
      v = i8x16.add(lookup(low, v128.and(v, mask)), lookup(high, highNibble(v, mask)));
      a3 = addAll(a3, v, ones);
      b3 = addOdd(b3, v);
    }
    t += 32;
    w += stride;
  } while (t < end);
  addWeighted(acc, total(a0, b0, n), total(a1, b1, n), weight);
  if (wide) addWeighted(acc + 64, total(a2, b2, n), total(a3, b3, n), weight);
}

// @ts-ignore: decorator
@inline
function lut8Strip(
  w: usize, stride: usize, scales: usize, tables: usize, steps: usize, y: usize, acc: usize,
  paddedRows: i32, byteCols: i32, groupByteCols: i32, wide: bool,
): void {
  const mask = hiddenSplat8(15, byteCols), ones = hiddenSplat8(1, byteCols), rowBytes: usize = wide ? 128 : 64;
  for (let group = 0; group < byteCols; group += groupByteCols) {
    const groupEnd = min(group + groupByteCols, byteCols);
    for (let segment = group; segment < groupEnd; segment += LUT8_SEGMENT) {
      const segmentEnd = min(segment + LUT8_SEGMENT, groupEnd), unit = v128.load32_splat(steps);
      steps += 4;
      memory.fill(acc, 0, rowBytes);
      for (let block = segment; block < segmentEnd; block += LUT8_BLOCK) {
        const n = min(LUT8_BLOCK, segmentEnd - block);
        lut8Block(w, stride, tables, n, mask, ones, load<i32>(steps), acc, wide);
        w += <usize>n * stride;
        tables += <usize>n << 5;
        steps += 4;
      }
      // Rows 0..3, 8..11, 4..7, 12..15 of each 16, as addWeighted leaves them.
      for (let o: usize = 0; o < rowBytes; o += 64) {
        addScaled(v128.load(acc + o), unit, scales + o, y + o);
        addScaled(v128.load(acc + o, 32), unit, scales + o + 16, y + o + 16);
        addScaled(v128.load(acc + o, 16), unit, scales + o + 32, y + o + 32);
        addScaled(v128.load(acc + o, 48), unit, scales + o + 48, y + o + 48);
      }
    }
    scales += <usize>paddedRows << 2;
  }
}

export function gemv_ternary_lut8_32x8(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
): void {
  const work = <usize>paddedRows << 2;
  for (let row = rowBegin; row < rowEnd; row += TILE_ROWS) {
    const height = tileHeight(row, paddedRows), stride = <usize>height << 1;
    const tile = w + <usize>row * <usize>byteCols * 2, s = scales + (<usize>row << 2), out = y + (<usize>row << 2);
    memory.fill(out, 0, <usize>height << 2);
    let i = 0;
    for (; i + 32 <= height; i += 32) {
      const o = <usize>i << 2;
      lut8Strip(
        tile + (<usize>i << 1), stride, s + o, tables, steps, out + o, out + o + work,
        paddedRows, byteCols, groupByteCols, true,
      );
    }
    if (i < height) {
      const o = <usize>i << 2;
      lut8Strip(
        tile + (<usize>i << 1), stride, s + o, tables, steps, out + o, out + o + work,
        paddedRows, byteCols, groupByteCols, false,
      );
    }
    scaleRows(out, height, factor);
  }
}

// 16 rows: two vectors of 8 rows x 2 planes. Sums over a group are exact in int32, then scaled and added in float32.
// @ts-ignore: decorator
@inline
function int8Strip(
  w: usize, stride: usize, scales: usize, tables: usize, y: usize,
  paddedRows: i32, byteCols: i32, groupByteCols: i32,
): void {
  const mask = hiddenSplat8(15, byteCols), ones = hiddenSplat8(1, byteCols), zero = i16x8.splat(0);
  const middle = i8x16.splat(<i8>bias()), join = i32x4.splat((1 << 16) | INT8_BASE);
  for (let group = 0; group < byteCols; group += groupByteCols) {
    const groupEnd = min(group + groupByteCols, byteCols);
    let i0 = zero, i1 = zero, i2 = zero, i3 = zero;
    for (let block = group; block < groupEnd; block += INT8_BLOCK) {
      const n = min(INT8_BLOCK, groupEnd - block);
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
          a0 = addAll(a0, v, ones);
          b0 = addOdd(b0, v);
          v = v128.load(w, 16);
          u = highNibble(v, mask);
          v = v128.and(v, mask);
          c1 = i8x16.add(i8x16.add(c1, lookup(l0, v)), lookup(l1, u));
          v = i8x16.add(lookup(h0, v), lookup(h1, u));
          a1 = addAll(a1, v, ones);
          b1 = addOdd(b1, v);
          tables += 64;
          w += stride;
        } while (tables < smallEnd);
        d0 = addAll(d0, c0, ones);
        e0 = addOdd(e0, c0);
        d1 = addAll(d1, c1, ones);
        e1 = addOdd(e1, c1);
      } while (tables < end);
      const small = (n + <i32>INT8_SMALL - 1) / <i32>INT8_SMALL;
      let h = total(a0, b0, n), l = total(d0, e0, small);
      i0 = i32x4.add(i0, i32x4.dot_i16x8_s(zipLow16(h, l), join));
      i1 = i32x4.add(i1, i32x4.dot_i16x8_s(zipHigh16(h, l), join));
      h = total(a1, b1, n);
      l = total(d1, e1, small);
      i2 = i32x4.add(i2, i32x4.dot_i16x8_s(zipLow16(h, l), join));
      i3 = i32x4.add(i3, i32x4.dot_i16x8_s(zipHigh16(h, l), join));
    }
    addHalf(i0, scales, y);
    addHalf(i1, scales + 16, y + 16);
    addHalf(i2, scales + 32, y + 32);
    addHalf(i3, scales + 48, y + 48);
    scales += <usize>paddedRows << 2;
  }
}

// Both planes together are exactly twice the integer product: halve it before the first float operation.
// @ts-ignore: decorator
@inline
function addHalf(sums: v128, scales: usize, y: usize): void {
  accumulate(y, f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_s(sums, 1)), v128.load(scales)));
}

export function gemv_ternary_int8_16x8(
  w: usize, scales: usize, tables: usize, _steps: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
): void {
  for (let row = rowBegin; row < rowEnd; row += TILE_ROWS) {
    const height = tileHeight(row, paddedRows), stride = <usize>height << 1;
    const tile = w + <usize>row * <usize>byteCols * 2, s = scales + (<usize>row << 2), out = y + (<usize>row << 2);
    memory.fill(out, 0, <usize>height << 2);
    for (let i = 0; i < height; i += 16) {
      const o = <usize>i << 2;
      int8Strip(tile + (<usize>i << 1), stride, s + o, tables, out + o, paddedRows, byteCols, groupByteCols);
    }
    scaleRows(out, height, factor);
  }
}

export function gemv_ternary_f32_8x8(
  w: usize, scales: usize, tables: usize, _steps: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
): void {
  for (let row = rowBegin; row < rowEnd; row += TILE_ROWS) {
    const height = tileHeight(row, paddedRows), stride = <usize>height << 1;
    const tile = w + <usize>row * <usize>byteCols * 2, s = scales + (<usize>row << 2), out = y + (<usize>row << 2);
    memory.fill(out, 0, <usize>height << 2);
    for (let i = 0; i < height; i += 8) {
      const o = <usize>i << 2;
      stripF32(tile + (<usize>i << 1), stride, s + o, tables, out + o, paddedRows, byteCols, groupByteCols, 2);
    }
    scaleRows(out, height, factor);
  }
}
