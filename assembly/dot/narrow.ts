// gemv of codes of 2, 4 and 8 bits for processors whose dot products have no 32-bit sums (x86 without AVX-VNNI), and for x86 in the
// binary without relaxed SIMD: codes are unpacked in registers, 4 rows x 4 columns a vector, and meet 4 activations in every
// 32-bit lane. Of 4 and 8 bits the relaxed binary takes two strips of 16 rows at once: on these processors two streams of
// weights come faster from memory than one. Those with AVX-VNNI, which want one, have kernels of their own (whole.ts), but run
// this source in the other binary. Layout, algebra and bounds: README.md in this folder.
import { finishRows } from "../lib/finish";
import { STRIP_BYTES, stripStart } from "../lib/layout";
import { hidden, hiddenSplat8 } from "../lib/simd";
import { unitBytes } from "./decode";
import { addScaled, centring, dot16, splat } from "./sums";

// acc + sums in 16-bit lanes.
// @ts-ignore: decorator
@inline
function widen(acc: v128, sum: v128, ones: v128): v128 {
  return i32x4.add(acc, i32x4.dot_i16x8_s(sum, ones));
}

// @ts-ignore: decorator
@inline
function wideStep(sum: v128, x: v128, codes: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(x, codes));
}

// y[16] += scales · sums
// @ts-ignore: decorator
@inline
function addGroup(y: usize, a: v128, b: v128, c: v128, d: v128, s: usize): void {
  addScaled(y, a, s);
  addScaled(y + 16, b, s + 16);
  addScaled(y + 32, c, s + 32);
  addScaled(y + 48, d, s + 48);
}

// ---- 2 bits

// Two steps of 16-bit lanes: fields 0 and 2 of a word (mask 3), or 1 and 3, four times too large (mask 12). w = v >> 4.
// @ts-ignore: decorator
@inline
function first2(v: v128, w: v128, mask: v128, x: v128, next: v128): v128 {
  return i16x8.add(dot16(x, v128.and(v, mask)), dot16(next, v128.and(w, mask)));
}
// @ts-ignore: decorator
@inline
function more2(sum: v128, v: v128, w: v128, mask: v128, x: v128, next: v128): v128 {
  return i16x8.add(i16x8.add(sum, dot16(x, v128.and(v, mask))), dot16(next, v128.and(w, mask)));
}

// acc + the sums of both pairs of fields.
// @ts-ignore: decorator
@inline
function join2(acc: v128, low: v128, high: v128, ones: v128): v128 {
  return widen(acc, i16x8.add(low, i16x8.shr_s(high, 2)), ones);
}

// Bytes of 10 units, 5 chunks, of activations, which 16-bit lanes take: fields 1 and 3 make 2·2·127·12 = 6096 a chunk, 5·6096 =
// 30480 <= 32767; with a quarter of that, as much of fields 0 and 2 is 15240.
const DEPTH2: usize = 80;

// simd128: 4 of the 8 products of int16 of a word, those of one byte of each 16-bit lane. The byte is left whole, and then
// without its lower fields: README.md has what the activations are that make up for it.
// @ts-ignore: decorator
@inline
function byteProducts(sum: v128, all: v128, v: v128, m1: v128, m2: v128, m3: v128, x: v128, y: v128, z: v128, u: v128): v128 {
  sum = wideStep(sum, x, all);
  sum = wideStep(sum, y, v128.and(v, m1));
  sum = wideStep(sum, z, v128.and(v, m2));
  return wideStep(sum, u, v128.and(v, m3));
}
// @ts-ignore: decorator
@inline
function lowBytes(
  sum: v128, v: v128, m0: v128, m1: v128, m2: v128, m3: v128, x: v128, y: v128, z: v128, u: v128,
): v128 {
  return byteProducts(sum, v128.and(v, m0), v, m1, m2, m3, x, y, z, u);
}
// @ts-ignore: decorator
@inline
function highBytes(sum: v128, v: v128, m1: v128, m2: v128, m3: v128, x: v128, y: v128, z: v128, u: v128): v128 {
  v = i16x8.shr_u(v, 8);
  return byteProducts(sum, v, v, m1, m2, m3, x, y, z, u);
}

