// gemv of companded lattice vectors (GLVQ): bytes that tables of G give for pairs of z are summed, and a table of F⁻¹ makes
// codes of the sums, which meet int8 activations. Exact. Layout, algebra and bounds: README.md in this folder.
import { finishRows } from "../lib/finish";
import { TILE_ROWS, tileHeight } from "../lib/layout";
import { hidden, hiddenSplat8, highNibble, lookup, zipHigh16, zipHigh8, zipLow16, zipLow8 } from "../lib/simd";
import { STEP_BYTES, storeCodes } from "../dot/step";

/** Bytes of `tables` before the groups. */
const HEADER: usize = 16;

/** Bytes of `tables` a group. */
// @ts-ignore: decorator
@inline
function groupBytes(d: i32): usize {
  return 32 + ((<usize>d * <usize>d) << 3);
}

// sum + the two lookups of a byte of codes, saturated.
// @ts-ignore: decorator
@inline
function addNibbles(sum: v128, low: v128, high: v128, n: v128, m: v128): v128 {
  return i8x16.add_sat_s(i8x16.add_sat_s(sum, lookup(low, n)), lookup(high, m));
}

// Sums -128..127 to codes 0..63: index i = (y or ~y) >> 2 of t, then 32 + t, or 31 - t where y is negative.
// first: 32 + t of indices up to 15 (and 15 for more); last: what those from 16 on add. flip = 63, which also takes away
// what crosses from the byte above.
// @ts-ignore: decorator
@inline
function expand(y: v128, first: v128, last: v128, zero: v128, fifteen: v128, sixteen: v128, flip: v128): v128 {
  const sign = i8x16.gt_s(zero, y);
  const i = v128.and(i16x8.shr_u(v128.xor(y, sign), 2), flip);
  const t = i8x16.add(lookup(first, i8x16.min_u(i, fifteen)), lookup(last, i8x16.sub(i, sixteen)));
  return v128.xor(t, v128.and(sign, flip));
}

// acc[4 rows] + 4 columns of codes x activations; x: 4 int8, or x of columns 0 and 2 and z of 1 and 3 as int16.
// @ts-ignore: decorator
@inline
function addQuad(acc: v128, codes: v128, x: v128, z: v128, ones: v128, low: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) {
    return i32x4.add(acc, i32x4.dot_i16x8_s(i16x8.relaxed_dot_i8x16_i7x16_s(x, codes), ones));
  }
  acc = i32x4.add(acc, i32x4.dot_i16x8_s(v128.and(codes, low), x));
  return i32x4.add(acc, i32x4.dot_i16x8_s(i16x8.shr_u(codes, 8), z));
}

// A column of G z of 8 dimensions. t: its tables, those of the next pair 64 bytes on.
// @ts-ignore: decorator
@inline
function sumOfFour(t: usize, k: i32, n0: v128, n1: v128, n2: v128, n3: v128): v128 {
  const a = k == 0 ? v128.load(t) : k == 1 ? v128.load(t, 16) : k == 2 ? v128.load(t, 32) : v128.load(t, 48);
  const b = k == 0 ? v128.load(t, 64) : k == 1 ? v128.load(t, 80) : k == 2 ? v128.load(t, 96) : v128.load(t, 112);
  const c = k == 0 ? v128.load(t, 128) : k == 1 ? v128.load(t, 144) : k == 2 ? v128.load(t, 160) : v128.load(t, 176);
  const e = k == 0 ? v128.load(t, 192) : k == 1 ? v128.load(t, 208) : k == 2 ? v128.load(t, 224) : v128.load(t, 240);
  const sum = i8x16.add_sat_s(lookup(a, n0), lookup(b, n1));
  return i8x16.add_sat_s(i8x16.add_sat_s(sum, lookup(c, n2)), lookup(e, n3));
}

