// gemv with a table of int16 entries for each row. Layout, algebra and bounds: README.md in this folder.
import { finishRows } from "../lib/finish";
import { STRIP_BYTES, stripStart } from "../lib/layout";
import { hidden, hiddenSplat8, lookup, zipHigh8, zipLow8 } from "../lib/simd";
import { addExact } from "../lut/tile";
import { evenTable, index, oddTable, rowChunkUnits, spreadTable, thirdBits } from "./fields";

// acc + entries x activations of a row, fields j and j + 1 of `index`: 32 columns.
// @ts-ignore: decorator
@inline
function addFields(
  acc: v128, j: i32, u: v128, v: v128, x0: v128, x1: v128, x2: v128, x3: v128,
  l0: v128, h0: v128, l1: v128, h1: v128, nibble: v128, pairs: v128, bits: i32,
): v128 {
  let i = index(j, u, v, nibble, pairs, bits), l = lookup(l0, i), h = lookup(h0, i);
  acc = i32x4.add(acc, i32x4.dot_i16x8_s(zipLow8(l, h), x0));
  acc = i32x4.add(acc, i32x4.dot_i16x8_s(zipHigh8(l, h), x1));
  i = index(j + 1, u, v, nibble, pairs, bits), l = lookup(l1, i), h = lookup(h1, i);
  acc = i32x4.add(acc, i32x4.dot_i16x8_s(zipLow8(l, h), x2));
  return i32x4.add(acc, i32x4.dot_i16x8_s(zipHigh8(l, h), x3));
}

// The sums of the lanes of a and of b, in lanes 0 and 1.
// @ts-ignore: decorator
@inline
function sumTwo(a: v128, b: v128): v128 {
  const v = i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
  return i32x4.add(v, v128.shuffle<i64>(v, v, 1, 0));
}