// Of all functions below: y[16] = Σ over groups of scales · Σ x·(code - centre), of the strip of 16 rows at v; n = byteCols. y is in
// memory: registers are few. Relaxed loops have activations broadcast by loads, which take no vector instruction on x86; those of int16,
// of which there are twice as many, take them from lanes, which is fewer instructions.
// @ts-ignore: decorator
@inline
function strip2(v: usize, s: usize, p: usize, sums: usize, y: usize, n: i32, groupByteCols: i32): void {
  const unit: usize = ASC_FEATURE_RELAXED_SIMD ? 8 : 16;
  const mask = hiddenSplat8(3, n), mask12 = hiddenSplat8(12, n), ones = hidden(i16x8.splat(1), n);
  const m0 = hidden(i16x8.splat(255), n), m1 = hidden(i16x8.splat(252), n);
  const m2 = hidden(i16x8.splat(240), n), m3 = hidden(i16x8.splat(192), n);
  memory.fill(y, 0, 64);
  for (let group = 0; group < n; group += groupByteCols) {
    const end = p + <usize>min(groupByteCols, n - group) * unit;
    let a0 = centring(sums, 2);
    if (!ASC_FEATURE_RELAXED_SIMD) a0 = i32x4.shl(a0, 6); // as large as the sums are in int16
    let a1 = a0, a2 = a0, a3 = a0;
    if (ASC_FEATURE_RELAXED_SIMD) {
      do {
        const blockEnd = min(p + DEPTH2, end);
        let x0 = v128.load32_splat(p), x1 = v128.load32_splat(p, 4);
        let x2 = v128.load32_splat(p, 8), x3 = v128.load32_splat(p, 12);
        let c = v128.load(v), d = i16x8.shr_u(c, 4);
        let t0 = first2(c, d, mask, x0, x2), u0 = first2(c, d, mask12, x1, x3);
        c = v128.load(v, 16), d = i16x8.shr_u(c, 4);
        let t1 = first2(c, d, mask, x0, x2), u1 = first2(c, d, mask12, x1, x3);
        c = v128.load(v, 32), d = i16x8.shr_u(c, 4);
        let t2 = first2(c, d, mask, x0, x2), u2 = first2(c, d, mask12, x1, x3);
        c = v128.load(v, 48), d = i16x8.shr_u(c, 4);
        let t3 = first2(c, d, mask, x0, x2), u3 = first2(c, d, mask12, x1, x3);
        v += 64;
        p += 16;
        while (p < blockEnd) {
          x0 = v128.load32_splat(p), x1 = v128.load32_splat(p, 4);
          x2 = v128.load32_splat(p, 8), x3 = v128.load32_splat(p, 12);
          c = v128.load(v), d = i16x8.shr_u(c, 4);
          t0 = more2(t0, c, d, mask, x0, x2), u0 = more2(u0, c, d, mask12, x1, x3);
          c = v128.load(v, 16), d = i16x8.shr_u(c, 4);
          t1 = more2(t1, c, d, mask, x0, x2), u1 = more2(u1, c, d, mask12, x1, x3);
          c = v128.load(v, 32), d = i16x8.shr_u(c, 4);
          t2 = more2(t2, c, d, mask, x0, x2), u2 = more2(u2, c, d, mask12, x1, x3);
          c = v128.load(v, 48), d = i16x8.shr_u(c, 4);
          t3 = more2(t3, c, d, mask, x0, x2), u3 = more2(u3, c, d, mask12, x1, x3);
          v += 64;
          p += 16;
        }
        a0 = join2(a0, t0, u0, ones);
        a1 = join2(a1, t1, u1, ones);
        a2 = join2(a2, t2, u2, ones);
        a3 = join2(a3, t3, u3, ones);
      } while (p < end);
    } else {
      // Every word is loaded twice, from an address that looks like another: kept, they would push others out of registers.
      let q = v + <usize>(n >>> 31);
      do {
        const x = v128.load(p), z = v128.load(p, 16);
        let x0 = splat(x, 0), x1 = splat(x, 2), x2 = splat(z, 0), x3 = splat(z, 2);
        a0 = lowBytes(a0, v128.load(v), m0, m1, m2, m3, x0, x1, x2, x3);
        a1 = lowBytes(a1, v128.load(v, 16), m0, m1, m2, m3, x0, x1, x2, x3);
        a2 = lowBytes(a2, v128.load(v, 32), m0, m1, m2, m3, x0, x1, x2, x3);
        a3 = lowBytes(a3, v128.load(v, 48), m0, m1, m2, m3, x0, x1, x2, x3);
        x0 = splat(x, 1), x1 = splat(x, 3), x2 = splat(z, 1), x3 = splat(z, 3);
        a0 = highBytes(a0, v128.load(q), m1, m2, m3, x0, x1, x2, x3);
        a1 = highBytes(a1, v128.load(q, 16), m1, m2, m3, x0, x1, x2, x3);
        a2 = highBytes(a2, v128.load(q, 32), m1, m2, m3, x0, x1, x2, x3);
        a3 = highBytes(a3, v128.load(q, 48), m1, m2, m3, x0, x1, x2, x3);
        v += 64;
        q += 64;
        p += 32;
      } while (p < end);
    }
    const more = ASC_FEATURE_RELAXED_SIMD ? 0 : 6;
    addGroup(y, i32x4.shr_s(a0, more), i32x4.shr_s(a1, more), i32x4.shr_s(a2, more), i32x4.shr_s(a3, more), s);
    s += STRIP_BYTES;
    sums += 4;
  }
}

