// gemv with one table of int8 entries for all rows. Layout, algebra and bounds: README.md in this folder.
import { finishRows } from "../lib/finish";
import { STRIP_BYTES, stripStart } from "../lib/layout";
import { hidden, hiddenSplat8, lookup } from "../lib/simd";
import { addExact } from "../lut/tile";
import { chunkBytes, chunkUnits, evenTable, index, oddTable, spreadTable, thirdBits } from "./fields";

// Four dot products are summed in 16 bits if no entry is larger: 4·2·32·127 = 32512 <= 32767. One alone
// takes any entry: 2·127·127 = 32258.
const SMALL: i32 = 32;

// Bytes of a unit in the "quads" panel.
// @ts-ignore: decorator
@inline
function panelUnit(): usize {
  return ASC_FEATURE_RELAXED_SIMD ? 8 : 16;
}

// Two fields of the panel as addField takes them where there is no relaxed dot product: x of columns 0 and 2, then x of
// columns 1 and 3 less 256 times the former; twice.
// @ts-ignore: decorator
@inline
function lessFirst(x: v128): v128 {
  return i16x8.sub(x, i16x8.shl(i64x2.shl(x, 32), 8));
}

// @ts-ignore: decorator
@inline
function splat0(v: v128): v128 {
  return v128.shuffle<i32>(v, v, 0, 0, 0, 0);
}
// @ts-ignore: decorator
@inline
function splat1(v: v128): v128 {
  return v128.shuffle<i32>(v, v, 1, 1, 1, 1);
}
// @ts-ignore: decorator
@inline
function splat2(v: v128): v128 {
  return v128.shuffle<i32>(v, v, 2, 2, 2, 2);
}
// @ts-ignore: decorator
@inline
function splat3(v: v128): v128 {
  return v128.shuffle<i32>(v, v, 3, 3, 3, 3);
}

// acc[4 rows] += the entries t (4 rows x 4 columns) x activations. As int16, neighbours are t0 + 256 t1, so
// t0 x0 + t1 x1 = (t0 + 256 t1) x0 + t1 (x1 - 256 x0), which saves a mask: |x1 - 256 x0| <= 257·127 = 32639 <= 32767.
// @ts-ignore: decorator
@inline
function addField(acc: v128, t: v128, x: v128, y: v128, ones: v128, exact32: bool): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (exact32) return i32x4.relaxed_dot_i8x16_i7x16_add_s(x, t, acc);
    return i32x4.add(acc, i32x4.dot_i16x8_s(i16x8.relaxed_dot_i8x16_i7x16_s(x, t), ones));
  }
  return i32x4.add(i32x4.add(acc, i32x4.dot_i16x8_s(t, x)), i32x4.dot_i16x8_s(i16x8.shr_u(t, 8), y));
}

// acc[4 rows] += fields j and j + 1 of `index`: as many as there are registers for without relaxed dot products.
// @ts-ignore: decorator
@inline
function addPair(
  acc: v128, j: i32, u: v128, v: v128, x0: v128, y0: v128, x1: v128, y1: v128,
  evens: v128, odds: v128, nibble: v128, pairs: v128, ones: v128, bits: i32, exact32: bool,
): v128 {
  acc = addField(acc, lookup(evens, index(j, u, v, nibble, pairs, bits)), x0, y0, ones, exact32);
  return addField(acc, lookup(odds, index(j + 1, u, v, nibble, pairs, bits)), x1, y1, ones, exact32);
}

