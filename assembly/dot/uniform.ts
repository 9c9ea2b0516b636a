// gemv of uniform weights by integer dot products: codes are unpacked in registers, 4 rows x 4 columns a vector, and
// meet 4 activations in every 32-bit lane. 3, 5 and 6 bits, and 4 bits with 32-bit sums; others: narrow.ts, uniform2.ts, products.ts,
// whole.ts. Layout, algebra and bounds: README.md in this folder.
import { finishRows } from "../lib/finish";
import { STRIP_BYTES, stripStart } from "../lib/layout";
import { hidden, hiddenSplat8 } from "../lib/simd";
import { joinHigh, moveBits, nibbles3, thirdBits, thirdNibble, unitBytes } from "./decode";
import { step } from "./step";
import { centring, scaled, splat } from "./sums";

// Bytes of the panel of one unit (8 columns): int8, or int16 without a byte dot product.
// @ts-ignore: decorator
@inline
function panelUnit(): usize {
  return ASC_FEATURE_RELAXED_SIMD ? 8 : 16;
}

// The activations of columns 4k..4k+3 of the 16 in x, or in x and z (8 each) when they are int16: then `even` has
// columns 0 and 2, and `odd`, which is not used otherwise, columns 1 and 3.
// @ts-ignore: decorator
@inline
function even(x: v128, z: v128, k: i32): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? splat(x, k) : splat(k < 2 ? x : z, 2 * (k & 1));
}
// @ts-ignore: decorator
@inline
function odd(x: v128, z: v128, k: i32): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? x : splat(k < 2 ? x : z, 2 * (k & 1) + 1);
}

// The second vector of 16 columns.
// @ts-ignore: decorator
@inline
function second(x: v128, p: usize): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? x : v128.load(p, 16);
}

// Sums are those of a vector of 4 rows, in 32-bit lanes; or, when narrow, in 16-bit lanes, where they start from
// nothing (`first`) and are added to the 32-bit ones (`flush`) after as many steps as README.md allows.
// @ts-ignore: decorator
@inline
function isNarrow(exact32: bool): bool {
  return ASC_FEATURE_RELAXED_SIMD && !exact32;
}

// @ts-ignore: decorator
@inline
function flush(acc: v128, sum: v128, ones: v128, exact32: bool): v128 {
  return isNarrow(exact32) ? i32x4.add(acc, i32x4.dot_i16x8_s(sum, ones)) : sum;
}

// @ts-ignore: decorator
@inline
function stepOrFirst(sum: v128, x: v128, codes: v128, exact32: bool, first: bool): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (first && !exact32) return i16x8.relaxed_dot_i8x16_i7x16_s(x, codes);
  }
  return step(sum, x, codes, exact32);
}

// sum + 4 columns whose codes are the field at bit `from` of each byte of v. mask: the field's, in bytes where there is
// a byte dot product; otherwise in 16-bit lanes, which hold the even columns (0, 2; met by x) below and the odd ones
// (1, 3; met by z) 8 bits higher. `top`: the field ends with the byte.
// @ts-ignore: decorator
@inline
function field(
  sum: v128, v: v128, from: i32, mask: v128, x: v128, z: v128, exact32: bool, top: bool, first: bool,
): v128 {
  sum = stepOrFirst(sum, x, moveBits(v, from, 0, mask), exact32, first);
  if (ASC_FEATURE_RELAXED_SIMD) return sum;
  return step(sum, z, top ? i16x8.shr_u(v, 8 + from) : moveBits(v, 8 + from, 0, mask), exact32);
}

// The same of codes that are whole bytes.
// @ts-ignore: decorator
@inline
function bytes(sum: v128, v: v128, mask: v128, x: v128, z: v128, exact32: bool, first: bool): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return stepOrFirst(sum, x, v, exact32, first);
  return field(sum, v, 0, mask, x, z, exact32, true, first);
}

// The mask of codes up to `largest` for `field`.
// @ts-ignore: decorator
@inline
function fieldMask(largest: i32, hide: i32): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? hiddenSplat8(largest, hide) : hidden(i16x8.splat(<i16>largest), hide);
}

