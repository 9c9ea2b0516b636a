// Tiles of E8P and E81B codes to bytes for gemm: 4w + 11 in 0..22 and 2w + 4 in 0..8. Columns are first pairs of nibbles, a
// pair a byte, which tables of 16 entries add up from the nibbles of masks. README.md has the algebra.
import { hidden, hiddenSplat8, highNibble, lookup, zipHigh16, zipHigh8, zipLow16, zipLow8 } from "../lib/simd";
import { STEP_BYTES, storeCodes } from "../dot/step";
import {
  above, bitTable, escapeHigh, escapeLow, foldParity, ordinary, parityTable, placeHigh, placeLow, placeOfFive, places,
  secondAxis, shifted,
} from "./decode";

// Where row i of 16 is in a stored vector.
// @ts-ignore: decorator
@inline
function rowOrder(hide: i32): v128 {
  return hidden(i8x16(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15), hide);
}

// size · (bit 0 of the index) + 16 · size · (bit 1), and the same of bits 2 and 3; `clear`: of bits that are not set.
// @ts-ignore: decorator
@inline
function spreadFirst(size: i32, clear: i32, hide: i32): v128 {
  const a = <i8>size, b = <i8>(size << 4), c = <i8>(17 * size);
  return hidden(
    clear != 0 ? i8x16(c, b, a, 0, c, b, a, 0, c, b, a, 0, c, b, a, 0)
      : i8x16(0, a, b, c, 0, a, b, c, 0, a, b, c, 0, a, b, c), hide,
  );
}
// @ts-ignore: decorator
@inline
function spreadLast(size: i32, clear: i32, hide: i32): v128 {
  const a = <i8>size, b = <i8>(size << 4), c = <i8>(17 * size);
  return hidden(
    clear != 0 ? i8x16(c, c, c, c, b, b, b, b, a, a, a, a, 0, 0, 0, 0)
      : i8x16(0, 0, 0, 0, a, a, a, a, b, b, b, b, c, c, c, c), hide,
  );
}

// ±2 in the nibble of column i of index i (i + 8: minus), for each pair of columns.
// @ts-ignore: decorator
@inline
function axisTable(pair: i32, hide: i32): v128 {
  if (pair == 0) return hidden(i8x16(2, 32, 0, 0, 0, 0, 0, 0, -2, -32, 0, 0, 0, 0, 0, 0), hide);
  if (pair == 1) return hidden(i8x16(0, 0, 2, 32, 0, 0, 0, 0, 0, 0, -2, -32, 0, 0, 0, 0), hide);
  if (pair == 2) return hidden(i8x16(0, 0, 0, 0, 2, 32, 0, 0, 0, 0, 0, 0, -2, -32, 0, 0), hide);
  return hidden(i8x16(0, 0, 0, 0, 0, 0, 2, 32, 0, 0, 0, 0, 0, 0, -2, -32), hide);
}

// 16 rows of two pairs of columns to 4 columns of each; `twice` the nibbles, by a mask of 0x1e in place of 0x0f.
// @ts-ignore: decorator
@inline
function storeNibbles(a: v128, b: v128, out: usize, mask: v128, lowBytes: v128, twice: bool): void {
  const a0 = v128.and(twice ? i16x8.shl(a, 1) : a, mask), a1 = v128.and(i16x8.shr_u(a, twice ? 3 : 4), mask);
  const b0 = v128.and(twice ? i16x8.shl(b, 1) : b, mask), b1 = v128.and(i16x8.shr_u(b, twice ? 3 : 4), mask);
  let p = zipLow8(a0, a1), q = zipLow8(b0, b1);
  storeCodes(zipLow16(p, q), out, lowBytes);
  storeCodes(zipHigh16(p, q), out + 16, lowBytes);
  p = zipHigh8(a0, a1), q = zipHigh8(b0, b1);
  storeCodes(zipLow16(p, q), out + 32, lowBytes);
  storeCodes(zipHigh16(p, q), out + 48, lowBytes);
}

// Bytes between the codes of 4 columns and of the next 4.
// @ts-ignore: decorator
@inline
function quadBytes(): usize {
  return ASC_FEATURE_RELAXED_SIMD ? STEP_BYTES : 2 * STEP_BYTES;
}