// acc[4 rows] += the four fields of `index`.
// @ts-ignore: decorator
@inline
function addFour(
  acc: v128, u: v128, v: v128, x0: v128, x1: v128, x2: v128, x3: v128,
  evens: v128, odds: v128, nibble: v128, pairs: v128, ones: v128, bits: i32, small: bool, exact32: bool,
): v128 {
  if (small && !exact32) {
    const t0 = lookup(evens, index(0, u, v, nibble, pairs, bits));
    const t1 = lookup(odds, index(1, u, v, nibble, pairs, bits));
    const t2 = lookup(evens, index(2, u, v, nibble, pairs, bits));
    const t3 = lookup(odds, index(3, u, v, nibble, pairs, bits));
    const a = i16x8.add(i16x8.relaxed_dot_i8x16_i7x16_s(x0, t0), i16x8.relaxed_dot_i8x16_i7x16_s(x1, t1));
    const b = i16x8.add(i16x8.relaxed_dot_i8x16_i7x16_s(x2, t2), i16x8.relaxed_dot_i8x16_i7x16_s(x3, t3));
    return i32x4.add(acc, i32x4.dot_i16x8_s(i16x8.add(a, b), ones));
  }
  acc = addPair(acc, 0, u, v, x0, x0, x1, x1, evens, odds, nibble, pairs, ones, bits, exact32);
  return addPair(acc, 2, u, v, x2, x2, x3, x3, evens, odds, nibble, pairs, ones, bits, exact32);
}

