// Scores and sums of keys and values that are float32 or float16, 16 positions or 16 numbers at a time.
import { hidden } from "../lib/simd";

/**
 * Four float32 as float16 in the low halves of lanes, to the nearest, ties to even; beyond 65504 that. Below 2^-14 they are whole
 * multiples of 2^-24, which is what is left of a float32 next to 0.5.
 */
// @ts-ignore: decorator
@inline
export function floatToHalf(x: v128): v128 {
  const size = f32x4.min(f32x4.abs(x), f32x4.splat(65504));
  const moved = i32x4.sub(size, i32x4.splat(112 << 23));
  const odd = v128.and(i32x4.shr_u(moved, 13), i32x4.splat(1));
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(moved, odd), i32x4.splat(0xfff)), 13);
  const small = i32x4.sub(f32x4.add(size, f32x4.splat(0.5)), i32x4.splat(0x3f000000));
  const bits = v128.bitselect(small, normal, f32x4.lt(size, f32x4.splat(6.103515625e-5)));
  return v128.or(bits, v128.and(i32x4.shr_u(x, 16), i32x4.splat(0x8000)));
}

// Numbers 4i to 4i + 3 from an address, as float32. Of float16 sign and magnitude in place, times 2^112 for the bias of the
// exponent, which is exact for denormals too; there is none that is not finite.
// @ts-ignore: decorator
@inline
function four(p: usize, i: usize, bits: i32, mask: v128, bias: v128): v128 {
  if (bits == 32) return v128.load(p + (i << 4));
  return f32x4.mul(v128.and(i32x4.shl(v128.load16x4_s(p + (i << 3)), 13), mask), bias);
}

/** scores[16] of a strip, for one query or two that are `qStep` bytes apart, whose scores are `sStep` apart. */
// @ts-ignore: decorator
@inline
export function scoreStrip(
  q: usize, qStep: usize, k: usize, size: i32, scores: usize, sStep: usize, scale: f32, two: bool, bits: i32,
): void {
  const zero = f32x4.splat(0), end = q + (<usize>size << 2), f = f32x4.splat(scale), step = <usize>bits << 1;
  const mask = hidden(i32x4.splat(0x8fffe000), size), bias = hidden(f32x4.splat(5.192296858534828e33), size);
  let a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
  for (; q < end; q += 4, k += step) {
    const k0 = four(k, 0, bits, mask, bias), k1 = four(k, 1, bits, mask, bias), k2 = four(k, 2, bits, mask, bias), k3 = four(k, 3, bits, mask, bias);
    const a = v128.load32_splat(q);
    a0 = f32x4.add(a0, f32x4.mul(k0, a));
    a1 = f32x4.add(a1, f32x4.mul(k1, a));
    a2 = f32x4.add(a2, f32x4.mul(k2, a));
    a3 = f32x4.add(a3, f32x4.mul(k3, a));
    if (two) {
      const b = v128.load32_splat(q + qStep);
      b0 = f32x4.add(b0, f32x4.mul(k0, b));
      b1 = f32x4.add(b1, f32x4.mul(k1, b));
      b2 = f32x4.add(b2, f32x4.mul(k2, b));
      b3 = f32x4.add(b3, f32x4.mul(k3, b));
    }
  }
  v128.store(scores, f32x4.mul(a0, f));
  v128.store(scores, f32x4.mul(a1, f), 16);
  v128.store(scores, f32x4.mul(a2, f), 32);
  v128.store(scores, f32x4.mul(a3, f), 48);
  if (two) {
    v128.store(scores + sStep, f32x4.mul(b0, f));
    v128.store(scores + sStep, f32x4.mul(b1, f), 16);
    v128.store(scores + sStep, f32x4.mul(b2, f), 32);
    v128.store(scores + sStep, f32x4.mul(b3, f), 48);
  }
}

/**
 * sums[16 numbers] += Σ weight · value over `n` positions, of one query or two: their weights are `sStep` bytes apart, their sums
 * follow each other.
 *
 * @param v numbers of the first of them, those of the next follow
 */
// @ts-ignore: decorator
@inline
export function mixStrip(weights: usize, sStep: usize, v: usize, n: i32, sums: usize, two: bool, bits: i32): void {
  const end = weights + (<usize>n << 2), step = <usize>bits << 1, zero = f32x4.splat(0);
  const mask = hidden(i32x4.splat(0x8fffe000), n), bias = hidden(f32x4.splat(5.192296858534828e33), n);
  let a0 = v128.load(sums), a1 = v128.load(sums, 16), a2 = v128.load(sums, 32), a3 = v128.load(sums, 48);
  let b0 = zero, b1 = zero, b2 = zero, b3 = zero;
  if (two) b0 = v128.load(sums, 64), b1 = v128.load(sums, 80), b2 = v128.load(sums, 96), b3 = v128.load(sums, 112);
  for (let w = weights; w < end; w += 4, v += step) {
    const v0 = four(v, 0, bits, mask, bias), v1 = four(v, 1, bits, mask, bias), v2 = four(v, 2, bits, mask, bias), v3 = four(v, 3, bits, mask, bias);
    const a = v128.load32_splat(w);
    a0 = f32x4.add(a0, f32x4.mul(v0, a));
    a1 = f32x4.add(a1, f32x4.mul(v1, a));
    a2 = f32x4.add(a2, f32x4.mul(v2, a));
    a3 = f32x4.add(a3, f32x4.mul(v3, a));
    if (two) {
      const b = v128.load32_splat(w + sStep);
      b0 = f32x4.add(b0, f32x4.mul(v0, b));
      b1 = f32x4.add(b1, f32x4.mul(v1, b));
      b2 = f32x4.add(b2, f32x4.mul(v2, b));
      b3 = f32x4.add(b3, f32x4.mul(v3, b));
    }
  }
  v128.store(sums, a0);
  v128.store(sums, a1, 16);
  v128.store(sums, a2, 32);
  v128.store(sums, a3, 48);
  if (two) {
    v128.store(sums, b0, 64);
    v128.store(sums, b1, 80);
    v128.store(sums, b2, 96);
    v128.store(sums, b3, 112);
  }
}