// Σ code·q of 16 rows over n vectors of 8 columns, added to acc[16], which stays in memory: registers are wanted elsewhere.
// @ts-ignore: decorator
@inline
function addEights(w: usize, group: usize, x: usize, n: i32, acc: usize, hide: i32): void {
  const nibble = hiddenSplat8(15, hide), zero = hiddenSplat8(0, hide), sixteen = hiddenSplat8(16, hide);
  const flip = hiddenSplat8(63, hide), ones = hidden(i16x8.splat(1), hide), lowBytes = hidden(i16x8.splat(255), hide);
  const first = v128.load(group), last = v128.load(group, 16), t = group + 32, u = group + 288;
  const end = w + (<usize>n << 5);
  do {
    let n0 = v128.load(w), n2 = v128.load(w, 16);
    const n1 = highNibble(n0, nibble), n3 = highNibble(n2, nibble);
    n0 = v128.and(n0, nibble), n2 = v128.and(n2, nibble);
    let y0 = expand(sumOfFour(t, 0, n0, n1, n2, n3), first, last, zero, nibble, sixteen, flip);
    let y1 = expand(sumOfFour(t, 1, n0, n1, n2, n3), first, last, zero, nibble, sixteen, flip);
    let y2 = expand(sumOfFour(t, 2, n0, n1, n2, n3), first, last, zero, nibble, sixteen, flip);
    let y3 = expand(sumOfFour(t, 3, n0, n1, n2, n3), first, last, zero, nibble, sixteen, flip);
    let q = v128.load32_splat(x), z = ASC_FEATURE_RELAXED_SIMD ? q : v128.load32_splat(x, 4);
    let l0 = zipLow8(y0, y1), l1 = zipLow8(y2, y3), h0 = zipHigh8(y0, y1), h1 = zipHigh8(y2, y3);
    v128.store(acc, addQuad(v128.load(acc), zipLow16(l0, l1), q, z, ones, lowBytes));
    v128.store(acc, addQuad(v128.load(acc, 16), zipHigh16(l0, l1), q, z, ones, lowBytes), 16);
    v128.store(acc, addQuad(v128.load(acc, 32), zipLow16(h0, h1), q, z, ones, lowBytes), 32);
    v128.store(acc, addQuad(v128.load(acc, 48), zipHigh16(h0, h1), q, z, ones, lowBytes), 48);
    y0 = expand(sumOfFour(u, 0, n0, n1, n2, n3), first, last, zero, nibble, sixteen, flip);
    y1 = expand(sumOfFour(u, 1, n0, n1, n2, n3), first, last, zero, nibble, sixteen, flip);
    y2 = expand(sumOfFour(u, 2, n0, n1, n2, n3), first, last, zero, nibble, sixteen, flip);
    y3 = expand(sumOfFour(u, 3, n0, n1, n2, n3), first, last, zero, nibble, sixteen, flip);
    q = ASC_FEATURE_RELAXED_SIMD ? v128.load32_splat(x, 4) : v128.load32_splat(x, 8);
    z = ASC_FEATURE_RELAXED_SIMD ? q : v128.load32_splat(x, 12);
    l0 = zipLow8(y0, y1), l1 = zipLow8(y2, y3), h0 = zipHigh8(y0, y1), h1 = zipHigh8(y2, y3);
    v128.store(acc, addQuad(v128.load(acc), zipLow16(l0, l1), q, z, ones, lowBytes));
    v128.store(acc, addQuad(v128.load(acc, 16), zipHigh16(l0, l1), q, z, ones, lowBytes), 16);
    v128.store(acc, addQuad(v128.load(acc, 32), zipLow16(h0, h1), q, z, ones, lowBytes), 32);
    v128.store(acc, addQuad(v128.load(acc, 48), zipHigh16(h0, h1), q, z, ones, lowBytes), 48);
    x += ASC_FEATURE_RELAXED_SIMD ? 8 : 16;
    w += 32;
  } while (w < end);
}

