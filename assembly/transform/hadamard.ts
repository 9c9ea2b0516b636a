// Walsh-Hadamard transforms of Sylvester's order, in place: several levels of butterflies between one load and one store.
// The algebra and the order of operations: README.md in this folder.

// Lanes a0 b0 a1 b1, and a2 b2 a3 b3.
// @ts-ignore: decorator
@inline
function zipLow(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 0, 4, 1, 5);
}
// @ts-ignore: decorator
@inline
function zipHigh(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 2, 6, 3, 7);
}

// Both levels within a vector, for two vectors v and w, stored at p and p + 16. Each zip brings lanes to meet that are
// two apart (first step) or neighbours (second), and the last one sorts them.
// @ts-ignore: decorator
@inline
function storeLanes(p: usize, v: v128, w: v128): void {
  const low = zipLow(v, w), high = zipHigh(v, w);
  const s = f32x4.add(low, high), d = f32x4.sub(low, high);
  const even = zipLow(s, d), odd = zipHigh(s, d);
  const sum = f32x4.add(even, odd), difference = f32x4.sub(even, odd);
  v128.store(p, zipLow(sum, difference));
  v128.store(p, zipHigh(sum, difference), 16);
}

// The first five levels: 32 neighbours at a time, times factor.
// @ts-ignore: decorator
@inline
function first32(x: usize, end: usize, factor: f32): void {
  const f = f32x4.splat(factor);
  for (; x < end; x += 128) {
    const v0 = f32x4.mul(v128.load(x), f), v1 = f32x4.mul(v128.load(x, 16), f);
    const v2 = f32x4.mul(v128.load(x, 32), f), v3 = f32x4.mul(v128.load(x, 48), f);
    const v4 = f32x4.mul(v128.load(x, 64), f), v5 = f32x4.mul(v128.load(x, 80), f);
    const v6 = f32x4.mul(v128.load(x, 96), f), v7 = f32x4.mul(v128.load(x, 112), f);
    const a0 = f32x4.add(v0, v4), a4 = f32x4.sub(v0, v4), a1 = f32x4.add(v1, v5), a5 = f32x4.sub(v1, v5);
    const a2 = f32x4.add(v2, v6), a6 = f32x4.sub(v2, v6), a3 = f32x4.add(v3, v7), a7 = f32x4.sub(v3, v7);
    const b0 = f32x4.add(a0, a2), b2 = f32x4.sub(a0, a2), b1 = f32x4.add(a1, a3), b3 = f32x4.sub(a1, a3);
    storeLanes(x, f32x4.add(b0, b1), f32x4.sub(b0, b1));
    storeLanes(x + 32, f32x4.add(b2, b3), f32x4.sub(b2, b3));
    const b4 = f32x4.add(a4, a6), b6 = f32x4.sub(a4, a6), b5 = f32x4.add(a5, a7), b7 = f32x4.sub(a5, a7);
    storeLanes(x + 64, f32x4.add(b4, b5), f32x4.sub(b4, b5));
    storeLanes(x + 96, f32x4.add(b6, b7), f32x4.sub(b6, b7));
  }
}

// The first two levels of blocks of 4, 8 or 16.
// @ts-ignore: decorator
@inline
function first4(x: usize, end: usize, factor: f32): void {
  const f = f32x4.splat(factor);
  for (; x + 32 <= end; x += 32) storeLanes(x, f32x4.mul(v128.load(x), f), f32x4.mul(v128.load(x, 16), f));
  if (x < end) {
    const v = f32x4.mul(v128.load(x), f);
    const low = zipLow(v, v), high = zipHigh(v, v);
    const s = f32x4.add(low, high), d = f32x4.sub(low, high);
    const even = zipLow(s, d), odd = zipHigh(s, d);
    v128.store(x, zipLow(f32x4.add(even, odd), f32x4.sub(even, odd)));
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
      const a0 = f32x4.add(v0, v4), a4 = f32x4.sub(v0, v4), a1 = f32x4.add(v1, v5), a5 = f32x4.sub(v1, v5);
      const a2 = f32x4.add(v2, v6), a6 = f32x4.sub(v2, v6), a3 = f32x4.add(v3, v7), a7 = f32x4.sub(v3, v7);
      const b0 = f32x4.add(a0, a2), b2 = f32x4.sub(a0, a2), b1 = f32x4.add(a1, a3), b3 = f32x4.sub(a1, a3);
      const b4 = f32x4.add(a4, a6), b6 = f32x4.sub(a4, a6), b5 = f32x4.add(a5, a7), b7 = f32x4.sub(a5, a7);
      v128.store(x, f32x4.add(b0, b1));
      v128.store(x + h, f32x4.sub(b0, b1));
      v128.store(x + h2, f32x4.add(b2, b3));
      v128.store(x + h3, f32x4.sub(b2, b3));
      v128.store(x + h4, f32x4.add(b4, b5));
      v128.store(x + h5, f32x4.sub(b4, b5));
      v128.store(x + h6, f32x4.add(b6, b7));
      v128.store(x + h7, f32x4.sub(b6, b7));
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
      const a0 = f32x4.add(v0, v2), a2 = f32x4.sub(v0, v2), a1 = f32x4.add(v1, v3), a3 = f32x4.sub(v1, v3);
      v128.store(x, f32x4.add(a0, a1));
      v128.store(x + h, f32x4.sub(a0, a1));
      v128.store(x + h2, f32x4.add(a2, a3));
      v128.store(x + h3, f32x4.sub(a2, a3));
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
  let h: usize = 16;
  if (size >= 32) {
    first32(x, end, factor);
    h = 128;
  } else {
    first4(x, end, factor);
  }
  for (; h << 3 <= stop; h <<= 3) levels3(x, end, h);
  if (h << 2 <= stop) levels2(x, end, h);
  else if (h < stop) level(x, end, h);
}