// ---- 4 bits

// 8 columns of 4 rows, in 16-bit lanes: 8 steps of 2·127·15 = 3810, 30480 <= 32767, are 32 columns.
// @ts-ignore: decorator
@inline
function first4(v: v128, mask: v128, x: v128, z: v128): v128 {
  return i16x8.add(dot16(x, v128.and(v, mask)), dot16(z, v128.and(i16x8.shr_u(v, 4), mask)));
}
// @ts-ignore: decorator
@inline
function more4(sum: v128, v: v128, mask: v128, x: v128, z: v128): v128 {
  return i16x8.add(i16x8.add(sum, dot16(x, v128.and(v, mask))), dot16(z, v128.and(i16x8.shr_u(v, 4), mask)));
}

// simd128: 8 columns of 4 rows, int16: x and z meet columns 0 and 2, 1 and 3 of the low nibbles, u and t of the high ones.
// @ts-ignore: decorator
@inline
function wide4(sum: v128, v: v128, mask: v128, x: v128, z: v128, u: v128, t: v128): v128 {
  sum = wideStep(sum, x, v128.and(v, mask));
  sum = wideStep(sum, z, v128.and(i16x8.shr_u(v, 8), mask));
  sum = wideStep(sum, u, v128.and(i16x8.shr_u(v, 4), mask));
  return wideStep(sum, t, i16x8.shr_u(v, 12));
}

