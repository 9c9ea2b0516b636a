// What shows on which machine a binary runs, where no result that kernels use does (src/runtime/machine.ts). probe.ts has what
// relaxed operations show.

/** 1 where ∞ - ∞ is a negative NaN: on x86. ARM and RISC-V give a positive one. */
export function nan_negative(zero: i32): i32 {
  const infinity = reinterpret<f32>(zero + 0x7f800000);
  return <i32>(reinterpret<i32>(infinity - infinity) < 0);
}

// Sum of the lanes, so that nothing that was computed is left out.
// @ts-ignore: decorator
@inline
function total(a: v128, b: v128, c: v128, d: v128): i32 {
  const sum = i32x4.add(i32x4.add(a, b), i32x4.add(c, d));
  return i32x4.extract_lane(sum, 0) ^ i32x4.extract_lane(sum, 1) ^ i32x4.extract_lane(sum, 2) ^ i32x4.extract_lane(sum, 3);
}

// 16 products of bytes added to a sum, as dot products in 32-bit lanes: of bytes, or of int16 twice.
// @ts-ignore: decorator
@inline
function dot(sum: v128, x: v128, codes: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.relaxed_dot_i8x16_i7x16_add_s(x, codes, sum);
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(x, codes));
  return i32x4.add(sum, i32x4.dot_i16x8_s(codes, codes));
}

/**
 * 4·n times 16 products as dot products (how = 0) or as 16-bit products and additions of low and high halves (1), to be
 * timed against each other: one function, so that both are compiled by the same compiler. Codes change, or an engine could
 * take the products out of the loop.
 */
export function spin(n: i32, how: i32): i32 {
  const x0 = i8x16.splat(<i8>n), x1 = i16x8.splat(<i16>n), x2 = i32x4.splat(n), x3 = i8x16.splat(<i8>(n + 1));
  const one = i8x16.splat(1);
  let a = i32x4.splat(0), b = a, c = a, d = a, codes = a;
  let e = a, f = a, g = a, h = a;
  if (how == 0) {
    for (let i = 0; i < n; i++) {
      a = dot(a, x0, codes);
      b = dot(b, x1, codes);
      c = dot(c, x2, codes);
      d = dot(d, x3, codes);
      codes = i8x16.add(codes, one);
    }
  } else {
    for (let i = 0; i < n; i++) {
      a = i16x8.add(a, i16x8.extmul_low_i8x16_s(x0, codes));
      e = i16x8.add(e, i16x8.extmul_high_i8x16_s(x0, codes));
      b = i16x8.add(b, i16x8.extmul_low_i8x16_s(x1, codes));
      f = i16x8.add(f, i16x8.extmul_high_i8x16_s(x1, codes));
      c = i16x8.add(c, i16x8.extmul_low_i8x16_s(x2, codes));
      g = i16x8.add(g, i16x8.extmul_high_i8x16_s(x2, codes));
      d = i16x8.add(d, i16x8.extmul_low_i8x16_s(x3, codes));
      h = i16x8.add(h, i16x8.extmul_high_i8x16_s(x3, codes));
      codes = i8x16.add(codes, one);
    }
  }
  return total(i32x4.add(a, e), i32x4.add(b, f), i32x4.add(c, g), i32x4.add(d, h));
}