// small: no entry exceeds SMALL. exact32: the relaxed dot product that adds into 32-bit lanes.
// @ts-ignore: decorator
@inline
function strips(
  w: usize, scales: usize, panel: usize, sums: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, table: usize, bits: i32, small: bool, exact32: bool,
): void {
  const nibble = hiddenSplat8(15, byteCols), pairs = hiddenSplat8(0x33, byteCols);
  const ones = hidden(i16x8.splat(1), byteCols), spread = hidden(spreadTable(), byteCols);
  const t = v128.load(table), evens = evenTable(t, bits), odds = oddTable(t, bits), least = load<i32>(table, 16);
  const units = chunkUnits(bits);
  const groups = (byteCols + groupByteCols - 1) / groupByteCols;
  const stripBytes = <usize>(byteCols / units) * <usize>(chunkBytes(bits) << 4), unit = panelUnit();
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2);
    let p = w + <usize>(row >> 4) * stripBytes, x = panel, s = scales + stripStart(row, groups), sum = sums;
    memory.fill(out, 0, 64);
    for (let group = 0; group < byteCols; group += groupByteCols) {
      const end = x + <usize>min(groupByteCols, byteCols - group) * unit;
      let a = i32x4.splat(least * load<i32>(sum)), b = a, c = a, d = a, u: v128, v: v128;
      const last = bits == 4 ? end - unit : end; // a single word of 4-bit fields may be left
      if (x < last) do { // 16 columns, or 32 of 3 bits
        let r = v128.load(x);
        if (ASC_FEATURE_RELAXED_SIMD) {
          let x0 = splat0(r), x1 = splat1(r), x2 = splat2(r), x3 = splat3(r);
          u = v128.load(p);
          v = bits == 4 ? v128.load(p, 64) : bits == 3 ? thirdBits(v128.load(p, 128), false, nibble, spread) : u;
          a = addFour(a, u, v, x0, x1, x2, x3, evens, odds, nibble, pairs, ones, bits, small, exact32);
          u = v128.load(p, 16);
          v = bits == 4 ? v128.load(p, 80) : bits == 3 ? thirdBits(v128.load(p, 144), false, nibble, spread) : u;
          b = addFour(b, u, v, x0, x1, x2, x3, evens, odds, nibble, pairs, ones, bits, small, exact32);
          u = v128.load(p, 32);
          v = bits == 4 ? v128.load(p, 96) : bits == 3 ? thirdBits(v128.load(p, 160), false, nibble, spread) : u;
          c = addFour(c, u, v, x0, x1, x2, x3, evens, odds, nibble, pairs, ones, bits, small, exact32);
          u = v128.load(p, 48);
          v = bits == 4 ? v128.load(p, 112) : bits == 3 ? thirdBits(v128.load(p, 176), false, nibble, spread) : u;
          d = addFour(d, u, v, x0, x1, x2, x3, evens, odds, nibble, pairs, ones, bits, small, exact32);
          if (bits == 3) {
            if (x == 0) break; // see README.md, Registers
            r = v128.load(x, 16);
            x0 = splat0(r), x1 = splat1(r), x2 = splat2(r), x3 = splat3(r);
            u = v128.load(p, 64), v = thirdBits(v128.load(p, 128), true, nibble, spread);
            a = addFour(a, u, v, x0, x1, x2, x3, evens, odds, nibble, pairs, ones, bits, small, exact32);
            u = v128.load(p, 80), v = thirdBits(v128.load(p, 144), true, nibble, spread);
            b = addFour(b, u, v, x0, x1, x2, x3, evens, odds, nibble, pairs, ones, bits, small, exact32);
            u = v128.load(p, 96), v = thirdBits(v128.load(p, 160), true, nibble, spread);
            c = addFour(c, u, v, x0, x1, x2, x3, evens, odds, nibble, pairs, ones, bits, small, exact32);
            u = v128.load(p, 112), v = thirdBits(v128.load(p, 176), true, nibble, spread);
            d = addFour(d, u, v, x0, x1, x2, x3, evens, odds, nibble, pairs, ones, bits, small, exact32);
          }
        } else {
          r = lessFirst(r);
          let x0 = splat0(r), y0 = splat1(r), x1 = splat2(r), y1 = splat3(r);
          u = v128.load(p), v = bits == 3 ? thirdBits(v128.load(p, 128), false, nibble, spread) : u;
          a = addPair(a, 0, u, v, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, bits, exact32);
          u = v128.load(p, 16), v = bits == 3 ? thirdBits(v128.load(p, 144), false, nibble, spread) : u;
          b = addPair(b, 0, u, v, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, bits, exact32);
          u = v128.load(p, 32), v = bits == 3 ? thirdBits(v128.load(p, 160), false, nibble, spread) : u;
          c = addPair(c, 0, u, v, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, bits, exact32);
          u = v128.load(p, 48), v = bits == 3 ? thirdBits(v128.load(p, 176), false, nibble, spread) : u;
          d = addPair(d, 0, u, v, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, bits, exact32);
          if (x == 0) break; // see README.md, Registers
          r = lessFirst(v128.load(x, 16));
          x0 = splat0(r), y0 = splat1(r), x1 = splat2(r), y1 = splat3(r);
          u = bits == 4 ? v128.load(p, 64) : v128.load(p);
          v = bits == 3 ? thirdBits(v128.load(p, 128), false, nibble, spread) : u;
          a = addPair(a, 2, u, v, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, bits, exact32);
          u = bits == 4 ? v128.load(p, 80) : v128.load(p, 16);
          v = bits == 3 ? thirdBits(v128.load(p, 144), false, nibble, spread) : u;
          b = addPair(b, 2, u, v, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, bits, exact32);
          u = bits == 4 ? v128.load(p, 96) : v128.load(p, 32);
          v = bits == 3 ? thirdBits(v128.load(p, 160), false, nibble, spread) : u;
          c = addPair(c, 2, u, v, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, bits, exact32);
          u = bits == 4 ? v128.load(p, 112) : v128.load(p, 48);
          v = bits == 3 ? thirdBits(v128.load(p, 176), false, nibble, spread) : u;
          d = addPair(d, 2, u, v, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, bits, exact32);
          if (bits == 3) {
            if (x == 0) break; // see README.md, Registers
            r = lessFirst(v128.load(x, 32));
            x0 = splat0(r), y0 = splat1(r), x1 = splat2(r), y1 = splat3(r);
            u = v128.load(p, 64), v = thirdBits(v128.load(p, 128), true, nibble, spread);
            a = addPair(a, 0, u, v, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, bits, exact32);
            u = v128.load(p, 80), v = thirdBits(v128.load(p, 144), true, nibble, spread);
            b = addPair(b, 0, u, v, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, bits, exact32);
            u = v128.load(p, 96), v = thirdBits(v128.load(p, 160), true, nibble, spread);
            c = addPair(c, 0, u, v, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, bits, exact32);
            u = v128.load(p, 112), v = thirdBits(v128.load(p, 176), true, nibble, spread);
            d = addPair(d, 0, u, v, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, bits, exact32);
            if (x == 0) break; // see README.md, Registers
            r = lessFirst(v128.load(x, 48));
            x0 = splat0(r), y0 = splat1(r), x1 = splat2(r), y1 = splat3(r);
            u = v128.load(p, 64), v = thirdBits(v128.load(p, 128), true, nibble, spread);
            a = addPair(a, 2, u, v, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, bits, exact32);
            u = v128.load(p, 80), v = thirdBits(v128.load(p, 144), true, nibble, spread);
            b = addPair(b, 2, u, v, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, bits, exact32);
            u = v128.load(p, 96), v = thirdBits(v128.load(p, 160), true, nibble, spread);
            c = addPair(c, 2, u, v, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, bits, exact32);
            u = v128.load(p, 112), v = thirdBits(v128.load(p, 176), true, nibble, spread);
            d = addPair(d, 2, u, v, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, bits, exact32);
          }
        }
        x += bits == 3 ? 4 * unit : 2 * unit;
        p += bits == 4 ? 128 : bits == 3 ? 192 : 64;
      } while (x < last);
      if (bits == 4 && x < end) {
        let x0: v128, y0: v128, x1: v128, y1: v128;
        if (ASC_FEATURE_RELAXED_SIMD) {
          const r = v128.load64_zero(x);
          x0 = splat0(r), x1 = splat1(r), y0 = x0, y1 = x1;
        } else {
          const r = lessFirst(v128.load(x));
          x0 = splat0(r), y0 = splat1(r), x1 = splat2(r), y1 = splat3(r);
        }
        u = v128.load(p);
        a = addPair(a, 0, u, u, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, 4, exact32);
        u = v128.load(p, 16);
        b = addPair(b, 0, u, u, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, 4, exact32);
        u = v128.load(p, 32);
        c = addPair(c, 0, u, u, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, 4, exact32);
        u = v128.load(p, 48);
        d = addPair(d, 0, u, u, x0, y0, x1, y1, evens, odds, nibble, pairs, ones, 4, exact32);
        x += unit;
        p += 64;
      }
      addExact(a, s, out);
      addExact(b, s + 16, out + 16);
      addExact(c, s + 32, out + 32);
      addExact(d, s + 48, out + 48);
      s += STRIP_BYTES;
      sum += 4;
    }
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}

