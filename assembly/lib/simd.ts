// The one seam between simd128 and relaxed-simd: everything else is the same source in both binaries.
// ASC_FEATURE_RELAXED_SIMD is a compile-time constant, so the branch that is not taken leaves no code.

/**
 * table[index] in each byte. index must be 0..15, or 128..255, which gives 0: between, x86 and ARM disagree in the relaxed
 * form.
 */
// @ts-ignore: decorator
@inline
export function lookup(table: v128, index: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i8x16.relaxed_swizzle(table, index);
  return i8x16.swizzle(table, index);
}

/**
 * The byte `value` in every lane, hidden from Binaryen. A constant it can fold is re-made at every use by V8 >= 13.6.
 * `positive` is any i32 that is never negative, which Binaryen cannot know.
 */
// @ts-ignore: decorator
@inline
export function hiddenSplat8(value: i32, positive: i32): v128 {
  return i8x16.splat(<i8>((positive >>> 31) + value));
}

/** The vector `constant`, hidden likewise. */
// @ts-ignore: decorator
@inline
export function hidden(constant: v128, positive: i32): v128 {
  return v128.or(constant, i32x4.splat(positive >>> 31));
}

/** The high nibble of each byte. There is no byte shift on x86, so: shift the 16-bit lanes, then mask (mask = 15). */
// @ts-ignore: decorator
@inline
export function highNibble(v: v128, mask: v128): v128 {
  return v128.and(i16x8.shr_u(v, 4), mask);
}

// Lanes a0 b0 a1 b1 … from a = a0 a1 … and b = b0 b1 …, first half and second half.
// @ts-ignore: decorator
@inline
export function zipLow8(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
// @ts-ignore: decorator
@inline
export function zipHigh8(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
// @ts-ignore: decorator
@inline
export function zipLow16(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}
// @ts-ignore: decorator
@inline
export function zipHigh16(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

/** memory[p] += v, four float32 lanes. */
// @ts-ignore: decorator
@inline
export function accumulate(p: usize, v: v128): void {
  v128.store(p, f32x4.add(v128.load(p), v));
}

/** Sums of neighbouring float32 lanes: a0+a1, a2+a3, b0+b1, b2+b3. */
// @ts-ignore: decorator
@inline
export function addPairs(a: v128, b: v128): v128 {
  return f32x4.add(v128.shuffle<f32>(a, b, 0, 2, 4, 6), v128.shuffle<f32>(a, b, 1, 3, 5, 7));
}