// 3 bits: a word and its third bits, 4 steps.
// @ts-ignore: decorator
@inline
function word3(
  sum: v128, v: v128, third: v128, table0: v128, table1: v128, mask33: v128, mask: v128,
  x0: v128, x1: v128, x2: v128, x3: v128, z0: v128, z1: v128, z2: v128, z3: v128, exact32: bool, first: bool,
): v128 {
  let codes = nibbles3(v, third, table0, 0, mask33);
  sum = field(sum, codes, 0, mask, x0, z0, exact32, false, first);
  sum = field(sum, codes, 4, mask, x2, z2, exact32, true, false);
  codes = nibbles3(v, third, table1, 1, mask33);
  sum = field(sum, codes, 0, mask, x1, z1, exact32, false, false);
  return field(sum, codes, 4, mask, x3, z3, exact32, true, false);
}

// 4 bits: a word, 2 steps with 32-bit sums.
// @ts-ignore: decorator
@inline
function word4(sum: v128, v: v128, mask: v128, x: v128, z: v128): v128 {
  return step(step(sum, x, v128.and(v, mask), true), z, v128.and(i16x8.shr_u(v, 4), mask), true);
}

// acc + 16 columns of 5 or 6 bits: two words of low nibbles and their high bits, from field k of h on.
// @ts-ignore: decorator
@inline
function words56(
  acc: v128, v: v128, w: v128, h: v128, k: i32, high: i32, mask15: v128, maskHigh: v128, mask: v128,
  x0: v128, x1: v128, x2: v128, x3: v128, z0: v128, z1: v128, z2: v128, z3: v128, ones: v128, exact32: bool,
): v128 {
  let sum = bytes(acc, joinHigh(v, h, k, high, mask15, maskHigh), mask, x0, z0, exact32, true);
  sum = bytes(sum, joinHigh(v, h, k + 1, high, mask15, maskHigh), mask, x1, z1, exact32, false);
  if (high == 2) {
    acc = flush(acc, sum, ones, exact32);
    sum = acc;
  }
  sum = bytes(sum, joinHigh(w, h, k + 2, high, mask15, maskHigh), mask, x2, z2, exact32, high == 2);
  sum = bytes(sum, joinHigh(w, h, k + 3, high, mask15, maskHigh), mask, x3, z3, exact32, false);
  return flush(acc, sum, ones, exact32);
}

