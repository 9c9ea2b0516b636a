// gemv of trellis codes, exact for int8 activations. Layout, algebra and bounds: README.md in this folder.
import { finishRows } from "../lib/finish";
import { STRIP_BYTES, stripStart } from "../lib/layout";
import { hidden, hiddenSplat8, lookup } from "../lib/simd";
import { addExact } from "../lut/tile";
import { addendOf, align, bitsOf, CENTRE, factorTable, multiplierOf, parts, wordAt, wordOrder, wrap } from "./decode";

// acc + weights of the state at the top of the word w x a column, which is twice in the 32-bit lanes of x.
// @ts-ignore: decorator
@inline
function add(
  acc: v128, w: v128, x: v128, m: v128, c: v128, fast: bool, halves: bool, keep: v128, flip: v128, nibble: v128, factors: v128,
): v128 {
  let y = i32x4.mul(i32x4.shr_u(w, 16), m);
  if (!fast) y = i32x4.add(y, c);
  return i32x4.add(acc, i32x4.dot_i16x8_s(parts(y, halves, keep, flip, nibble, factors), x));
}

// @ts-ignore: decorator
@inline
function strips(
  w: usize, scales: usize, panel: usize, totals: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, table: usize, halves: bool, fast: bool,
): void {
  const bits = bitsOf(table), m = multiplierOf(table), c = addendOf(table), step = i32x4.splat(1 << bits);
  const keep = hidden(i16x8.splat(-0x7c01), byteCols), flip = hidden(i16x8.splat(0x0760), byteCols);
  const nibble = hiddenSplat8(15, byteCols), factors = factorTable(byteCols), order = wordOrder(byteCols);
  const o0 = wordAt(bits, 0), o1 = wordAt(bits, 2), o2 = wordAt(bits, 4), o3 = wordAt(bits, 6);
  const u0 = align(bits, 0), u1 = align(bits, 2), u2 = align(bits, 4), u3 = align(bits, 6);
  const groups = (byteCols + groupByteCols - 1) / groupByteCols, chunk = <usize>bits << 2, tileBytes = chunk << 3;
  const zero = i32x4.splat(0);
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2), work = out + (<usize>paddedRows << 2);
    let p = w + <usize>(row >> 4) * (<usize>byteCols >> 1) * tileBytes, x = panel, total = totals;
    let s = scales + stripStart(row, halves ? 1 : groups);
    memory.fill(out, 0, 64);
    for (let group = 0; group < byteCols; group += groupByteCols) {
      const end = x + (<usize>min(groupByteCols, byteCols - group) << 5);
      let a = zero, b = zero, d = zero, e = zero;
      do {
        wrap(p, tileBytes, work);
        // Of a bit a weight the second chunk, of a byte a lane, goes on from the end of the tile too.
        let q = bits == 1 ? work + 12 : p + chunk, r = p + 5 * chunk, l = x + 8;
        const last = x + 32;
        for (;;) {
          const x0 = v128.load32_splat(l), x1 = v128.load32_splat(l, 4);
          const x2 = v128.load32_splat(l, 32), x3 = v128.load32_splat(l, 36);
          // Chunks l and l + 4: a, b are rows 2 lane and 2 lane + 8, d, e the next ones.
          let v = i32x4.mul(lookup(v128.load(r + o0), order), u0);
          d = add(d, v, x0, m, c, fast, halves, keep, flip, nibble, factors);
          v = i32x4.mul(v, step);
          d = add(d, v, x1, m, c, fast, halves, keep, flip, nibble, factors);
          v = fast ? i32x4.mul(v, step) : i32x4.mul(lookup(v128.load(r + o1), order), u1);
          d = add(d, v, x2, m, c, fast, halves, keep, flip, nibble, factors);
          v = i32x4.mul(v, step);
          d = add(d, v, x3, m, c, fast, halves, keep, flip, nibble, factors);
          v = i32x4.mul(lookup(v128.load(r + o2), order), u2);
          e = add(e, v, x0, m, c, fast, halves, keep, flip, nibble, factors);
          v = i32x4.mul(v, step);
          e = add(e, v, x1, m, c, fast, halves, keep, flip, nibble, factors);
          v = fast ? i32x4.mul(v, step) : i32x4.mul(lookup(v128.load(r + o3), order), u3);
          e = add(e, v, x2, m, c, fast, halves, keep, flip, nibble, factors);
          v = i32x4.mul(v, step);
          e = add(e, v, x3, m, c, fast, halves, keep, flip, nibble, factors);
          v = i32x4.mul(lookup(v128.load(q + o0), order), u0);
          a = add(a, v, x0, m, c, fast, halves, keep, flip, nibble, factors);
          v = i32x4.mul(v, step);
          a = add(a, v, x1, m, c, fast, halves, keep, flip, nibble, factors);
          v = fast ? i32x4.mul(v, step) : i32x4.mul(lookup(v128.load(q + o1), order), u1);
          a = add(a, v, x2, m, c, fast, halves, keep, flip, nibble, factors);
          v = i32x4.mul(v, step);
          a = add(a, v, x3, m, c, fast, halves, keep, flip, nibble, factors);
          v = i32x4.mul(lookup(v128.load(q + o2), order), u2);
          b = add(b, v, x0, m, c, fast, halves, keep, flip, nibble, factors);
          v = i32x4.mul(v, step);
          b = add(b, v, x1, m, c, fast, halves, keep, flip, nibble, factors);
          v = fast ? i32x4.mul(v, step) : i32x4.mul(lookup(v128.load(q + o3), order), u3);
          b = add(b, v, x2, m, c, fast, halves, keep, flip, nibble, factors);
          v = i32x4.mul(v, step);
          b = add(b, v, x3, m, c, fast, halves, keep, flip, nibble, factors);
          if (l == x) break;
          l += 8;
          q += chunk;
          r += chunk;
          // The first chunk comes last: what precedes it is the end of the tile.
          if (l == last) l = x, q = work + 8, r = p + (chunk << 2);
        }
        p += tileBytes;
        x += 64;
      } while (x < end);
      const sum = halves ? zero : i32x4.splat(CENTRE * load<i32>(total));
      total += 4;
      addExact(centred(v128.shuffle<i32>(a, d, 0, 4, 1, 5), sum, halves), s, out);
      addExact(centred(v128.shuffle<i32>(a, d, 2, 6, 3, 7), sum, halves), s + 16, out + 16);
      addExact(centred(v128.shuffle<i32>(b, e, 0, 4, 1, 5), sum, halves), s + 32, out + 32);
      addExact(centred(v128.shuffle<i32>(b, e, 2, 6, 3, 7), sum, halves), s + 48, out + 48);
      if (!halves) s += STRIP_BYTES;
    }
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}