// A block of 32 columns is four blocks of code, parted by a way out of the loop that is never taken (p is not 0): V8 schedules a
// block by its results, a sum after the other, and would keep the activations of all of it in registers.
// @ts-ignore: decorator
@inline
function strip4(v: usize, s: usize, p: usize, sums: usize, y: usize, n: i32, groupByteCols: i32): void {
  const mask = hiddenSplat8(15, n), ones = hidden(i16x8.splat(1), n);
  memory.fill(y, 0, 64);
  for (let group = 0; group < n; group += groupByteCols) {
    const units = min(groupByteCols, n - group), end = p + (<usize>units << 3), blocksEnd = p + (<usize>(units & ~3) << 3);
    let a0 = centring(sums, 4), a1 = a0, a2 = a0, a3 = a0;
    while (p < blocksEnd) {
      let x = v128.load32_splat(p), z = v128.load32_splat(p, 4);
      let t0 = first4(v128.load(v), mask, x, z);
      let t1 = first4(v128.load(v, 16), mask, x, z);
      let t2 = first4(v128.load(v, 32), mask, x, z);
      let t3 = first4(v128.load(v, 48), mask, x, z);
      if (p == 0) break;
      x = v128.load32_splat(p, 8), z = v128.load32_splat(p, 12);
      t0 = more4(t0, v128.load(v, 64), mask, x, z);
      t1 = more4(t1, v128.load(v, 80), mask, x, z);
      t2 = more4(t2, v128.load(v, 96), mask, x, z);
      t3 = more4(t3, v128.load(v, 112), mask, x, z);
      if (p == 0) break;
      x = v128.load32_splat(p, 16), z = v128.load32_splat(p, 20);
      t0 = more4(t0, v128.load(v, 128), mask, x, z);
      t1 = more4(t1, v128.load(v, 144), mask, x, z);
      t2 = more4(t2, v128.load(v, 160), mask, x, z);
      t3 = more4(t3, v128.load(v, 176), mask, x, z);
      if (p == 0) break;
      x = v128.load32_splat(p, 24), z = v128.load32_splat(p, 28);
      t0 = more4(t0, v128.load(v, 192), mask, x, z);
      t1 = more4(t1, v128.load(v, 208), mask, x, z);
      t2 = more4(t2, v128.load(v, 224), mask, x, z);
      t3 = more4(t3, v128.load(v, 240), mask, x, z);
      a0 = widen(a0, t0, ones);
      a1 = widen(a1, t1, ones);
      a2 = widen(a2, t2, ones);
      a3 = widen(a3, t3, ones);
      v += 256;
      p += 32;
    }
    while (p < end) {
      const x = v128.load32_splat(p), z = v128.load32_splat(p, 4);
      a0 = widen(a0, first4(v128.load(v), mask, x, z), ones);
      a1 = widen(a1, first4(v128.load(v, 16), mask, x, z), ones);
      a2 = widen(a2, first4(v128.load(v, 32), mask, x, z), ones);
      a3 = widen(a3, first4(v128.load(v, 48), mask, x, z), ones);
      v += 64;
      p += 8;
    }
    addGroup(y, a0, a1, a2, a3, s);
    s += STRIP_BYTES;
    sums += 4;
  }
}