// @ts-ignore: decorator
@inline
function strips(
  w: usize, scales: usize, panel: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, tables: usize, bits: i32,
): void {
  const nibble = hiddenSplat8(15, byteCols), pairs = hiddenSplat8(0x33, byteCols);
  const spread = hidden(spreadTable(), byteCols), zero = i32x4.splat(0);
  const rowBytes = <usize>paddedRows << 2, chunk = rowChunkUnits(bits);
  const groups = (byteCols + groupByteCols - 1) / groupByteCols;
  const rowStride: usize = bits == 3 ? 48 : 16, stride = rowStride << 4;
  const stripBytes = <usize>(byteCols / chunk) * stride;
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2), sums = out + rowBytes;
    let strip = w + <usize>(row >> 4) * stripBytes, from = panel, s = scales + stripStart(row, groups);
    memory.fill(out, 0, 64);
    for (let group = 0; group < byteCols; group += groupByteCols) {
      const n = <usize>(min(groupByteCols, byteCols - group) / chunk), end = from + n * (<usize>chunk << 4);
      let table = tables + (<usize>row << 5);
      // Two rows at a time, for their sums and four tables fill the registers.
      for (let i: usize = 0; i < 16; i += 2) {
        let l = v128.load(table), h = v128.load(table, 16);
        const l0 = evenTable(l, bits), h0 = evenTable(h, bits), l1 = oddTable(l, bits), h1 = oddTable(h, bits);
        l = v128.load(table, 32), h = v128.load(table, 48);
        const l2 = evenTable(l, bits), h2 = evenTable(h, bits), l3 = oddTable(l, bits), h3 = oddTable(h, bits);
        let a = zero, b = zero, p = strip + i * rowStride, x = from;
        let u: v128, v: v128, x0: v128, x1: v128, x2: v128, x3: v128;
        if (bits == 4) {
          const last = from + ((n & ~3) << 6);
          if (x < last) do { // 128 columns
            x0 = v128.load(x), x1 = v128.load(x, 16), x2 = v128.load(x, 32), x3 = v128.load(x, 48);
            u = v128.load(p);
            a = addFields(a, 0, u, u, x0, x1, x2, x3, l0, h0, l1, h1, nibble, pairs, 4);
            u = v128.load(p, 16);
            b = addFields(b, 0, u, u, x0, x1, x2, x3, l2, h2, l3, h3, nibble, pairs, 4);
            if (x == 0) break; // see README.md, Registers
            x0 = v128.load(x, 64), x1 = v128.load(x, 80), x2 = v128.load(x, 96), x3 = v128.load(x, 112);
            u = v128.load(p, 256);
            a = addFields(a, 0, u, u, x0, x1, x2, x3, l0, h0, l1, h1, nibble, pairs, 4);
            u = v128.load(p, 272);
            b = addFields(b, 0, u, u, x0, x1, x2, x3, l2, h2, l3, h3, nibble, pairs, 4);
            if (x == 0) break; // see README.md, Registers
            x0 = v128.load(x, 128), x1 = v128.load(x, 144), x2 = v128.load(x, 160), x3 = v128.load(x, 176);
            u = v128.load(p, 512);
            a = addFields(a, 0, u, u, x0, x1, x2, x3, l0, h0, l1, h1, nibble, pairs, 4);
            u = v128.load(p, 528);
            b = addFields(b, 0, u, u, x0, x1, x2, x3, l2, h2, l3, h3, nibble, pairs, 4);
            if (x == 0) break; // see README.md, Registers
            x0 = v128.load(x, 192), x1 = v128.load(x, 208), x2 = v128.load(x, 224), x3 = v128.load(x, 240);
            u = v128.load(p, 768);
            a = addFields(a, 0, u, u, x0, x1, x2, x3, l0, h0, l1, h1, nibble, pairs, 4);
            u = v128.load(p, 784);
            b = addFields(b, 0, u, u, x0, x1, x2, x3, l2, h2, l3, h3, nibble, pairs, 4);
            x += 256, p += 1024;
          } while (x < last);
          for (; x < end; x += 64, p += 256) {
            x0 = v128.load(x), x1 = v128.load(x, 16), x2 = v128.load(x, 32), x3 = v128.load(x, 48);
            u = v128.load(p);
            a = addFields(a, 0, u, u, x0, x1, x2, x3, l0, h0, l1, h1, nibble, pairs, 4);
            u = v128.load(p, 16);
            b = addFields(b, 0, u, u, x0, x1, x2, x3, l2, h2, l3, h3, nibble, pairs, 4);
          }
        } else if (bits == 2) {
          do {
            x0 = v128.load(x), x1 = v128.load(x, 16), x2 = v128.load(x, 32), x3 = v128.load(x, 48);
            u = v128.load(p);
            a = addFields(a, 0, u, u, x0, x1, x2, x3, l0, h0, l1, h1, nibble, pairs, 2);
            u = v128.load(p, 16);
            b = addFields(b, 0, u, u, x0, x1, x2, x3, l2, h2, l3, h3, nibble, pairs, 2);
            x0 = v128.load(x, 64), x1 = v128.load(x, 80), x2 = v128.load(x, 96), x3 = v128.load(x, 112);
            u = v128.load(p);
            a = addFields(a, 2, u, u, x0, x1, x2, x3, l0, h0, l1, h1, nibble, pairs, 2);
            u = v128.load(p, 16);
            b = addFields(b, 2, u, u, x0, x1, x2, x3, l2, h2, l3, h3, nibble, pairs, 2);
            x += 128, p += 256;
          } while (x < end);
        } else {
          do {
            x0 = v128.load(x), x1 = v128.load(x, 16), x2 = v128.load(x, 32), x3 = v128.load(x, 48);
            u = v128.load(p), v = thirdBits(v128.load(p, 32), false, nibble, spread);
            a = addFields(a, 0, u, v, x0, x1, x2, x3, l0, h0, l1, h1, nibble, pairs, 3);
            u = v128.load(p, 48), v = thirdBits(v128.load(p, 80), false, nibble, spread);
            b = addFields(b, 0, u, v, x0, x1, x2, x3, l2, h2, l3, h3, nibble, pairs, 3);
            x0 = v128.load(x, 64), x1 = v128.load(x, 80), x2 = v128.load(x, 96), x3 = v128.load(x, 112);
            u = v128.load(p), v = thirdBits(v128.load(p, 32), false, nibble, spread);
            a = addFields(a, 2, u, v, x0, x1, x2, x3, l0, h0, l1, h1, nibble, pairs, 3);
            u = v128.load(p, 48), v = thirdBits(v128.load(p, 80), false, nibble, spread);
            b = addFields(b, 2, u, v, x0, x1, x2, x3, l2, h2, l3, h3, nibble, pairs, 3);
            x0 = v128.load(x, 128), x1 = v128.load(x, 144), x2 = v128.load(x, 160), x3 = v128.load(x, 176);
            u = v128.load(p, 16), v = thirdBits(v128.load(p, 32), true, nibble, spread);
            a = addFields(a, 0, u, v, x0, x1, x2, x3, l0, h0, l1, h1, nibble, pairs, 3);
            u = v128.load(p, 64), v = thirdBits(v128.load(p, 80), true, nibble, spread);
            b = addFields(b, 0, u, v, x0, x1, x2, x3, l2, h2, l3, h3, nibble, pairs, 3);
            x0 = v128.load(x, 192), x1 = v128.load(x, 208), x2 = v128.load(x, 224), x3 = v128.load(x, 240);
            u = v128.load(p, 16), v = thirdBits(v128.load(p, 32), true, nibble, spread);
            a = addFields(a, 2, u, v, x0, x1, x2, x3, l0, h0, l1, h1, nibble, pairs, 3);
            u = v128.load(p, 64), v = thirdBits(v128.load(p, 80), true, nibble, spread);
            b = addFields(b, 2, u, v, x0, x1, x2, x3, l2, h2, l3, h3, nibble, pairs, 3);
            x += 256, p += 768;
          } while (x < end);
        }
        v128.store64_lane(sums + (i << 2), sumTwo(a, b), 0);
        table += 64;
      }
      addExact(v128.load(sums), s, out);
      addExact(v128.load(sums, 16), s + 16, out + 16);
      addExact(v128.load(sums, 32), s + 32, out + 32);
      addExact(v128.load(sums, 48), s + 48, out + 48);
      strip += n * stride;
      from = end;
      s += STRIP_BYTES;
    }
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}

export function gemv_codebook2_rows_int8_16x8(
  w: usize, scales: usize, panel: usize, _sums: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, tables: usize,
): void {
  strips(w, scales, panel, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, tables, 2);
}

export function gemv_codebook3_rows_int8_16x8(
  w: usize, scales: usize, panel: usize, _sums: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, tables: usize,
): void {
  strips(w, scales, panel, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, tables, 3);
}

export function gemv_codebook4_rows_int8_16x8(
  w: usize, scales: usize, panel: usize, _sums: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, tables: usize,
): void {
  strips(w, scales, panel, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, fsums, tables, 4);
}