// @ts-ignore: decorator
@inline
function gemv(
  w: usize, scales: usize, panel: usize, sums: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, table: usize, bits: i32,
): void {
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (v128.any_true(i8x16.gt_s(v128.load(table), i8x16.splat(<i8>SMALL)))) {
      strips(
        w, scales, panel, sums, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor,
        offsets, fsums, table, bits, false, false,
      );
      return;
    }
  }
  strips(
    w, scales, panel, sums, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor,
    offsets, fsums, table, bits, true, false,
  );
}

export function gemv_codebook2_int8_16x8(
  w: usize, scales: usize, panel: usize, sums: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, table: usize,
): void {
  gemv(
    w, scales, panel, sums, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor,
    offsets, fsums, table, 2,
  );
}

export function gemv_codebook3_int8_16x8(
  w: usize, scales: usize, panel: usize, sums: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, table: usize,
): void {
  gemv(
    w, scales, panel, sums, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor,
    offsets, fsums, table, 3,
  );
}

export function gemv_codebook4_int8_16x8(
  w: usize, scales: usize, panel: usize, sums: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, table: usize,
): void {
  gemv(
    w, scales, panel, sums, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor,
    offsets, fsums, table, 4,
  );
}

// The three below are for the relaxed binary only: without a relaxed dot product they would be the three above.
export function gemv_codebook2_int8_16x8_i32(
  w: usize, scales: usize, panel: usize, sums: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, table: usize,
): void {
  strips(
    w, scales, panel, sums, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor,
    offsets, fsums, table, 2, false, true,
  );
}

export function gemv_codebook3_int8_16x8_i32(
  w: usize, scales: usize, panel: usize, sums: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, table: usize,
): void {
  strips(
    w, scales, panel, sums, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor,
    offsets, fsums, table, 3, false, true,
  );
}

export function gemv_codebook4_int8_16x8_i32(
  w: usize, scales: usize, panel: usize, sums: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, table: usize,
): void {
  strips(
    w, scales, panel, sums, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor,
    offsets, fsums, table, 4, false, true,
  );
}
