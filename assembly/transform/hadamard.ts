// Walsh-Hadamard transforms of Sylvester's order, in place. Levels go from neighbours upwards, whatever the size: several
// of them between one load and one store. The algebra and the order of operations: README.md in this folder.

// Lanes a0 a2 b0 b2, and a1 a3 b1 b3.
// @ts-ignore: decorator
@inline
function even(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 0, 2, 4, 6);
}
// @ts-ignore: decorator
@inline
function odd(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 1, 3, 5, 7);
}

// One level within two vectors: sums of neighbours, of a and then of b, and their differences.
// @ts-ignore: decorator
@inline
function pairSums(a: v128, b: v128): v128 {
  return f32x4.add(even(a, b), odd(a, b));
}
// @ts-ignore: decorator
@inline
function pairDifferences(a: v128, b: v128): v128 {
  return f32x4.sub(even(a, b), odd(a, b));
}

// The first five levels of 32 neighbours at x, times f. `joins`: the sixth too, with the 32 before them, which have five.
// @ts-ignore: decorator
@inline
function block32(x: usize, f: v128, joins: bool): void {
  const v0 = f32x4.mul(v128.load(x), f), v1 = f32x4.mul(v128.load(x, 16), f);
  const s0 = pairSums(v0, v1), d0 = pairDifferences(v0, v1);
  const p0 = pairSums(s0, d0), m0 = pairDifferences(s0, d0);
  const w0 = even(p0, m0), w1 = odd(p0, m0);
  const v2 = f32x4.mul(v128.load(x, 32), f), v3 = f32x4.mul(v128.load(x, 48), f);
  const s2 = pairSums(v2, v3), d2 = pairDifferences(v2, v3);
  const p2 = pairSums(s2, d2), m2 = pairDifferences(s2, d2);
  const w2 = even(p2, m2), w3 = odd(p2, m2);
  const v4 = f32x4.mul(v128.load(x, 64), f), v5 = f32x4.mul(v128.load(x, 80), f);
  const s4 = pairSums(v4, v5), d4 = pairDifferences(v4, v5);
  const p4 = pairSums(s4, d4), m4 = pairDifferences(s4, d4);
  const w4 = even(p4, m4), w5 = odd(p4, m4);
  const v6 = f32x4.mul(v128.load(x, 96), f), v7 = f32x4.mul(v128.load(x, 112), f);
  const s6 = pairSums(v6, v7), d6 = pairDifferences(v6, v7);
  const p6 = pairSums(s6, d6), m6 = pairDifferences(s6, d6);
  const w6 = even(p6, m6), w7 = odd(p6, m6);
  const a0 = f32x4.add(w0, w1), a1 = f32x4.sub(w0, w1), a2 = f32x4.add(w2, w3), a3 = f32x4.sub(w2, w3);
  const a4 = f32x4.add(w4, w5), a5 = f32x4.sub(w4, w5), a6 = f32x4.add(w6, w7), a7 = f32x4.sub(w6, w7);
  const b0 = f32x4.add(a0, a2), b2 = f32x4.sub(a0, a2), b1 = f32x4.add(a1, a3), b3 = f32x4.sub(a1, a3);
  const b4 = f32x4.add(a4, a6), b6 = f32x4.sub(a4, a6), b5 = f32x4.add(a5, a7), b7 = f32x4.sub(a5, a7);
  const c0 = f32x4.add(b0, b4), c4 = f32x4.sub(b0, b4), c1 = f32x4.add(b1, b5), c5 = f32x4.sub(b1, b5);
  const c2 = f32x4.add(b2, b6), c6 = f32x4.sub(b2, b6), c3 = f32x4.add(b3, b7), c7 = f32x4.sub(b3, b7);
  if (joins) {
    const y = x - 128;
    const y0 = v128.load(y);
    v128.store(y, f32x4.add(y0, c0));
    v128.store(x, f32x4.sub(y0, c0));
    const y1 = v128.load(y, 16);
    v128.store(y, f32x4.add(y1, c1), 16);
    v128.store(x, f32x4.sub(y1, c1), 16);
    const y2 = v128.load(y, 32);
    v128.store(y, f32x4.add(y2, c2), 32);
    v128.store(x, f32x4.sub(y2, c2), 32);
    const y3 = v128.load(y, 48);
    v128.store(y, f32x4.add(y3, c3), 48);
    v128.store(x, f32x4.sub(y3, c3), 48);
    const y4 = v128.load(y, 64);
    v128.store(y, f32x4.add(y4, c4), 64);
    v128.store(x, f32x4.sub(y4, c4), 64);
    const y5 = v128.load(y, 80);
    v128.store(y, f32x4.add(y5, c5), 80);
    v128.store(x, f32x4.sub(y5, c5), 80);
    const y6 = v128.load(y, 96);
    v128.store(y, f32x4.add(y6, c6), 96);
    v128.store(x, f32x4.sub(y6, c6), 96);
    const y7 = v128.load(y, 112);
    v128.store(y, f32x4.add(y7, c7), 112);
    v128.store(x, f32x4.sub(y7, c7), 112);
  } else {
    v128.store(x, c0);
    v128.store(x, c1, 16);
    v128.store(x, c2, 32);
    v128.store(x, c3, 48);
    v128.store(x, c4, 64);
    v128.store(x, c5, 80);
    v128.store(x, c6, 96);
    v128.store(x, c7, 112);
  }
}