/** n units of a tile of `height` rows to 4w + 11. */
export function unpackE8p(w: usize, height: i32, n: i32, out: usize): void {
  const nibble = hiddenSplat8(15, n), eight = hiddenSplat8(8, n);
  const secondMask = hiddenSplat8(0x87, n), lowBytes = hidden(i16x8.splat(255), n), order = rowOrder(n);
  const el = escapeLow(n), eh = escapeHigh(n), pl = placeLow(n), ph = placeHigh(n);
  const bits = bitTable(n), parity = parityTable(n), zero = i16x8.splat(0), mask = hiddenSplat8(0x1e, n);
  const n0 = spreadFirst(4, 1, n), n1 = spreadLast(4, 1, n), m0 = spreadFirst(2, 0, n), m1 = spreadLast(2, 0, n);
  const t0 = axisTable(0, n), t1 = axisTable(1, n), t2 = axisTable(2, n), t3 = axisTable(3, n);
  const bases = hidden(i8x16(0x33, 0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), n);
  for (let c = 0; c < n; c++) {
    let o = out;
    const end = out + (<usize>height << 2);
    while (o < end) {
      const a = lookup(v128.load(w, 16), order);
      let signs = lookup(v128.load(w), order);
      let v = v128.and(a, nibble), u = highNibble(a, nibble);
      const plain = ordinary(v, u, el, eh), both = places(v, u, plain, pl, ph);
      const place = placeOfFive(both, plain, nibble), five = lookup(bits, place);
      const more = above(a, plain, both, five, bits, secondMask);
      const shift = shifted(signs, more, five, parity, nibble), base = lookup(bases, shift);
      signs = v128.xor(signs, shift);
      const sixth = v128.or(place, v128.andnot(eight, i8x16.eq(v128.and(signs, five), zero)));
      const plus = v128.xor(signs, more), p = v128.and(plus, nibble), q = highNibble(plus, nibble);
      v = v128.and(signs, nibble), u = highNibble(signs, nibble);
      storeNibbles(
        i8x16.add(i8x16.add(base, lookup(t0, sixth)), i8x16.add(lookup(n0, v), lookup(m0, p))),
        i8x16.add(i8x16.add(base, lookup(t1, sixth)), i8x16.add(lookup(n1, v), lookup(m1, p))),
        o, mask, lowBytes, true,
      );
      storeNibbles(
        i8x16.add(i8x16.add(base, lookup(t2, sixth)), i8x16.add(lookup(n0, u), lookup(m0, q))),
        i8x16.add(i8x16.add(base, lookup(t3, sixth)), i8x16.add(lookup(n1, u), lookup(m1, q))),
        o + quadBytes(), mask, lowBytes, true,
      );
      o += 64;
      w += 32;
    }
    out += 2 * quadBytes();
  }
}

/** n units of a tile of `height` rows to 2w + 4. */
export function unpackE81b(w: usize, height: i32, n: i32, out: usize): void {
  const nibble = hiddenSplat8(15, n), eight = hiddenSplat8(8, n);
  const lowBytes = hidden(i16x8.splat(255), n), order = rowOrder(n), zero = i16x8.splat(0);
  const parity = hidden(i8x16(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0), n);
  const n0 = spreadFirst(2, 0, n), n1 = spreadLast(2, 0, n);
  const t0 = axisTable(0, n), t1 = axisTable(1, n), t2 = axisTable(2, n), t3 = axisTable(3, n);
  const base4 = hiddenSplat8(0x44, n), eleven = hiddenSplat8(0x11, n);
  for (let c = 0; c < n; c++) {
    let o = out;
    const end = out + (<usize>height << 2);
    while (o < end) {
      const code = lookup(v128.load(w), order), halves = i8x16.gt_s(zero, code), axes = i8x16.eq(halves, zero);
      const first = v128.and(code, nibble), second = secondAxis(code, first, nibble, eight);
      const i = v128.or(first, halves), j = v128.or(second, halves);
      const signs = v128.xor(code, lookup(parity, foldParity(code, nibble)));
      const v = v128.or(first, axes), u = v128.or(highNibble(signs, nibble), axes);
      // 4 for whole entries, 3 + 2 · sign for halves
      const base = i8x16.sub(base4, v128.and(halves, eleven));
      storeNibbles(
        i8x16.add(i8x16.add(base, lookup(n0, v)), i8x16.add(lookup(t0, i), lookup(t0, j))),
        i8x16.add(i8x16.add(base, lookup(n1, v)), i8x16.add(lookup(t1, i), lookup(t1, j))),
        o, nibble, lowBytes, false,
      );
      storeNibbles(
        i8x16.add(i8x16.add(base, lookup(n0, u)), i8x16.add(lookup(t2, i), lookup(t2, j))),
        i8x16.add(i8x16.add(base, lookup(n1, u)), i8x16.add(lookup(t3, i), lookup(t3, j))),
        o + quadBytes(), nibble, lowBytes, false,
      );
      o += 64;
      w += 16;
    }
    out += 2 * quadBytes();
  }
}
