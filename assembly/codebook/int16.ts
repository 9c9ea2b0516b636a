// gemv with one table of int16 entries for all rows. Layout, algebra and bounds: README.md in this folder.
import { finishRows } from "../lib/finish";
import { STRIP_BYTES, stripStart } from "../lib/layout";
import { hidden, hiddenSplat8, lookup, zipHigh8, zipLow8 } from "../lib/simd";
import { addExact } from "../lut/tile";
import { chunkBytes, chunkUnits, evenTable, index, oddTable, spreadTable, thirdBits } from "./fields";

// acc + entries x activations of the first (last) two of 4 rows, fields j and j + 1 of `index`: two lanes a row. The
// lookups that both have in common are computed once.
// @ts-ignore: decorator
@inline
function addFirst(
  acc: v128, j: i32, u: v128, v: v128, x0: v128, x1: v128, l0: v128, h0: v128, l1: v128, h1: v128,
  nibble: v128, pairs: v128, bits: i32,
): v128 {
  let i = index(j, u, v, nibble, pairs, bits);
  acc = i32x4.add(acc, i32x4.dot_i16x8_s(zipLow8(lookup(l0, i), lookup(h0, i)), x0));
  i = index(j + 1, u, v, nibble, pairs, bits);
  return i32x4.add(acc, i32x4.dot_i16x8_s(zipLow8(lookup(l1, i), lookup(h1, i)), x1));
}
// @ts-ignore: decorator
@inline
function addLast(
  acc: v128, j: i32, u: v128, v: v128, x0: v128, x1: v128, l0: v128, h0: v128, l1: v128, h1: v128,
  nibble: v128, pairs: v128, bits: i32,
): v128 {
  let i = index(j, u, v, nibble, pairs, bits);
  acc = i32x4.add(acc, i32x4.dot_i16x8_s(zipHigh8(lookup(l0, i), lookup(h0, i)), x0));
  i = index(j + 1, u, v, nibble, pairs, bits);
  return i32x4.add(acc, i32x4.dot_i16x8_s(zipHigh8(lookup(l1, i), lookup(h1, i)), x1));
}

// @ts-ignore: decorator
@inline
function firstHalf(v: v128): v128 {
  return v128.shuffle<i64>(v, v, 0, 0);
}
// @ts-ignore: decorator
@inline
function lastHalf(v: v128): v128 {
  return v128.shuffle<i64>(v, v, 1, 1);
}

// y[4] += scales · sums, each of two lanes
// @ts-ignore: decorator
@inline
function addPairs(a: v128, b: v128, scales: usize, y: usize): void {
  addExact(i32x4.add(v128.shuffle<i32>(a, b, 0, 2, 4, 6), v128.shuffle<i32>(a, b, 1, 3, 5, 7)), scales, y);
}