// Two strips at once: y[16 .. 32] are those of the strip at w, whose scales are `apart` bytes behind the first one's.
// @ts-ignore: decorator
@inline
function pair4(
  v: usize, w: usize, s: usize, apart: usize, p: usize, sums: usize, y: usize, n: i32, groupByteCols: i32,
): void {
  const mask = hiddenSplat8(15, n), ones = hidden(i16x8.splat(1), n);
  memory.fill(y, 0, 128);
  for (let group = 0; group < n; group += groupByteCols) {
    const units = min(groupByteCols, n - group), end = p + (<usize>units << 3), blocksEnd = p + (<usize>(units & ~3) << 3);
    let a0 = centring(sums, 4), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    while (p < blocksEnd) {
      let x = v128.load32_splat(p), z = v128.load32_splat(p, 4);
      let t0 = first4(v128.load(v), mask, x, z);
      let t1 = first4(v128.load(v, 16), mask, x, z);
      let t2 = first4(v128.load(v, 32), mask, x, z);
      let t3 = first4(v128.load(v, 48), mask, x, z);
      let u0 = first4(v128.load(w), mask, x, z);
      let u1 = first4(v128.load(w, 16), mask, x, z);
      let u2 = first4(v128.load(w, 32), mask, x, z);
      let u3 = first4(v128.load(w, 48), mask, x, z);
      if (p == 0) break;
      x = v128.load32_splat(p, 8), z = v128.load32_splat(p, 12);
      t0 = more4(t0, v128.load(v, 64), mask, x, z);
      t1 = more4(t1, v128.load(v, 80), mask, x, z);
      t2 = more4(t2, v128.load(v, 96), mask, x, z);
      t3 = more4(t3, v128.load(v, 112), mask, x, z);
      u0 = more4(u0, v128.load(w, 64), mask, x, z);
      u1 = more4(u1, v128.load(w, 80), mask, x, z);
      u2 = more4(u2, v128.load(w, 96), mask, x, z);
      u3 = more4(u3, v128.load(w, 112), mask, x, z);
      if (p == 0) break;
      x = v128.load32_splat(p, 16), z = v128.load32_splat(p, 20);
      t0 = more4(t0, v128.load(v, 128), mask, x, z);
      t1 = more4(t1, v128.load(v, 144), mask, x, z);
      t2 = more4(t2, v128.load(v, 160), mask, x, z);
      t3 = more4(t3, v128.load(v, 176), mask, x, z);
      u0 = more4(u0, v128.load(w, 128), mask, x, z);
      u1 = more4(u1, v128.load(w, 144), mask, x, z);
      u2 = more4(u2, v128.load(w, 160), mask, x, z);
      u3 = more4(u3, v128.load(w, 176), mask, x, z);
      if (p == 0) break;
      x = v128.load32_splat(p, 24), z = v128.load32_splat(p, 28);
      t0 = more4(t0, v128.load(v, 192), mask, x, z);
      t1 = more4(t1, v128.load(v, 208), mask, x, z);
      t2 = more4(t2, v128.load(v, 224), mask, x, z);
      t3 = more4(t3, v128.load(v, 240), mask, x, z);
      u0 = more4(u0, v128.load(w, 192), mask, x, z);
      u1 = more4(u1, v128.load(w, 208), mask, x, z);
      u2 = more4(u2, v128.load(w, 224), mask, x, z);
      u3 = more4(u3, v128.load(w, 240), mask, x, z);
      a0 = widen(a0, t0, ones);
      a1 = widen(a1, t1, ones);
      a2 = widen(a2, t2, ones);
      a3 = widen(a3, t3, ones);
      b0 = widen(b0, u0, ones);
      b1 = widen(b1, u1, ones);
      b2 = widen(b2, u2, ones);
      b3 = widen(b3, u3, ones);
      v += 256;
      w += 256;
      p += 32;
    }
    while (p < end) {
      const x = v128.load32_splat(p), z = v128.load32_splat(p, 4);
      a0 = widen(a0, first4(v128.load(v), mask, x, z), ones);
      a1 = widen(a1, first4(v128.load(v, 16), mask, x, z), ones);
      a2 = widen(a2, first4(v128.load(v, 32), mask, x, z), ones);
      a3 = widen(a3, first4(v128.load(v, 48), mask, x, z), ones);
      b0 = widen(b0, first4(v128.load(w), mask, x, z), ones);
      b1 = widen(b1, first4(v128.load(w, 16), mask, x, z), ones);
      b2 = widen(b2, first4(v128.load(w, 32), mask, x, z), ones);
      b3 = widen(b3, first4(v128.load(w, 48), mask, x, z), ones);
      v += 64;
      w += 64;
      p += 8;
    }
    addGroup(y, a0, a1, a2, a3, s);
    addGroup(y + 64, b0, b1, b2, b3, s + apart);
    s += STRIP_BYTES;
    sums += 4;
  }
}

