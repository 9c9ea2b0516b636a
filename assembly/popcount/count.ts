// Popcounts of W op X over the word columns of 4 rows: a bit-sliced adder over 16 words, then byte counters.
// Circuit and bounds: README.md in this folder.
import { hidden, hiddenSplat8, highNibble, lookup } from "../lib/simd";

// Words of one run of byte counters: a run of 16 words adds at most 8 to a byte, and 31·8 = 248 <= 255.
const RUN: i32 = 496;

// @ts-ignore: decorator
@inline
function meet(w: v128, x: v128, xor: bool): v128 {
  return xor ? v128.xor(w, x) : v128.and(w, x);
}

/**
 * sums[rows] += weight · Σ popcnt(w op x) over n words, int32, modulo 2^32; op is xor or and. w: v128 [n] for each 4 rows,
 * quadBytes apart. x: v128 [n], the same word in each lane. sumsEnd: behind the last row.
 *
 * The adder is made of the 8-gate block of Demenkov, Kojevnikov, Kulikov and Yaroslavtsev (2010, MDFA): pairs of bits
 * travel as (a, p = a ^ b), and z + a1 + b1 + a2 + b2 = s + 2(c + d) is
 *   g = (a1 ^ z) | p1,  z' = z ^ p1,  c = g ^ z',  c ^ d = g ^ ((a2 ^ z') & ~p2),  s = z' ^ p2
 * so that the carries come out as a pair for the next level.
 */