// @ts-ignore: decorator
@inline
function strips(
  w: usize, scales: usize, panel: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, table: usize, bits: i32,
): void {
  const nibble = hiddenSplat8(15, byteCols), pairs = hiddenSplat8(0x33, byteCols);
  const spread = hidden(spreadTable(), byteCols);
  const low = v128.load(table), high = v128.load(table, 16);
  const l0 = evenTable(low, bits), h0 = evenTable(high, bits), l1 = oddTable(low, bits), h1 = oddTable(high, bits);
  const unitBytes = <usize>(chunkBytes(bits) << 4) / chunkUnits(bits);
  const groups = (byteCols + groupByteCols - 1) / groupByteCols;
  const stripBytes = <usize>byteCols * unitBytes, zero = i32x4.splat(0);
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2);
    let strip = w + <usize>(row >> 4) * stripBytes, from = panel, s = scales + stripStart(row, groups);
    memory.fill(out, 0, 64);
    for (let group = 0; group < byteCols; group += groupByteCols) {
      const n = <usize>min(groupByteCols, byteCols - group), end = from + (n << 4);
      for (let rows: usize = 0; rows < 64; rows += 32) {
        let a = zero, b = zero, c = zero, d = zero, p = strip + rows, x = from;
        let r: v128, x0: v128, x1: v128, u: v128, v: v128;
        if (bits == 4) {
          const last = from + ((n & ~3) << 4);
          if (x < last) do { // 32 columns
            r = v128.load(x), x0 = firstHalf(r), x1 = lastHalf(r);
            u = v128.load(p);
            a = addFirst(a, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            b = addLast(b, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            u = v128.load(p, 16);
            c = addFirst(c, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            d = addLast(d, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            if (x == 0) break; // see README.md, Registers
            r = v128.load(x, 16), x0 = firstHalf(r), x1 = lastHalf(r);
            u = v128.load(p, 64);
            a = addFirst(a, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            b = addLast(b, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            u = v128.load(p, 80);
            c = addFirst(c, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            d = addLast(d, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            if (x == 0) break; // see README.md, Registers
            r = v128.load(x, 32), x0 = firstHalf(r), x1 = lastHalf(r);
            u = v128.load(p, 128);
            a = addFirst(a, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            b = addLast(b, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            u = v128.load(p, 144);
            c = addFirst(c, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            d = addLast(d, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            if (x == 0) break; // see README.md, Registers
            r = v128.load(x, 48), x0 = firstHalf(r), x1 = lastHalf(r);
            u = v128.load(p, 192);
            a = addFirst(a, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            b = addLast(b, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            u = v128.load(p, 208);
            c = addFirst(c, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            d = addLast(d, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            x += 64, p += 256;
          } while (x < last);
          for (; x < end; x += 16, p += 64) {
            r = v128.load(x), x0 = firstHalf(r), x1 = lastHalf(r);
            u = v128.load(p);
            a = addFirst(a, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            b = addLast(b, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            u = v128.load(p, 16);
            c = addFirst(c, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
            d = addLast(d, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 4);
          }
        } else if (bits == 2) {
          do {
            r = v128.load(x), x0 = firstHalf(r), x1 = lastHalf(r);
            u = v128.load(p);
            a = addFirst(a, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 2);
            b = addLast(b, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 2);
            u = v128.load(p, 16);
            c = addFirst(c, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 2);
            d = addLast(d, 0, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 2);
            if (x == 0) break; // see README.md, Registers
            r = v128.load(x, 16), x0 = firstHalf(r), x1 = lastHalf(r);
            u = v128.load(p);
            a = addFirst(a, 2, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 2);
            b = addLast(b, 2, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 2);
            u = v128.load(p, 16);
            c = addFirst(c, 2, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 2);
            d = addLast(d, 2, u, u, x0, x1, l0, h0, l1, h1, nibble, pairs, 2);
            x += 32, p += 64;
          } while (x < end);
        } else {
          do {
            r = v128.load(x), x0 = firstHalf(r), x1 = lastHalf(r);
            u = v128.load(p), v = thirdBits(v128.load(p, 128), false, nibble, spread);
            a = addFirst(a, 0, u, v, x0, x1, l0, h0, l1, h1, nibble, pairs, 3);
            b = addLast(b, 0, u, v, x0, x1, l0, h0, l1, h1, nibble, pairs, 3);
            u = v128.load(p, 16), v = thirdBits(v128.load(p, 144), false, nibble, spread);
            c = addFirst(c, 0, u, v, x0, x1, l0, h0, l1, h1, nibble, pairs, 3);
            d = addLast(d, 0, u, v, x0, x1, l0, h0, l1, h1, nibble, pairs, 3);
            if (x == 0) break; // see README.md, Registers
            r = v128.load(x, 16), x0 = firstHalf(r), x1 = lastHalf(r);
            u = v128.load(p), v = thirdBits(v128.load(p, 128), false, nibble, spread);
            a = addFirst(a, 2, u, v, x0, x1, l0, h0, l1, h1, nibble, pairs, 3);
            b = addLast(b, 2, u, v, x0, x1, l0, h0, l1, h1, nibble, pairs, 3);
            u = v128.load(p, 16), v = thirdBits(v128.load(p, 144), false, nibble, spread);
            c = addFirst(c, 2, u, v, x0, x1, l0, h0, l1, h1, nibble, pairs, 3);
            d = addLast(d, 2, u, v, x0, x1, l0, h0, l1, h1, nibble, pairs, 3);
            if (x == 0) break; // see README.md, Registers
            r = v128.load(x, 32), x0 = firstHalf(r), x1 = lastHalf(r);
            u = v128.load(p, 64), v = thirdBits(v128.load(p, 128), true, nibble, spread);
            a = addFirst(a, 0, u, v, x0, x1, l0, h0, l1, h1, nibble, pairs, 3);
            b = addLast(b, 0, u, v, x0, x1, l0, h0, l1, h1, nibble, pairs, 3);
            u = v128.load(p, 80), v = thirdBits(v128.load(p, 144), true, nibble, spread);
            c = addFirst(c, 0, u, v, x0, x1, l0, h0, l1, h1, nibble, pairs, 3);
            d = addLast(d, 0, u, v, x0, x1, l0, h0, l1, h1, nibble, pairs, 3);
            if (x == 0) break; // see README.md, Registers
            r = v128.load(x, 48), x0 = firstHalf(r), x1 = lastHalf(r);
            u = v128.load(p, 64), v = thirdBits(v128.load(p, 128), true, nibble, spread);
            a = addFirst(a, 2, u, v, x0, x1, l0, h0, l1, h1, nibble, pairs, 3);
            b = addLast(b, 2, u, v, x0, x1, l0, h0, l1, h1, nibble, pairs, 3);
            u = v128.load(p, 80), v = thirdBits(v128.load(p, 144), true, nibble, spread);
            c = addFirst(c, 2, u, v, x0, x1, l0, h0, l1, h1, nibble, pairs, 3);
            d = addLast(d, 2, u, v, x0, x1, l0, h0, l1, h1, nibble, pairs, 3);
            x += 64, p += 192;
          } while (x < end);
        }
        addPairs(a, b, s + rows, out + rows);
        addPairs(c, d, s + rows + 16, out + rows + 16);
      }
      strip += n * unitBytes;
      from = end;
      s += STRIP_BYTES;
    }
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}

export function gemv_codebook2_i16_int8_16x8(
  w: usize, scales: usize, panel: usize, _sums: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, table: usize,
): void {
  strips(w, scales, panel, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, table, 2);
}

export function gemv_codebook3_i16_int8_16x8(
  w: usize, scales: usize, panel: usize, _sums: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, table: usize,
): void {
  strips(w, scales, panel, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, table, 3);
}

export function gemv_codebook4_i16_int8_16x8(
  w: usize, scales: usize, panel: usize, _sums: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, table: usize,
): void {
  strips(w, scales, panel, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, table, 4);
}