// @ts-ignore: decorator
@inline
function centred(sums: v128, sum: v128, halves: bool): v128 {
  return halves ? i32x4.shr_s(sums, 1) : i32x4.sub(sums, sum);
}

// Up to 4 bits and without an addend (mcg, mul1) four states come of one word, otherwise two. A loop for each number of bits
// would save a tenth.

/** 1MAD, and mul1 of more bits. */
export function gemv_trellis_any_int8_16x16(
  w: usize, scales: usize, panel: usize, totals: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, sums: usize, table: usize,
): void {
  strips(
    w, scales, panel, totals, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, sums, table,
    false, false,
  );
}

/** Sums of bytes: mul1 up to 4 bits. */
export function gemv_trellis_int8_16x16(
  w: usize, scales: usize, panel: usize, totals: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, sums: usize, table: usize,
): void {
  if (load<u32>(table, 4) != 0) {
    gemv_trellis_any_int8_16x16(
      w, scales, panel, totals, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, sums, table,
    );
    return;
  }
  strips(
    w, scales, panel, totals, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, sums, table,
    false, true,
  );
}

/** 3INST, and mcg of more bits. */
export function gemv_trellis_any_i16_int8_16x16(
  w: usize, scales: usize, panel: usize, totals: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, sums: usize, table: usize,
): void {
  strips(
    w, scales, panel, totals, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, sums, table,
    true, false,
  );
}

/** Sums of two halves: mcg up to 4 bits. */
export function gemv_trellis_i16_int8_16x16(
  w: usize, scales: usize, panel: usize, totals: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, sums: usize, table: usize,
): void {
  if (load<u32>(table, 4) != 0) {
    gemv_trellis_any_i16_int8_16x16(
      w, scales, panel, totals, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, sums, table,
    );
    return;
  }
  strips(
    w, scales, panel, totals, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor, offsets, sums, table,
    true, true,
  );
}