// y[16] = Σ over groups of scales · Σ x·(code - centre), of a strip of 16 rows; n = byteCols.
// 3 bits. 16-bit lanes: 8 steps, 8·2·127·7 = 14224 <= 32767.
// @ts-ignore: decorator
@inline
function strip3(
  v: usize, s: usize, p: usize, sums: usize, y: usize, n: i32, groupByteCols: i32, exact32: bool,
): void {
  const ones = hidden(i16x8.splat(1), n);
  const mask = fieldMask(15, n), mask15 = hiddenSplat8(15, n), mask33 = hiddenSplat8(0x33, n);
  const table0 = thirdBits(0, n), table1 = thirdBits(1, n);
  const zero = i32x4.splat(0);
  let y0 = zero, y1 = zero, y2 = zero, y3 = zero;
  for (let group = 0; group < n; group += groupByteCols) {
    const units = min(groupByteCols, n - group), end = p + <usize>units * panelUnit();
    let a0 = centring(sums, 3), a1 = a0, a2 = a0, a3 = a0;
    do {
      let x = v128.load(p), z = second(x, p);
      let x0 = even(x, z, 0), x1 = even(x, z, 1), x2 = even(x, z, 2), x3 = even(x, z, 3);
      let z0 = odd(x, z, 0), z1 = odd(x, z, 1), z2 = odd(x, z, 2), z3 = odd(x, z, 3);
      let t0 = word3(
        a0, v128.load(v), thirdNibble(v128.load(v, 128), 0, mask15), table0, table1, mask33, mask, x0, x1, x2, x3, z0,
        z1, z2, z3, exact32, true,
      );
      let t1 = word3(
        a1, v128.load(v, 16), thirdNibble(v128.load(v, 144), 0, mask15), table0, table1, mask33, mask, x0, x1, x2, x3,
        z0, z1, z2, z3, exact32, true,
      );
      let t2 = word3(
        a2, v128.load(v, 32), thirdNibble(v128.load(v, 160), 0, mask15), table0, table1, mask33, mask, x0, x1, x2, x3,
        z0, z1, z2, z3, exact32, true,
      );
      let t3 = word3(
        a3, v128.load(v, 48), thirdNibble(v128.load(v, 176), 0, mask15), table0, table1, mask33, mask, x0, x1, x2, x3,
        z0, z1, z2, z3, exact32, true,
      );
      x = ASC_FEATURE_RELAXED_SIMD ? v128.load(p, 16) : v128.load(p, 32);
      z = second(x, p + 32);
      x0 = even(x, z, 0);
      x1 = even(x, z, 1);
      x2 = even(x, z, 2);
      x3 = even(x, z, 3);
      z0 = odd(x, z, 0);
      z1 = odd(x, z, 1);
      z2 = odd(x, z, 2);
      z3 = odd(x, z, 3);
      t0 = word3(
        t0, v128.load(v, 64), thirdNibble(v128.load(v, 128), 1, mask15), table0, table1, mask33, mask, x0, x1, x2, x3,
        z0, z1, z2, z3, exact32, false,
      );
      a0 = flush(a0, t0, ones, exact32);
      t1 = word3(
        t1, v128.load(v, 80), thirdNibble(v128.load(v, 144), 1, mask15), table0, table1, mask33, mask, x0, x1, x2, x3,
        z0, z1, z2, z3, exact32, false,
      );
      a1 = flush(a1, t1, ones, exact32);
      t2 = word3(
        t2, v128.load(v, 96), thirdNibble(v128.load(v, 160), 1, mask15), table0, table1, mask33, mask, x0, x1, x2, x3,
        z0, z1, z2, z3, exact32, false,
      );
      a2 = flush(a2, t2, ones, exact32);
      t3 = word3(
        t3, v128.load(v, 112), thirdNibble(v128.load(v, 176), 1, mask15), table0, table1, mask33, mask, x0, x1, x2, x3,
        z0, z1, z2, z3, exact32, false,
      );
      a3 = flush(a3, t3, ones, exact32);
      v += 192;
      p += 4 * panelUnit();
    } while (p < end);
    y0 = scaled(y0, a0, v128.load(s));
    y1 = scaled(y1, a1, v128.load(s, 16));
    y2 = scaled(y2, a2, v128.load(s, 32));
    y3 = scaled(y3, a3, v128.load(s, 48));
    s += STRIP_BYTES;
    sums += 4;
  }
  v128.store(y, y0);
  v128.store(y, y1, 16);
  v128.store(y, y2, 32);
  v128.store(y, y3, 48);
}

