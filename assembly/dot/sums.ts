// What all kernels of dot products do: activations in every lane, and where sums start and end up.

/** 32 bits of a vector in every lane. */
// @ts-ignore: decorator
@inline
export function splat(x: v128, lane: i32): v128 {
  if (lane == 0) return v128.shuffle<i32>(x, x, 0, 0, 0, 0);
  if (lane == 1) return v128.shuffle<i32>(x, x, 1, 1, 1, 1);
  if (lane == 2) return v128.shuffle<i32>(x, x, 2, 2, 2, 2);
  return v128.shuffle<i32>(x, x, 3, 3, 3, 3);
}

/** Two neighbouring products, of codes 0..127 and int8, added in each 16-bit lane. Without relaxed SIMD nothing may call it. */
// @ts-ignore: decorator
@inline
export function dot16(x: v128, codes: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.relaxed_dot_i8x16_i7x16_s(x, codes);
  return x;
}

/** Σ x·(c - centre) = Σ x·c - centre · Σ x: the latter, with centre = 2^(bits - 1), of a group. */
// @ts-ignore: decorator
@inline
export function centring(sum: usize, bits: i32): v128 {
  return i32x4.sub(i32x4.splat(0), i32x4.shl(v128.load32_splat(sum), bits - 1));
}

/** y[4] + scales · sums */
// @ts-ignore: decorator
@inline
export function scaled(y: v128, sums: v128, scales: v128): v128 {
  return f32x4.add(y, f32x4.mul(f32x4.convert_i32x4_s(sums), scales));
}

/** The same where y[4] is. */
// @ts-ignore: decorator
@inline
export function addScaled(y: usize, sums: v128, scales: usize): void {
  v128.store(y, scaled(v128.load(y), sums, v128.load(scales)));
}