// @ts-ignore: decorator
@inline
function add(
  w: usize, quadBytes: usize, x: usize, n: i32, weight: i32, sums: usize, sumsEnd: usize, ones: v128, xor: bool,
): void {
  const zero = i32x4.splat(0), weights = i32x4.splat(weight);
  const runBytes = <usize>n << 4, adderBytes = runBytes & ~255, quarterBytes = runBytes & ~63;
  do {
    const end = w + runBytes, adderEnd = w + adderBytes, quarterEnd = w + quarterBytes;
    let z1 = zero, z2 = zero, wide = zero;
    let small = zero; // bytes: what the adder holds, and the words past the last 16: 15·8 + 15·8 = 240
    if (w < adderEnd) {
      let z4 = zero, z8 = zero, sum16 = zero;
      do {
        let a = meet(v128.load(w), v128.load(x), xor);
        let p = v128.xor(a, meet(v128.load(w, 16), v128.load(x, 16), xor));
        let g = v128.or(v128.xor(a, z1), p);
        z1 = v128.xor(z1, p);
        const a2 = v128.xor(g, z1);
        a = meet(v128.load(w, 32), v128.load(x, 32), xor);
        p = v128.xor(a, meet(v128.load(w, 48), v128.load(x, 48), xor));
        const p2 = v128.xor(g, v128.andnot(v128.xor(a, z1), p));
        z1 = v128.xor(z1, p);

        a = meet(v128.load(w, 64), v128.load(x, 64), xor);
        p = v128.xor(a, meet(v128.load(w, 80), v128.load(x, 80), xor));
        g = v128.or(v128.xor(a, z1), p);
        z1 = v128.xor(z1, p);
        let b2 = v128.xor(g, z1);
        a = meet(v128.load(w, 96), v128.load(x, 96), xor);
        p = v128.xor(a, meet(v128.load(w, 112), v128.load(x, 112), xor));
        let r2 = v128.xor(g, v128.andnot(v128.xor(a, z1), p));
        z1 = v128.xor(z1, p);

        g = v128.or(v128.xor(a2, z2), p2);
        z2 = v128.xor(z2, p2);
        const a4 = v128.xor(g, z2);
        const p4 = v128.xor(g, v128.andnot(v128.xor(b2, z2), r2));
        z2 = v128.xor(z2, r2);

        a = meet(v128.load(w, 128), v128.load(x, 128), xor);
        p = v128.xor(a, meet(v128.load(w, 144), v128.load(x, 144), xor));
        g = v128.or(v128.xor(a, z1), p);
        z1 = v128.xor(z1, p);
        const c2 = v128.xor(g, z1);
        a = meet(v128.load(w, 160), v128.load(x, 160), xor);
        p = v128.xor(a, meet(v128.load(w, 176), v128.load(x, 176), xor));
        const q2 = v128.xor(g, v128.andnot(v128.xor(a, z1), p));
        z1 = v128.xor(z1, p);

        a = meet(v128.load(w, 192), v128.load(x, 192), xor);
        p = v128.xor(a, meet(v128.load(w, 208), v128.load(x, 208), xor));
        g = v128.or(v128.xor(a, z1), p);
        z1 = v128.xor(z1, p);
        b2 = v128.xor(g, z1);
        a = meet(v128.load(w, 224), v128.load(x, 224), xor);
        p = v128.xor(a, meet(v128.load(w, 240), v128.load(x, 240), xor));
        r2 = v128.xor(g, v128.andnot(v128.xor(a, z1), p));
        z1 = v128.xor(z1, p);

        g = v128.or(v128.xor(c2, z2), q2);
        z2 = v128.xor(z2, q2);
        const b4 = v128.xor(g, z2);
        const r4 = v128.xor(g, v128.andnot(v128.xor(b2, z2), r2));
        z2 = v128.xor(z2, r2);

        g = v128.or(v128.xor(a4, z4), p4);
        z4 = v128.xor(z4, p4);
        const a8 = v128.xor(g, z4);
        const p8 = v128.xor(g, v128.andnot(v128.xor(b4, z4), r4));
        z4 = v128.xor(z4, r4);

        g = v128.or(v128.xor(a8, z8), p8);
        z8 = v128.xor(z8, p8);
        sum16 = i8x16.add(sum16, i8x16.popcnt(v128.xor(g, z8)));
        w += 256;
        x += 256;
      } while (w < adderEnd);
      small = i8x16.popcnt(z8);
      small = i8x16.add(i8x16.add(small, small), i8x16.popcnt(z4));
      wide = i16x8.shl(i16x8.extadd_pairwise_i8x16_u(sum16), 4);
    }
    if (quarterBytes != 0) {
      // The last words by fours, with small in units of 4.
      while (w < quarterEnd) {
        let a = meet(v128.load(w), v128.load(x), xor);
        let p = v128.xor(a, meet(v128.load(w, 16), v128.load(x, 16), xor));
        let g = v128.or(v128.xor(a, z1), p);
        z1 = v128.xor(z1, p);
        const a2 = v128.xor(g, z1);
        a = meet(v128.load(w, 32), v128.load(x, 32), xor);
        p = v128.xor(a, meet(v128.load(w, 48), v128.load(x, 48), xor));
        const p2 = v128.xor(g, v128.andnot(v128.xor(a, z1), p));
        z1 = v128.xor(z1, p);
        g = v128.or(v128.xor(a2, z2), p2);
        z2 = v128.xor(z2, p2);
        small = i8x16.add(small, i8x16.popcnt(v128.xor(g, z2)));
        w += 64;
        x += 64;
      }
      small = i8x16.add(i8x16.add(small, small), i8x16.popcnt(z2));
      small = i8x16.add(i8x16.add(small, small), i8x16.popcnt(z1));
    }
    while (w < end) {
      small = i8x16.add(small, i8x16.popcnt(meet(v128.load(w), v128.load(x), xor)));
      w += 16;
      x += 16;
    }
    // 16-bit lanes: 2·(16·248 + 240) = 8416 <= 32767
    wide = i16x8.add(wide, i16x8.extadd_pairwise_i8x16_u(small));
    const counts = i32x4.dot_i16x8_s(wide, ones);
    v128.store(sums, i32x4.add(v128.load(sums), i32x4.mul(counts, weights)));
    w += quadBytes - runBytes;
    x -= runBytes;
    sums += 16;
  } while (sums < sumsEnd);
}

// Ones in each byte. x86: 6 instructions with table and mask in registers, where popcnt is 10. ARM: popcnt is 1 (`native`).
// @ts-ignore: decorator
@inline
function ones8(v: v128, table: v128, mask: v128, native: bool): v128 {
  if (native) return i8x16.popcnt(v);
  if (!ASC_FEATURE_RELAXED_SIMD) return i8x16.popcnt(v);
  return i8x16.add(lookup(table, v128.and(v, mask)), lookup(table, highNibble(v, mask)));
}