// y[16] = Σ over groups of scales · Σ x·(code - 8), of a strip of 16 rows; n = byteCols.
// 4 bits, relaxed: 32-bit sums. With 16-bit lanes: narrow.ts.
// @ts-ignore: decorator
@inline
function strip4(v: usize, s: usize, p: usize, sums: usize, y: usize, n: i32, groupByteCols: i32): void {
  const mask = hiddenSplat8(15, n), zero = i32x4.splat(0);
  let y0 = zero, y1 = zero, y2 = zero, y3 = zero;
  for (let group = 0; group < n; group += groupByteCols) {
    const units = min(groupByteCols, n - group), end = p + (<usize>units << 3);
    let a0 = centring(sums, 4), a1 = a0, a2 = a0, a3 = a0;
    const blocksEnd = p + (<usize>(units & ~3) << 3);
    while (p < blocksEnd) {
      let x = v128.load(p), x0 = splat(x, 0), x1 = splat(x, 1), x2 = splat(x, 2), x3 = splat(x, 3);
      a0 = word4(a0, v128.load(v), mask, x0, x1);
      a1 = word4(a1, v128.load(v, 16), mask, x0, x1);
      a2 = word4(a2, v128.load(v, 32), mask, x0, x1);
      a3 = word4(a3, v128.load(v, 48), mask, x0, x1);
      a0 = word4(a0, v128.load(v, 64), mask, x2, x3);
      a1 = word4(a1, v128.load(v, 80), mask, x2, x3);
      a2 = word4(a2, v128.load(v, 96), mask, x2, x3);
      a3 = word4(a3, v128.load(v, 112), mask, x2, x3);
      x = v128.load(p, 16), x0 = splat(x, 0), x1 = splat(x, 1), x2 = splat(x, 2), x3 = splat(x, 3);
      a0 = word4(a0, v128.load(v, 128), mask, x0, x1);
      a1 = word4(a1, v128.load(v, 144), mask, x0, x1);
      a2 = word4(a2, v128.load(v, 160), mask, x0, x1);
      a3 = word4(a3, v128.load(v, 176), mask, x0, x1);
      a0 = word4(a0, v128.load(v, 192), mask, x2, x3);
      a1 = word4(a1, v128.load(v, 208), mask, x2, x3);
      a2 = word4(a2, v128.load(v, 224), mask, x2, x3);
      a3 = word4(a3, v128.load(v, 240), mask, x2, x3);
      v += 256;
      p += 32;
    }
    while (p < end) {
      const x = v128.load64_zero(p), x0 = splat(x, 0), x1 = splat(x, 1);
      a0 = word4(a0, v128.load(v), mask, x0, x1);
      a1 = word4(a1, v128.load(v, 16), mask, x0, x1);
      a2 = word4(a2, v128.load(v, 32), mask, x0, x1);
      a3 = word4(a3, v128.load(v, 48), mask, x0, x1);
      v += 64;
      p += 8;
    }
    y0 = scaled(y0, a0, v128.load(s));
    y1 = scaled(y1, a1, v128.load(s, 16));
    y2 = scaled(y2, a2, v128.load(s, 32));
    y3 = scaled(y3, a3, v128.load(s, 48));
    s += STRIP_BYTES;
    sums += 4;
  }
  v128.store(y, y0);
  v128.store(y, y1, 16);
  v128.store(y, y2, 32);
  v128.store(y, y3, 48);
}

