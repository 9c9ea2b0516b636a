// One step of one accumulator, and of an unpacked tile, as each binary has it.

/**
 * sum + activations · codes. `exact32`: the relaxed dot product that adds into 32-bit lanes (one instruction with VNNI
 * or the ARM dot product, five without); otherwise the one that gives 16-bit lanes (one instruction on any x86).
 * Without relaxed SIMD both are int16.
 */
// @ts-ignore: decorator
@inline
export function step(sum: v128, x: v128, codes: v128, exact32: bool): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (exact32) return i32x4.relaxed_dot_i8x16_i7x16_add_s(x, codes, sum);
    return i16x8.add(sum, i16x8.relaxed_dot_i8x16_i7x16_s(x, codes));
  }
  return i32x4.add(sum, i32x4.dot_i16x8_s(x, codes));
}

/** Bytes of a step of an unpacked tile: 64 rows x 4 bytes. */
export const STEP_BYTES: usize = 256;

/** The codes of 4 rows x 4 columns, a byte each, to out. byteMask = 0x00ff in 16-bit lanes. */
// @ts-ignore: decorator
@inline
export function storeCodes(codes: v128, out: usize, byteMask: v128): void {
  if (ASC_FEATURE_RELAXED_SIMD) {
    v128.store(out, codes);
  } else {
    v128.store(out, v128.and(codes, byteMask));
    v128.store(out, i16x8.shr_u(codes, 8), 256);
  }
}