// The same over n vectors of d = 16 or 32 columns.
// @ts-ignore: decorator
@inline
function addVectors(w: usize, group: usize, x: usize, d: i32, n: i32, acc: usize, hide: i32): void {
  const nibble = hiddenSplat8(15, hide), zero = hiddenSplat8(0, hide), sixteen = hiddenSplat8(16, hide);
  const flip = hiddenSplat8(63, hide), ones = hidden(i16x8.splat(1), hide), lowBytes = hidden(i16x8.splat(255), hide);
  const first = v128.load(group), last = v128.load(group, 16), vectorBytes = <usize>d << 2;
  let a = v128.load(acc), b = v128.load(acc, 16), c = v128.load(acc, 32), e = v128.load(acc, 48);
  for (const end = w + <usize>n * vectorBytes; w < end; w += vectorBytes) {
    const vectorEnd = w + vectorBytes;
    let t = group + 32;
    for (let quad = 0; quad < d; quad += 4) {
      let p = w, v = v128.load(p), m = highNibble(v, nibble);
      v = v128.and(v, nibble);
      let y0 = i8x16.add_sat_s(lookup(v128.load(t), v), lookup(v128.load(t, 64), m));
      let y1 = i8x16.add_sat_s(lookup(v128.load(t, 16), v), lookup(v128.load(t, 80), m));
      let y2 = i8x16.add_sat_s(lookup(v128.load(t, 32), v), lookup(v128.load(t, 96), m));
      let y3 = i8x16.add_sat_s(lookup(v128.load(t, 48), v), lookup(v128.load(t, 112), m));
      do {
        p += 16;
        t += 128;
        v = v128.load(p), m = highNibble(v, nibble), v = v128.and(v, nibble);
        y0 = addNibbles(y0, v128.load(t), v128.load(t, 64), v, m);
        y1 = addNibbles(y1, v128.load(t, 16), v128.load(t, 80), v, m);
        y2 = addNibbles(y2, v128.load(t, 32), v128.load(t, 96), v, m);
        y3 = addNibbles(y3, v128.load(t, 48), v128.load(t, 112), v, m);
      } while (p + 16 < vectorEnd);
      t += 128;
      y0 = expand(y0, first, last, zero, nibble, sixteen, flip);
      y1 = expand(y1, first, last, zero, nibble, sixteen, flip);
      y2 = expand(y2, first, last, zero, nibble, sixteen, flip);
      y3 = expand(y3, first, last, zero, nibble, sixteen, flip);
      const q = v128.load32_splat(x), z = ASC_FEATURE_RELAXED_SIMD ? q : v128.load32_splat(x, 4);
      x += ASC_FEATURE_RELAXED_SIMD ? 4 : 8;
      const l0 = zipLow8(y0, y1), l1 = zipLow8(y2, y3), h0 = zipHigh8(y0, y1), h1 = zipHigh8(y2, y3);
      a = addQuad(a, zipLow16(l0, l1), q, z, ones, lowBytes);
      b = addQuad(b, zipHigh16(l0, l1), q, z, ones, lowBytes);
      c = addQuad(c, zipLow16(h0, h1), q, z, ones, lowBytes);
      e = addQuad(e, zipHigh16(h0, h1), q, z, ones, lowBytes);
    }
  }
  v128.store(acc, a);
  v128.store(acc, b, 16);
  v128.store(acc, c, 32);
  v128.store(acc, e, 48);
}