// The same as `add`, word by word: for groups of less than 16 words, and for machines that count bytes in one
// instruction. Bytes of small: at most 15 words not native, 3 native, of 8 each: 120. 16-bit lanes: 2·8·496 = 7936.
// @ts-ignore: decorator
@inline
function addPlain(
  w: usize, quadBytes: usize, x: usize, n: i32, weight: i32, sums: usize, sumsEnd: usize, ones: v128, xor: bool,
  native: bool,
): void {
  const zero = i32x4.splat(0), weights = i32x4.splat(weight);
  const table = hidden(i8x16(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4), n), mask = hiddenSplat8(15, n);
  const runBytes = <usize>n << 4, quarterBytes = runBytes & ~63;
  do {
    const end = w + runBytes, quarterEnd = w + quarterBytes;
    let wide = zero, small = zero;
    while (w < quarterEnd) {
      const a = ones8(meet(v128.load(w), v128.load(x), xor), table, mask, native);
      const b = ones8(meet(v128.load(w, 16), v128.load(x, 16), xor), table, mask, native);
      const c = ones8(meet(v128.load(w, 32), v128.load(x, 32), xor), table, mask, native);
      const d = ones8(meet(v128.load(w, 48), v128.load(x, 48), xor), table, mask, native);
      const four = i8x16.add(i8x16.add(a, b), i8x16.add(c, d)); // bytes <= 32
      if (native) wide = i16x8.add(wide, i16x8.extadd_pairwise_i8x16_u(four));
      else small = i8x16.add(small, four);
      w += 64;
      x += 64;
    }
    while (w < end) {
      small = i8x16.add(small, ones8(meet(v128.load(w), v128.load(x), xor), table, mask, native));
      w += 16;
      x += 16;
    }
    wide = i16x8.add(wide, i16x8.extadd_pairwise_i8x16_u(small));
    const counts = i32x4.dot_i16x8_s(wide, ones);
    v128.store(sums, i32x4.add(v128.load(sums), i32x4.mul(counts, weights)));
    w += quadBytes - runBytes;
    x -= runBytes;
    sums += 16;
  } while (sums < sumsEnd);
}

// @ts-ignore: decorator
@inline
function addRuns(
  w: usize, quadBytes: usize, x: usize, n: i32, weight: i32, sums: usize, sumsEnd: usize, xor: bool, native: bool,
): void {
  const ones = hidden(i16x8.splat(1), n);
  if (!native && n < 16) {
    addPlain(w, quadBytes, x, n, weight, sums, sumsEnd, ones, xor, false);
    return;
  }
  for (; n > 0; n -= RUN) {
    if (native) addPlain(w, quadBytes, x, min(n, RUN), weight, sums, sumsEnd, ones, xor, true);
    else add(w, quadBytes, x, min(n, RUN), weight, sums, sumsEnd, ones, xor);
    w += RUN << 4;
    x += RUN << 4;
  }
}

// Functions of their own: two inlined copies in one kernel are merged into one loop with a branch at every word.
export function addXor(w: usize, quadBytes: usize, x: usize, n: i32, weight: i32, sums: usize, sumsEnd: usize): void {
  addRuns(w, quadBytes, x, n, weight, sums, sumsEnd, true, false);
}

export function addAnd(w: usize, quadBytes: usize, x: usize, n: i32, weight: i32, sums: usize, sumsEnd: usize): void {
  addRuns(w, quadBytes, x, n, weight, sums, sumsEnd, false, false);
}

export function addXorNative(
  w: usize, quadBytes: usize, x: usize, n: i32, weight: i32, sums: usize, sumsEnd: usize,
): void {
  addRuns(w, quadBytes, x, n, weight, sums, sumsEnd, true, true);
}

export function addAndNative(
  w: usize, quadBytes: usize, x: usize, n: i32, weight: i32, sums: usize, sumsEnd: usize,
): void {
  addRuns(w, quadBytes, x, n, weight, sums, sumsEnd, false, true);
}
