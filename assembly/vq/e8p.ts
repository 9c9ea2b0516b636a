// gemv of E8P codes by table lookup, exact for int8 activations. Layout, algebra and bounds: README.md in this folder.
import { finishRows } from "../lib/finish";
import { groupStart, TILE_ROWS, tileHeight } from "../lib/layout";
import { hiddenSplat8, highNibble, lookup } from "../lib/simd";
import { INT8_BASE } from "../lut/prepare";
import { addExact } from "../lut/tile";
import {
  above, bitTable, escapeHigh, escapeLow, ordinary, parityTable, placeHigh, placeLow, placeOfFive, places, shifted,
} from "./decode";
import { evenBytes, join } from "./join";
import { UNIT_BYTES } from "./prepare";

// Units of a block: 16-bit sums of (104 + 1016)·20 = 22400 <= 32767, and of unsigned bytes 255·20. What `decode` leaves of
// them, 48 bytes a unit and 32, fits the working space of 16 rows.
const BLOCK: i32 = 20;
const SUMS: usize = 960;

/** Bytes of working space a row behind that of the sums, of which a tile uses those of 16 rows. */
const WORK_BYTES: usize = 64;

// One unit of 16 rows to masks at `work`: negative columns; those negative and ½ or positive and more (indices of the second
// plane); the index of the axis that 5/2 adds. Returns 1 where the shift is -¼.
// @ts-ignore: decorator
@inline
function decodeUnit(
  w: usize, work: usize, nibble: v128, eight: v128, secondMask: v128, el: v128, eh: v128, pl: v128, ph: v128,
  bits: v128, parity: v128,
): v128 {
  const a = v128.load(w, 16), low = v128.and(a, nibble), high = highNibble(a, nibble);
  const plain = ordinary(low, high, el, eh), both = places(low, high, plain, pl, ph);
  const place = placeOfFive(both, plain, nibble), five = lookup(bits, place);
  const more = above(a, plain, both, five, bits, secondMask);
  let signs = v128.load(w);
  const shift = shifted(signs, more, five, parity, nibble);
  signs = v128.xor(signs, shift);
  v128.store(work, signs);
  v128.store(work, v128.xor(signs, more), 16);
  v128.store(work, v128.or(place, v128.and(i8x16.eq(v128.and(signs, five), i8x16.splat(0)), eight)), 32);
  return shift;
}

// n <= BLOCK units, 48 bytes each; at work + SUMS the sums of Σ q where the shift is -¼, even + 256·odd rows (modulo 2^16)
// and odd ones. Apart from `addDecoded`, because together they need twice as many registers as there are.
// @ts-ignore: decorator
@inline
function decode(
  w: usize, stride: usize, tables: usize, n: i32, work: usize, nibble: v128, eight: v128, secondMask: v128,
  el: v128, eh: v128, pl: v128, ph: v128, bits: v128, parity: v128,
): void {
  const sums = work + SUMS, end = tables + <usize>n * UNIT_BYTES;
  let all = i16x8.splat(0), odd = all;
  do {
    let shift = decodeUnit(w, work, nibble, eight, secondMask, el, eh, pl, ph, bits, parity);
    all = i16x8.add(all, i16x8.mul(shift, v128.load(tables, 96)));
    odd = i16x8.add(odd, i16x8.mul(i16x8.shr_u(shift, 8), v128.load(tables, 96)));
    work += 48;
    tables += UNIT_BYTES;
    w += stride;
    if (tables >= end) break;
    shift = decodeUnit(w, work, nibble, eight, secondMask, el, eh, pl, ph, bits, parity);
    all = i16x8.add(all, i16x8.mul(shift, v128.load(tables, 96)));
    odd = i16x8.add(odd, i16x8.mul(i16x8.shr_u(shift, 8), v128.load(tables, 96)));
    work += 48;
    tables += UNIT_BYTES;
    w += stride;
  } while (tables < end);
  v128.store(sums, all);
  v128.store(sums, odd, 16);
}

// Entries of the low and the high nibble of the indices v.
// @ts-ignore: decorator
@inline
function entries(low: v128, high: v128, v: v128, u: v128): v128 {
  return i8x16.add(lookup(low, v), lookup(high, u));
}