// simd128.
// @ts-ignore: decorator
@inline
function wideStrip4(v: usize, s: usize, p: usize, sums: usize, y: usize, n: i32, groupByteCols: i32): void {
  const mask = hidden(i16x8.splat(15), n);
  memory.fill(y, 0, 64);
  for (let group = 0; group < n; group += groupByteCols) {
    const end = p + (<usize>min(groupByteCols, n - group) << 4);
    let a0 = centring(sums, 4), a1 = a0, a2 = a0, a3 = a0;
    do {
      const all = v128.load(p), x = splat(all, 0), z = splat(all, 1), u = splat(all, 2), t = splat(all, 3);
      a0 = wide4(a0, v128.load(v), mask, x, z, u, t);
      a1 = wide4(a1, v128.load(v, 16), mask, x, z, u, t);
      a2 = wide4(a2, v128.load(v, 32), mask, x, z, u, t);
      a3 = wide4(a3, v128.load(v, 48), mask, x, z, u, t);
      v += 64;
      p += 16;
    } while (p < end);
    addGroup(y, a0, a1, a2, a3, s);
    s += STRIP_BYTES;
    sums += 4;
  }
}

// ---- 8 bits

// sum + 8 columns of 8 bits: two words. As int16 a pair of bytes is v = e + 256·o, the even column e = 0..255 and the odd
// one o = -128..127, so e·x0 + o·x1 = v·x0 + o·(x1 - 256·x0): there is nothing to mask, and o is v >> 8. x and y have x0
// of two pairs, z and t the other factor, |x1 - 256·x0| <= 257·127 = 32639 <= 32767.
// @ts-ignore: decorator
@inline
function words8(sum: v128, v: v128, w: v128, x: v128, z: v128, y: v128, t: v128): v128 {
  sum = wideStep(sum, v, x);
  sum = wideStep(sum, i16x8.shr_s(v, 8), z);
  sum = wideStep(sum, w, y);
  return wideStep(sum, i16x8.shr_s(w, 8), t);
}

// Sums of odd columns need no centring; `sums` has those of even columns.
// @ts-ignore: decorator
@inline
function strip8(v: usize, s: usize, p: usize, sums: usize, y: usize, n: i32, groupByteCols: i32): void {
  memory.fill(y, 0, 64);
  for (let group = 0; group < n; group += groupByteCols) {
    const units = min(groupByteCols, n - group), end = p + (<usize>units << 4), blocksEnd = p + (<usize>(units & ~1) << 4);
    let a0 = centring(sums, 8), a1 = a0, a2 = a0, a3 = a0;
    while (p < blocksEnd) {
      let all = v128.load(p), x = splat(all, 0), z = splat(all, 1), u = splat(all, 2), t = splat(all, 3);
      a0 = words8(a0, v128.load(v), v128.load(v, 64), x, z, u, t);
      a1 = words8(a1, v128.load(v, 16), v128.load(v, 80), x, z, u, t);
      a2 = words8(a2, v128.load(v, 32), v128.load(v, 96), x, z, u, t);
      a3 = words8(a3, v128.load(v, 48), v128.load(v, 112), x, z, u, t);
      all = v128.load(p, 16), x = splat(all, 0), z = splat(all, 1), u = splat(all, 2), t = splat(all, 3);
      a0 = words8(a0, v128.load(v, 128), v128.load(v, 192), x, z, u, t);
      a1 = words8(a1, v128.load(v, 144), v128.load(v, 208), x, z, u, t);
      a2 = words8(a2, v128.load(v, 160), v128.load(v, 224), x, z, u, t);
      a3 = words8(a3, v128.load(v, 176), v128.load(v, 240), x, z, u, t);
      v += 256;
      p += 32;
    }
    if (p < end) {
      const all = v128.load(p), x = splat(all, 0), z = splat(all, 1), u = splat(all, 2), t = splat(all, 3);
      a0 = words8(a0, v128.load(v), v128.load(v, 64), x, z, u, t);
      a1 = words8(a1, v128.load(v, 16), v128.load(v, 80), x, z, u, t);
      a2 = words8(a2, v128.load(v, 32), v128.load(v, 96), x, z, u, t);
      a3 = words8(a3, v128.load(v, 48), v128.load(v, 112), x, z, u, t);
      v += 128;
      p += 16;
    }
    addGroup(y, a0, a1, a2, a3, s);
    s += STRIP_BYTES;
    sums += 4;
  }
}