// The first two levels of blocks of 4, 8 or 16.
// @ts-ignore: decorator
@inline
function first4(x: usize, end: usize, f: v128): void {
  for (; x < end; x += 32) {
    const v = f32x4.mul(v128.load(x), f), w = x + 16 < end ? f32x4.mul(v128.load(x, 16), f) : v;
    const s = pairSums(v, w), d = pairDifferences(v, w);
    const p = pairSums(s, d), m = pairDifferences(s, d);
    v128.store(x, even(p, m));
    if (x + 16 < end) v128.store(x, odd(p, m), 16);
  }
}

// Three levels at distances of h, 2h and 4h bytes, of everything from x to end.
// @ts-ignore: decorator
@inline
function levels3(x: usize, end: usize, h: usize): void {
  const h2 = h << 1, h3 = h + h2, h4 = h << 2, h5 = h4 + h, h6 = h4 + h2, h7 = h4 + h3;
  for (; x < end; x += h7) {
    const stop = x + h;
    do {
      const v0 = v128.load(x), v1 = v128.load(x + h), v2 = v128.load(x + h2), v3 = v128.load(x + h3);
      const v4 = v128.load(x + h4), v5 = v128.load(x + h5), v6 = v128.load(x + h6), v7 = v128.load(x + h7);
      const a0 = f32x4.add(v0, v1), a1 = f32x4.sub(v0, v1), a2 = f32x4.add(v2, v3), a3 = f32x4.sub(v2, v3);
      const a4 = f32x4.add(v4, v5), a5 = f32x4.sub(v4, v5), a6 = f32x4.add(v6, v7), a7 = f32x4.sub(v6, v7);
      const b0 = f32x4.add(a0, a2), b2 = f32x4.sub(a0, a2), b1 = f32x4.add(a1, a3), b3 = f32x4.sub(a1, a3);
      const b4 = f32x4.add(a4, a6), b6 = f32x4.sub(a4, a6), b5 = f32x4.add(a5, a7), b7 = f32x4.sub(a5, a7);
      v128.store(x, f32x4.add(b0, b4));
      v128.store(x + h, f32x4.add(b1, b5));
      v128.store(x + h2, f32x4.add(b2, b6));
      v128.store(x + h3, f32x4.add(b3, b7));
      v128.store(x + h4, f32x4.sub(b0, b4));
      v128.store(x + h5, f32x4.sub(b1, b5));
      v128.store(x + h6, f32x4.sub(b2, b6));
      v128.store(x + h7, f32x4.sub(b3, b7));
      x += 16;
    } while (x < stop);
  }
}

// Two levels at distances of h and 2h bytes.
// @ts-ignore: decorator
@inline
function levels2(x: usize, end: usize, h: usize): void {
  const h2 = h << 1, h3 = h + h2;
  for (; x < end; x += h3) {
    const stop = x + h;
    do {
      const v0 = v128.load(x), v1 = v128.load(x + h), v2 = v128.load(x + h2), v3 = v128.load(x + h3);
      const a0 = f32x4.add(v0, v1), a1 = f32x4.sub(v0, v1), a2 = f32x4.add(v2, v3), a3 = f32x4.sub(v2, v3);
      v128.store(x, f32x4.add(a0, a2));
      v128.store(x + h, f32x4.add(a1, a3));
      v128.store(x + h2, f32x4.sub(a0, a2));
      v128.store(x + h3, f32x4.sub(a1, a3));
      x += 16;
    } while (x < stop);
  }
}

// One level at a distance of h bytes.
// @ts-ignore: decorator
@inline
function level(x: usize, end: usize, h: usize): void {
  for (; x < end; x += h) {
    const stop = x + h;
    do {
      const a = v128.load(x), b = v128.load(x + h);
      v128.store(x, f32x4.add(a, b));
      v128.store(x + h, f32x4.sub(a, b));
      x += 16;
    } while (x < stop);
  }
}

/**
 * x = factor · H x for each block of `size` of the n floats at x, H the matrix of signs of Sylvester's order (no
 * normalisation). size: a power of two that divides n. x: 16-byte aligned.
 */
export function transform_hadamard(x: usize, n: i32, size: i32, factor: f32): void {
  const end = x + (<usize>n << 2);
  if (size == 1) {
    for (; x < end; x += 4) store<f32>(x, load<f32>(x) * factor);
    return;
  }
  if (size == 2) {
    for (; x < end; x += 8) {
      const a = load<f32>(x) * factor, b = load<f32>(x, 4) * factor;
      store<f32>(x, a + b);
      store<f32>(x, a - b, 4);
    }
    return;
  }
  const stop = <usize>size << 2;
  const f = f32x4.splat(factor);
  let h: usize = 16;
  if (size < 32) {
    first4(x, end, f);
  } else if (clz(size) % 3 == 1) {
    // 6, 9, 12 … levels: the sixth is done here instead of in a pass of its own.
    for (let p = x; p < end; p += 256) {
      block32(p, f, false);
      block32(p + 128, f, true);
    }
    h = 256;
  } else {
    for (let p = x; p < end; p += 128) block32(p, f, false);
    h = 128;
  }
  for (; h << 3 <= stop; h <<= 3) levels3(x, end, h);
  if (h << 2 <= stop) levels2(x, end, h);
  else if (h < stop) level(x, end, h);
}