// acc[16] += Σ (4w - 1)·q over the n units of `decode`, exact in int32.
// @ts-ignore: decorator
@inline
function addDecoded(work: usize, tables: usize, n: i32, acc: usize, nibble: v128): void {
  const sums = work + SUMS, end = tables + <usize>n * UNIT_BYTES, zero = i16x8.splat(0);
  let ha = zero, ho = zero, ka = zero, ko = zero, la = zero, lo = zero;
  do {
    let h0 = v128.load(tables), h1 = v128.load(tables, 16), l0 = v128.load(tables, 32), l1 = v128.load(tables, 48);
    let v = v128.load(work), u = highNibble(v, nibble), axis = v128.load(work, 32);
    v = v128.and(v, nibble);
    let sum = i8x16.add(entries(h0, h1, v, u), lookup(v128.load(tables, 64), axis));
    ha = i16x8.add(ha, sum);
    ho = i16x8.add(ho, i16x8.shr_u(sum, 8));
    let small = i8x16.add(entries(l0, l1, v, u), lookup(v128.load(tables, 80), axis));
    v = v128.load(work, 16), u = highNibble(v, nibble), v = v128.and(v, nibble);
    sum = entries(h0, h1, v, u);
    ka = i16x8.add(ka, sum);
    ko = i16x8.add(ko, i16x8.shr_u(sum, 8));
    sum = i8x16.sub(i8x16.sub(entries(l0, l1, v, u), small), small);
    la = i16x8.add(la, sum);
    lo = i16x8.add(lo, i16x8.shr_u(sum, 8));
    work += 48;
    tables += UNIT_BYTES;
    if (tables >= end) break;
    h0 = v128.load(tables), h1 = v128.load(tables, 16), l0 = v128.load(tables, 32), l1 = v128.load(tables, 48);
    v = v128.load(work), u = highNibble(v, nibble), axis = v128.load(work, 32);
    v = v128.and(v, nibble);
    sum = i8x16.add(entries(h0, h1, v, u), lookup(v128.load(tables, 64), axis));
    ha = i16x8.add(ha, sum);
    ho = i16x8.add(ho, i16x8.shr_u(sum, 8));
    small = i8x16.add(entries(l0, l1, v, u), lookup(v128.load(tables, 80), axis));
    v = v128.load(work, 16), u = highNibble(v, nibble), v = v128.and(v, nibble);
    sum = entries(h0, h1, v, u);
    ka = i16x8.add(ka, sum);
    ko = i16x8.add(ko, i16x8.shr_u(sum, 8));
    sum = i8x16.sub(i8x16.sub(entries(l0, l1, v, u), small), small);
    la = i16x8.add(la, sum);
    lo = i16x8.add(lo, i16x8.shr_u(sum, 8));
    work += 48;
    tables += UNIT_BYTES;
  } while (tables < end);
  // Each byte of ha and ka is 128 too large, and those of la: l - 2l leaves -128, which modulo 256 is the same. Of
  // k - 2h that makes -128 a unit.
  const bias = i16x8.splat(<i16>(n << 7)), weights = i32x4.splat((2 << 16) | (2 * INT8_BASE));
  const odd = v128.load(sums, 16), even = i16x8.add(evenBytes(v128.load(sums), odd), bias);
  const he = evenBytes(ha, ho), ke = i16x8.add(evenBytes(ka, ko), bias), kd = i16x8.add(ko, bias);
  join(acc, i16x8.sub(ke, i16x8.add(he, he)), i16x8.sub(evenBytes(la, lo), even), weights);
  join(acc + 32, i16x8.sub(kd, i16x8.add(ho, ho)), i16x8.sub(lo, i16x8.add(odd, bias)), weights);
}

// Blocks outside, rows inside: a block of the tile and of the tables stays in the first-level cache for all rows.
export function gemv_e8p_int8_16x8(
  w: usize, scales: usize, tables: usize, totals: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, sums: usize,
): void {
  const rowBytes = <usize>paddedRows << 2, groups = (byteCols + groupByteCols - 1) / groupByteCols;
  const nibble = hiddenSplat8(15, byteCols), eight = hiddenSplat8(8, byteCols);
  const secondMask = hiddenSplat8(0x87, byteCols), bits = bitTable(byteCols), parity = parityTable(byteCols);
  const el = escapeLow(byteCols), eh = escapeHigh(byteCols), pl = placeLow(byteCols), ph = placeHigh(byteCols);
  for (let row = rowBegin; row < rowEnd; row += TILE_ROWS) {
    const height = tileHeight(row, paddedRows), stride = <usize>height << 1, bytes = <usize>height << 2;
    const out = y + (<usize>row << 2), acc = out + rowBytes, work = y + 2 * rowBytes + <usize>row * WORK_BYTES;
    let p = w + <usize>row * <usize>byteCols * 2, s = scales + groupStart(row, groups), t = tables, total = totals;
    memory.fill(out, 0, bytes);
    for (let group = 0; group < byteCols; group += groupByteCols) {
      const groupEnd = min(group + groupByteCols, byteCols), sum = v128.load32_splat(total);
      for (let o: usize = 0; o < bytes; o += 16) v128.store(acc + o, sum);
      for (let block = group; block < groupEnd; block += BLOCK) {
        const n = min(BLOCK, groupEnd - block);
        for (let i = 0; i < height; i += 16) {
          decode(
            p + (<usize>i << 1), stride, t, n, work, nibble, eight, secondMask, el, eh, pl, ph, bits, parity,
          );
          addDecoded(work, t, n, acc + (<usize>i << 2), nibble);
        }
        p += <usize>n * stride;
        t += <usize>n * UNIT_BYTES;
      }
      for (let o: usize = 0; o < bytes; o += 16) addExact(v128.load(acc + o), s + o, out + o);
      s += bytes;
      total += 4;
    }
    finishRows(out, height, row, 1, factor, offsets, sums, groups);
  }
}