// Two strips at once, as pair4.
// @ts-ignore: decorator
@inline
function pair8(
  v: usize, w: usize, s: usize, apart: usize, p: usize, sums: usize, y: usize, n: i32, groupByteCols: i32,
): void {
  memory.fill(y, 0, 128);
  for (let group = 0; group < n; group += groupByteCols) {
    const end = p + (<usize>min(groupByteCols, n - group) << 4);
    let a0 = centring(sums, 8), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    do {
      const x = v128.load32_splat(p), z = v128.load32_splat(p, 4);
      const u = v128.load32_splat(p, 8), t = v128.load32_splat(p, 12);
      a0 = words8(a0, v128.load(v), v128.load(v, 64), x, z, u, t);
      a1 = words8(a1, v128.load(v, 16), v128.load(v, 80), x, z, u, t);
      a2 = words8(a2, v128.load(v, 32), v128.load(v, 96), x, z, u, t);
      a3 = words8(a3, v128.load(v, 48), v128.load(v, 112), x, z, u, t);
      b0 = words8(b0, v128.load(w), v128.load(w, 64), x, z, u, t);
      b1 = words8(b1, v128.load(w, 16), v128.load(w, 80), x, z, u, t);
      b2 = words8(b2, v128.load(w, 32), v128.load(w, 96), x, z, u, t);
      b3 = words8(b3, v128.load(w, 48), v128.load(w, 112), x, z, u, t);
      v += 128;
      w += 128;
      p += 16;
    } while (p < end);
    addGroup(y, a0, a1, a2, a3, s);
    addGroup(y + 64, b0, b1, b2, b3, s + apart);
    s += STRIP_BYTES;
    sums += 4;
  }
}

// @ts-ignore: decorator
@inline
function gemv(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, bits: i32,
): void {
  const stripBytes = <usize>byteCols * unitBytes(bits), groups = (byteCols + groupByteCols - 1) / groupByteCols;
  const apart = <usize>groups * STRIP_BYTES;
  let row = rowBegin;
  if (ASC_FEATURE_RELAXED_SIMD && bits != 2) {
    for (; row < rowEnd - 16; row += 32) {
      const v = w + <usize>(row >> 4) * stripBytes, s = scales + stripStart(row, groups), out = y + (<usize>row << 2);
      if (bits == 4) pair4(v, v + stripBytes, s, apart, tables, steps, out, byteCols, groupByteCols);
      else pair8(v, v + stripBytes, s, apart, tables, steps, out, byteCols, groupByteCols);
      finishRows(out, 32, row, 1, factor, offsets, fsums, groups);
    }
  }
  for (; row < rowEnd; row += 16) {
    const v = w + <usize>(row >> 4) * stripBytes, s = scales + stripStart(row, groups), out = y + (<usize>row << 2);
    if (bits == 2) strip2(v, s, tables, steps, out, byteCols, groupByteCols);
    else if (bits == 8) strip8(v, s, tables, steps, out, byteCols, groupByteCols);
    else if (ASC_FEATURE_RELAXED_SIMD) strip4(v, s, tables, steps, out, byteCols, groupByteCols);
    else wideStrip4(v, s, tables, steps, out, byteCols, groupByteCols);
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}

/** 2 bits, ternary weights among them. tables: prepare_fields. */
export function gemv_uniform2_int8_16x8(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  gemv(w, scales, tables, steps, y, rowBegin, rowEnd, byteCols, groupByteCols, factor, offsets, fsums, 2);
}

/** 4 bits. tables: prepare_quads. */
export function gemv_uniform4_int8_16x8(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  gemv(w, scales, tables, steps, y, rowBegin, rowEnd, byteCols, groupByteCols, factor, offsets, fsums, 4);
}

/** 8 bits. tables: prepare_byte_pairs. */
export function gemv_uniform8_int8_16x8(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  gemv(w, scales, tables, steps, y, rowBegin, rowEnd, byteCols, groupByteCols, factor, offsets, fsums, 8);
}
