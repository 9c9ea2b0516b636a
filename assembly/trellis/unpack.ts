// Tiles to int16 weights for gemm: [step][64 rows][2 columns], as dot/unpack.ts has them. Sums of bytes are the four bytes'
// (510 too much), sums of halves the weight in units of 2^-13.
import { STEP_BYTES } from "../dot/step";
import { hidden, hiddenSplat8, lookup } from "../lib/simd";
import { addendOf, align, bitsOf, factorTable, multiplierOf, parts, wordAt, wordOrder, wrap } from "./decode";

// The weights of two columns, of the states at the top of v and u, in the halves of 32-bit lanes.
// @ts-ignore: decorator
@inline
function pair(
  v: v128, u: v128, m: v128, c: v128, halves: bool, keep: v128, flip: v128, nibble: v128, factors: v128, ones: v128,
  low: v128,
): v128 {
  v = parts(i32x4.add(i32x4.mul(i32x4.shr_u(v, 16), m), c), halves, keep, flip, nibble, factors);
  u = parts(i32x4.add(i32x4.mul(i32x4.shr_u(u, 16), m), c), halves, keep, flip, nibble, factors);
  v = i32x4.dot_i16x8_s(v, ones), u = i32x4.dot_i16x8_s(u, ones);
  // Those of halves are even.
  if (halves) v = i32x4.shr_s(v, 1), u = i32x4.shr_s(u, 1);
  return v128.or(v128.and(v, low), i32x4.shl(u, 16));
}

// One tile: 64 bytes of each of 8 steps. Those of the last one are written last, so what wraps around waits there.
// @ts-ignore: decorator
@inline
function unpackTile(tile: usize, out: usize, table: usize, halves: bool, hide: i32): void {
  const bits = bitsOf(table), m = multiplierOf(table), c = addendOf(table), step = i32x4.splat(1 << bits);
  const keep = hidden(i16x8.splat(-0x7c01), hide), flip = hidden(i16x8.splat(0x0760), hide);
  const nibble = hiddenSplat8(15, hide), factors = factorTable(hide), order = wordOrder(hide);
  const ones = hidden(i16x8.splat(1), hide), low = hidden(i32x4.splat(0xffff), hide);
  const chunk = <usize>bits << 2, work = out + 7 * STEP_BYTES;
  wrap(tile, chunk << 3, work);
  for (let l: usize = 0; l < 4; l += 2) {
    const q = tile + l * chunk, next = q + chunk, r = q + (chunk << 2);
    const first = l == 0 ? work + 8 : q, second = l == 0 && bits == 1 ? work + 12 : next;
    for (let j = 0; j < 8; j += 2) {
      const o = wordAt(bits, j), u = align(bits, j);
      let v0 = i32x4.mul(lookup(v128.load(first + o), order), u), v1 = i32x4.mul(lookup(v128.load(second + o), order), u);
      let v2 = i32x4.mul(lookup(v128.load(r + o), order), u);
      let v3 = i32x4.mul(lookup(v128.load(r + chunk + o), order), u);
      // Columns 2l + 8 (j / 2 & 1) and the next but one, then the two after each; rows from 8 (j / 4) on.
      let to = out + STEP_BYTES * (l + <usize>((j & 2) << 1)) + <usize>((j & 4) << 3);
      for (let i = 0; i < 2; i++) {
        const even = pair(v0, v1, m, c, halves, keep, flip, nibble, factors, ones, low);
        const odd = pair(v2, v3, m, c, halves, keep, flip, nibble, factors, ones, low);
        v128.store(to, v128.shuffle<i32>(even, odd, 0, 4, 1, 5));
        v128.store(to, v128.shuffle<i32>(even, odd, 2, 6, 3, 7), 16);
        v0 = i32x4.mul(v0, step), v1 = i32x4.mul(v1, step), v2 = i32x4.mul(v2, step), v3 = i32x4.mul(v3, step);
        to += STEP_BYTES;
      }
    }
  }
}

// n units, an even number, of rows of a tile of `height` rows whose strips are `stripBytes` apart.
function unpackTrellis(
  w: usize, stripBytes: usize, height: i32, n: i32, out: usize, table: usize, halves: bool,
): void {
  const tileBytes = <usize>bitsOf(table) << 5;
  for (let row = 0; row < height; row += 16) {
    let from = w, to = out;
    for (let c = 0; c < n; c += 2) {
      if (halves) unpackTile(from, to, table, true, n);
      else unpackTile(from, to, table, false, n);
      from += tileBytes;
      to += 8 * STEP_BYTES;
    }
    w += stripBytes;
    out += 64;
  }
}

/** n units from unit `begin` on of the tile of `height` rows from `row` on: sums of bytes, or of halves. */
// @ts-ignore: decorator
@inline
export function unpackTiles(
  w: usize, row: i32, byteCols: i32, begin: i32, height: i32, n: i32, out: usize, table: usize, halves: bool,
): void {
  const bits = <usize>bitsOf(table), stripBytes = (<usize>byteCols * bits) << 4;
  const at = w + <usize>(row >> 4) * stripBytes + <usize>begin * (bits << 4);
  unpackTrellis(at, stripBytes, height, n, out, table, halves);
}