// y[16] = Σ over groups of scales · Σ x·(code - centre), of a strip of 16 rows; n = byteCols.
// 5 bits. 16-bit lanes: 4 steps, 4·2·127·31 = 31496 <= 32767.
// @ts-ignore: decorator
@inline
function strip5(
  v: usize, s: usize, p: usize, sums: usize, y: usize, n: i32, groupByteCols: i32, exact32: bool,
): void {
  const ones = hidden(i16x8.splat(1), n);
  const mask = fieldMask(255, n), mask15 = hiddenSplat8(15, n), maskHigh = hiddenSplat8(0x10, n);
  const zero = i32x4.splat(0);
  let y0 = zero, y1 = zero, y2 = zero, y3 = zero;
  for (let group = 0; group < n; group += groupByteCols) {
    const units = min(groupByteCols, n - group), end = p + <usize>units * panelUnit();
    let a0 = centring(sums, 5), a1 = a0, a2 = a0, a3 = a0;
    do {
      let x = v128.load(p), z = second(x, p);
      let x0 = even(x, z, 0), x1 = even(x, z, 1), x2 = even(x, z, 2), x3 = even(x, z, 3);
      let z0 = odd(x, z, 0), z1 = odd(x, z, 1), z2 = odd(x, z, 2), z3 = odd(x, z, 3);
      a0 = words56(
        a0, v128.load(v), v128.load(v, 64), v128.load(v, 256), 0, 1, mask15, maskHigh, mask, x0, x1, x2, x3, z0, z1, z2,
        z3, ones, exact32,
      );
      a1 = words56(
        a1, v128.load(v, 16), v128.load(v, 80), v128.load(v, 272), 0, 1, mask15, maskHigh, mask, x0, x1, x2, x3, z0, z1,
        z2, z3, ones, exact32,
      );
      a2 = words56(
        a2, v128.load(v, 32), v128.load(v, 96), v128.load(v, 288), 0, 1, mask15, maskHigh, mask, x0, x1, x2, x3, z0, z1,
        z2, z3, ones, exact32,
      );
      a3 = words56(
        a3, v128.load(v, 48), v128.load(v, 112), v128.load(v, 304), 0, 1, mask15, maskHigh, mask, x0, x1, x2, x3, z0,
        z1, z2, z3, ones, exact32,
      );
      x = ASC_FEATURE_RELAXED_SIMD ? v128.load(p, 16) : v128.load(p, 32);
      z = second(x, p + 32);
      x0 = even(x, z, 0);
      x1 = even(x, z, 1);
      x2 = even(x, z, 2);
      x3 = even(x, z, 3);
      z0 = odd(x, z, 0);
      z1 = odd(x, z, 1);
      z2 = odd(x, z, 2);
      z3 = odd(x, z, 3);
      a0 = words56(
        a0, v128.load(v, 128), v128.load(v, 192), v128.load(v, 256), 4, 1, mask15, maskHigh, mask, x0, x1, x2, x3, z0,
        z1, z2, z3, ones, exact32,
      );
      a1 = words56(
        a1, v128.load(v, 144), v128.load(v, 208), v128.load(v, 272), 4, 1, mask15, maskHigh, mask, x0, x1, x2, x3, z0,
        z1, z2, z3, ones, exact32,
      );
      a2 = words56(
        a2, v128.load(v, 160), v128.load(v, 224), v128.load(v, 288), 4, 1, mask15, maskHigh, mask, x0, x1, x2, x3, z0,
        z1, z2, z3, ones, exact32,
      );
      a3 = words56(
        a3, v128.load(v, 176), v128.load(v, 240), v128.load(v, 304), 4, 1, mask15, maskHigh, mask, x0, x1, x2, x3, z0,
        z1, z2, z3, ones, exact32,
      );
      v += 320;
      p += 4 * panelUnit();
    } while (p < end);
    y0 = scaled(y0, a0, v128.load(s));
    y1 = scaled(y1, a1, v128.load(s, 16));
    y2 = scaled(y2, a2, v128.load(s, 32));
    y3 = scaled(y3, a3, v128.load(s, 48));
    s += STRIP_BYTES;
    sums += 4;
  }
  v128.store(y, y0);
  v128.store(y, y1, 16);
  v128.store(y, y2, 32);
  v128.store(y, y3, 48);
}

// y[16] = Σ over groups of scales · Σ x·(code - centre), of a strip of 16 rows; n = byteCols.
// 6 bits. 16-bit lanes: 2 steps, 2·2·127·63 = 32004 <= 32767.
// @ts-ignore: decorator
@inline
function strip6(
  v: usize, s: usize, p: usize, sums: usize, y: usize, n: i32, groupByteCols: i32, exact32: bool,
): void {
  const ones = hidden(i16x8.splat(1), n);
  const mask = fieldMask(255, n), mask15 = hiddenSplat8(15, n), maskHigh = hiddenSplat8(0x30, n);
  const zero = i32x4.splat(0);
  let y0 = zero, y1 = zero, y2 = zero, y3 = zero;
  for (let group = 0; group < n; group += groupByteCols) {
    const units = min(groupByteCols, n - group), end = p + <usize>units * panelUnit();
    let a0 = centring(sums, 6), a1 = a0, a2 = a0, a3 = a0;
    do {
      const x = v128.load(p), z = second(x, p);
      const x0 = even(x, z, 0), x1 = even(x, z, 1), x2 = even(x, z, 2), x3 = even(x, z, 3);
      const z0 = odd(x, z, 0), z1 = odd(x, z, 1), z2 = odd(x, z, 2), z3 = odd(x, z, 3);
      a0 = words56(
        a0, v128.load(v), v128.load(v, 64), v128.load(v, 128), 0, 2, mask15, maskHigh, mask, x0, x1, x2, x3, z0, z1, z2,
        z3, ones, exact32,
      );
      a1 = words56(
        a1, v128.load(v, 16), v128.load(v, 80), v128.load(v, 144), 0, 2, mask15, maskHigh, mask, x0, x1, x2, x3, z0, z1,
        z2, z3, ones, exact32,
      );
      a2 = words56(
        a2, v128.load(v, 32), v128.load(v, 96), v128.load(v, 160), 0, 2, mask15, maskHigh, mask, x0, x1, x2, x3, z0, z1,
        z2, z3, ones, exact32,
      );
      a3 = words56(
        a3, v128.load(v, 48), v128.load(v, 112), v128.load(v, 176), 0, 2, mask15, maskHigh, mask, x0, x1, x2, x3, z0,
        z1, z2, z3, ones, exact32,
      );
      v += 192;
      p += 2 * panelUnit();
    } while (p < end);
    y0 = scaled(y0, a0, v128.load(s));
    y1 = scaled(y1, a1, v128.load(s, 16));
    y2 = scaled(y2, a2, v128.load(s, 32));
    y3 = scaled(y3, a3, v128.load(s, 48));
    s += STRIP_BYTES;
    sums += 4;
  }
  v128.store(y, y0);
  v128.store(y, y1, 16);
  v128.store(y, y2, 32);
  v128.store(y, y3, 48);
}

