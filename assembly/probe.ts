// Known-answer probe of the relaxed operations, on operands for which every engine must agree: codes 0..127 in operand
// 2, swizzle indices 0..15. An engine that is wrong here (one shipped a dot product twice too large in its first
// compilation tier) must get the simd128 binary. `zero` is 0, unknown to the compiler, so that nothing is folded.

/** 1 when every relaxed operation that the kernels use gives the one right answer. */
export function probe(zero: i32): i32 {
  const hide = i8x16.splat(<i8>zero);
  const x = v128.or(i8x16(-128, 127, -128, 127, 127, 127, -128, -128, -1, 1, 0, 5, -7, 100, -100, 3), hide);
  const c = v128.or(i8x16(127, 127, 0, 2, 127, 127, 127, 127, 1, 1, 2, 2, 64, 3, 7, 127), hide);
  const pairs = i16x8.relaxed_dot_i8x16_i7x16_s(x, c);
  if (!i8x16.all_true(i16x8.eq(pairs, i16x8(-127, 254, 32258, -32512, 0, 10, -148, -319)))) return 0;
  // Chained, and with both operands and a second sum still in use: one compiler got exactly that wrong.
  let a = v128.or(i32x4.splat(1 << 20), hide), b = i32x4.splat(-5);
  for (let i = zero; i < 3; i++) {
    a = i32x4.relaxed_dot_i8x16_i7x16_add_s(x, c, a);
    b = i32x4.relaxed_dot_i8x16_i7x16_add_s(c, v128.and(x, c), b);
    b = i32x4.relaxed_dot_i8x16_i7x16_add_s(x, c, b);
  }
  if (!i8x16.all_true(i32x4.eq(a, i32x4(1048957, 1047814, 1048606, 1047175)))) return 0;
  if (!i8x16.all_true(i32x4.eq(b, i32x4(48775, 96007, 31, 12109)))) return 0;
  const table = v128.or(i8x16(-8, 7, -6, 5, -4, 3, -2, 1, 0, -1, 2, -3, 4, -5, 6, -128), hide);
  const index = v128.or(i8x16(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), hide);
  const mirrored = i8x16(-128, 6, -5, 4, -3, 2, -1, 0, 1, -2, 3, -4, 5, -6, 7, -8);
  return <i32>i8x16.all_true(i8x16.eq(i8x16.relaxed_swizzle(table, index), mirrored));
}

/**
 * How this machine lowers the relaxed dot product with 32-bit sums: 16 when through sums of pairs that saturate at 16
 * bits (x86 without AVX-VNNI: five instructions), 32 when not (AVX-VNNI, ARM). It shows in the result for codes beyond
 * 127: 4·127·255 through saturating pairs is 2·32767.
 */
export function dot_bits(zero: i32): i32 {
  const x = i8x16.splat(<i8>(zero + 127)), codes = i8x16.splat(<i8>(zero - 1));
  const sums = i32x4.relaxed_dot_i8x16_i7x16_add_s(x, codes, i32x4.splat(zero));
  return i32x4.extract_lane(sums, 0) == 65534 ? 16 : 32;
}

/**
 * What codes beyond 127 are in operand 2 of the relaxed dot product with 32-bit sums: 1 unsigned bytes (AVX-VNNI), -1 signed ones
 * (ARM, AVX-VNNI-INT8), 0 neither: through saturating pairs. For |x| <= 127, which is all that kernels have.
 */
export function dot_sign(zero: i32): i32 {
  const none = i32x4.splat(zero), least = i8x16.splat(<i8>(zero - 127)), most = i8x16.splat(<i8>(zero + 127));
  const all = i8x16.splat(<i8>(zero - 1)), top = i8x16.splat(<i8>(zero - 128));
  const a = i32x4.relaxed_dot_i8x16_i7x16_add_s(most, all, none);
  const b = i32x4.relaxed_dot_i8x16_i7x16_add_s(least, all, none);
  const c = i32x4.relaxed_dot_i8x16_i7x16_add_s(least, top, none);
  // Of the three sums those of unsigned bytes are 4·127·255, its negative, and -4·127·128.
  const unsigned = v128.and(
    v128.and(i32x4.eq(a, i32x4.splat(129540)), i32x4.eq(b, i32x4.splat(-129540))), i32x4.eq(c, i32x4.splat(-65024)),
  );
  const signed = v128.and(
    v128.and(i32x4.eq(a, i32x4.splat(-508)), i32x4.eq(b, i32x4.splat(508))), i32x4.eq(c, i32x4.splat(65024)),
  );
  return i32x4.all_true(unsigned) ? 1 : i32x4.all_true(signed) ? -1 : 0;
}

/**
 * 1 where counting the bits of bytes is one instruction, as far as that shows: on ARM. There a relaxed swizzle gives 0 for
 * an index of 16 to 127; x86 uses the low four bits of it, and counts bits in ten instructions. An engine that makes the
 * swizzle strict on x86 is taken for ARM, and loses time by it, but no bit of a result.
 */
export function popcnt_native(zero: i32): i32 {
  const table = i8x16.splat(<i8>(zero + 1)), index = i8x16.splat(<i8>(zero + 17));
  return <i32>(i8x16.extract_lane_s(i8x16.relaxed_swizzle(table, index), 0) == 0);
}