/** Groups outside, rows of a tile inside: the tables of a group stay in the first-level cache. Scales are shared. */
export function gemv_glvq_int8_16x4(
  w: usize, scales: usize, panel: usize, sums: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, tables: usize,
): void {
  const d = load<i32>(tables), vectorUnits = d >> 3, tableBytes = groupBytes(d);
  const unit: usize = ASC_FEATURE_RELAXED_SIMD ? 8 : 16, stripBytes = <usize>byteCols << 5;
  const groups = (byteCols + groupByteCols - 1) / groupByteCols;
  for (let row = rowBegin; row < rowEnd; row += TILE_ROWS) {
    const height = tileHeight(row, paddedRows), bytes = <usize>height << 2, out = y + (<usize>row << 2);
    const acc = out + (<usize>paddedRows << 2);
    let p = w + <usize>(row >> 4) * stripBytes, t = tables + HEADER, x = panel, s = scales, sum = sums;
    memory.fill(out, 0, bytes);
    for (let group = 0; group < byteCols; group += groupByteCols) {
      const n = min(groupByteCols, byteCols - group), centre = i32x4.splat(63 * load<i32>(sum));
      const scale = v128.load32_splat(s);
      memory.fill(acc, 0, bytes);
      for (let i: usize = 0, strip = p; i < bytes; i += 64, strip += stripBytes) {
        if (d == 8) addEights(strip, t, x, n, acc + i, byteCols);
        else addVectors(strip, t, x, d, n / vectorUnits, acc + i, byteCols);
      }
      for (let o: usize = 0; o < bytes; o += 16) {
        const exact = f32x4.convert_i32x4_s(i32x4.sub(i32x4.shl(v128.load(acc + o), 1), centre));
        v128.store(out + o, f32x4.add(v128.load(out + o), f32x4.mul(exact, scale)));
      }
      p += <usize>n << 5;
      x += <usize>n * unit;
      t += tableBytes;
      s += 256;
      sum += 4;
    }
    finishRows(out, height, row, 1, factor, offsets, fsums, groups);
  }
}

/** n units from unit `begin` on, of one group, of a tile of `height` rows, to codes 0..63. */
export function unpackGlvq(
  w: usize, row: i32, height: i32, byteCols: i32, begin: i32, group: i32, n: i32, out: usize, tables: usize,
): void {
  const d = load<i32>(tables), vectorBytes = <usize>d << 2;
  const t0 = tables + HEADER + <usize>group * groupBytes(d), stripBytes = <usize>byteCols << 5;
  const nibble = hiddenSplat8(15, n), zero = hiddenSplat8(0, n), sixteen = hiddenSplat8(16, n);
  const flip = hiddenSplat8(63, n), lowBytes = hidden(i16x8.splat(255), n);
  const first = v128.load(t0), last = v128.load(t0, 16);
  const quadBytes: usize = ASC_FEATURE_RELAXED_SIMD ? STEP_BYTES : 2 * STEP_BYTES;
  let strip = w + <usize>(row >> 4) * stripBytes + (<usize>begin << 5);
  for (let i = 0; i < height; i += 16, strip += stripBytes, out += 64) {
    let o = out;
    for (let v = strip, end = strip + (<usize>n << 5); v < end; v += vectorBytes) {
      const vectorEnd = v + vectorBytes;
      let t = t0 + 32;
      for (let quad = 0; quad < d; quad += 4) {
        let y0 = i8x16.splat(0), y1 = y0, y2 = y0, y3 = y0;
        for (let p = v; p < vectorEnd; p += 16) {
          const u = v128.load(p), m = highNibble(u, nibble), l = v128.and(u, nibble);
          y0 = addNibbles(y0, v128.load(t), v128.load(t, 64), l, m);
          y1 = addNibbles(y1, v128.load(t, 16), v128.load(t, 80), l, m);
          y2 = addNibbles(y2, v128.load(t, 32), v128.load(t, 96), l, m);
          y3 = addNibbles(y3, v128.load(t, 48), v128.load(t, 112), l, m);
          t += 128;
        }
        y0 = expand(y0, first, last, zero, nibble, sixteen, flip);
        y1 = expand(y1, first, last, zero, nibble, sixteen, flip);
        y2 = expand(y2, first, last, zero, nibble, sixteen, flip);
        y3 = expand(y3, first, last, zero, nibble, sixteen, flip);
        const l0 = zipLow8(y0, y1), l1 = zipLow8(y2, y3), h0 = zipHigh8(y0, y1), h1 = zipHigh8(y2, y3);
        storeCodes(zipLow16(l0, l1), o, lowBytes);
        storeCodes(zipHigh16(l0, l1), o + 16, lowBytes);
        storeCodes(zipLow16(h0, h1), o + 32, lowBytes);
        storeCodes(zipHigh16(h0, h1), o + 48, lowBytes);
        o += quadBytes;
      }
    }
  }
}