export function gemv_uniform3_int8_16x8(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  const rowSize = <usize>byteCols * unitBytes(3) / 16;
  const groups = (byteCols + groupByteCols - 1) / groupByteCols;
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2), s = scales + stripStart(row, groups);
    strip3(
      w + <usize>row * rowSize, s, tables, steps, out, byteCols, groupByteCols, false,
    );
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}

export function gemv_uniform5_int8_16x8(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  const rowSize = <usize>byteCols * unitBytes(5) / 16;
  const groups = (byteCols + groupByteCols - 1) / groupByteCols;
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2), s = scales + stripStart(row, groups);
    strip5(
      w + <usize>row * rowSize, s, tables, steps, out, byteCols, groupByteCols, false,
    );
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}

export function gemv_uniform6_int8_16x8(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  const rowSize = <usize>byteCols * unitBytes(6) / 16;
  const groups = (byteCols + groupByteCols - 1) / groupByteCols;
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2), s = scales + stripStart(row, groups);
    strip6(
      w + <usize>row * rowSize, s, tables, steps, out, byteCols, groupByteCols, false,
    );
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}

// The twins below are for the relaxed binary only: without a relaxed dot product they would be the ones above.
export function gemv_uniform3_int8_16x8_i32(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  const rowSize = <usize>byteCols * unitBytes(3) / 16;
  const groups = (byteCols + groupByteCols - 1) / groupByteCols;
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2), s = scales + stripStart(row, groups);
    strip3(
      w + <usize>row * rowSize, s, tables, steps, out, byteCols, groupByteCols, true,
    );
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}

export function gemv_uniform4_int8_16x8_i32(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  const rowSize = <usize>byteCols * unitBytes(4) / 16;
  const groups = (byteCols + groupByteCols - 1) / groupByteCols;
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2), s = scales + stripStart(row, groups);
    strip4(w + <usize>row * rowSize, s, tables, steps, out, byteCols, groupByteCols);
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}

export function gemv_uniform5_int8_16x8_i32(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  const rowSize = <usize>byteCols * unitBytes(5) / 16;
  const groups = (byteCols + groupByteCols - 1) / groupByteCols;
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2), s = scales + stripStart(row, groups);
    strip5(
      w + <usize>row * rowSize, s, tables, steps, out, byteCols, groupByteCols, true,
    );
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}

export function gemv_uniform6_int8_16x8_i32(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  const rowSize = <usize>byteCols * unitBytes(6) / 16;
  const groups = (byteCols + groupByteCols - 1) / groupByteCols;
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2), s = scales + stripStart(row, groups);
    strip6(
      w + <usize>row * rowSize, s, tables, steps, out, byteCols, groupByteCols, true,
    );
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}
