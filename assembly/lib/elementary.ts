// Elementary functions of four float32 lanes, of + - * / alone, without relaxed operations: the same bits in both binaries and
// in every engine. Reductions and polynomials are those of the Cephes library (Moshier, expf.c and tanhf.c).

import { hidden } from "./simd";

/**
 * e^x. At most 2 units in the last place of float32 for x from -87.3 to 88.3; 0 below, and infinite from 88.4 on, where the bits of
 * the power of two are those of infinity; NaN stays NaN. The reduced argument is within ±ln 2 / 2, and n·0.693359375 is exact because
 * that has 10 bits and n 7. n is rounded by an addition that leaves it in the low bits.
 */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  return expOf(
    x, f32x4.splat(-87.3), f32x4.splat(89), f32x4.splat(1.44269504088896341), f32x4.splat(12582912), f32x4.splat(0.693359375),
    f32x4.splat(2.12194440e-4), f32x4.splat(1.9875691500e-4), f32x4.splat(1.3981999507e-3), f32x4.splat(8.3334519073e-3),
    f32x4.splat(4.1665795894e-2), f32x4.splat(1.6666665459e-1), f32x4.splat(5.0000001201e-1), f32x4.splat(1),
  );
}

// The same of constants that a loop keeps.
// @ts-ignore: decorator
@inline
function expOf(
  x: v128, low: v128, high: v128, perLn2: v128, rounding: v128, ln2: v128, rest: v128, c0: v128, c1: v128, c2: v128, c3: v128,
  c4: v128, c5: v128, one: v128,
): v128 {
  const bounded = f32x4.pmin(f32x4.pmax(x, low), high);
  const t = f32x4.add(f32x4.mul(bounded, perLn2), rounding), n = f32x4.sub(t, rounding);
  const r = f32x4.add(f32x4.sub(bounded, f32x4.mul(n, ln2)), f32x4.mul(n, rest));
  let p = f32x4.add(f32x4.mul(r, c0), c1);
  p = f32x4.add(f32x4.mul(p, r), c2);
  p = f32x4.add(f32x4.mul(p, r), c3);
  p = f32x4.add(f32x4.mul(p, r), c4);
  p = f32x4.add(f32x4.mul(p, r), c5);
  p = f32x4.add(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), one);
  // The bits of 1 are 127 << 23.
  return v128.andnot(f32x4.mul(p, i32x4.add(i32x4.shl(t, 23), one)), f32x4.lt(x, low));
}

/**
 * e^(x - most) of the numbers from begin to before end, in place, four at a time; returns their sum in float64: of lanes 0 and 2
 * and of lanes 1 and 3, then of both. The constants are hidden from Binaryen (simd.ts). positive: any i32 that is not negative.
 */
// @ts-ignore: decorator
@inline
export function expSum(begin: usize, end: usize, most: v128, positive: i32): f64 {
  const low = hidden(f32x4.splat(-87.3), positive), high = hidden(f32x4.splat(89), positive);
  const perLn2 = hidden(f32x4.splat(1.44269504088896341), positive), rounding = hidden(f32x4.splat(12582912), positive);
  const ln2 = hidden(f32x4.splat(0.693359375), positive), rest = hidden(f32x4.splat(2.12194440e-4), positive);
  const c0 = hidden(f32x4.splat(1.9875691500e-4), positive), c1 = hidden(f32x4.splat(1.3981999507e-3), positive);
  const c2 = hidden(f32x4.splat(8.3334519073e-3), positive), c3 = hidden(f32x4.splat(4.1665795894e-2), positive);
  const c4 = hidden(f32x4.splat(1.6666665459e-1), positive), c5 = hidden(f32x4.splat(5.0000001201e-1), positive);
  const one = hidden(f32x4.splat(1), positive);
  let s0 = f64x2.splat(0), s1 = s0;
  for (; begin < end; begin += 16) {
    const x = f32x4.sub(v128.load(begin), most);
    const w = expOf(x, low, high, perLn2, rounding, ln2, rest, c0, c1, c2, c3, c4, c5, one);
    v128.store(begin, w);
    s0 = f64x2.add(s0, f64x2.promote_low_f32x4(w));
    s1 = f64x2.add(s1, f64x2.promote_low_f32x4(v128.shuffle<i64>(w, w, 1, 1)));
  }
  s0 = f64x2.add(s0, s1);
  return f64x2.extract_lane(s0, 0) + f64x2.extract_lane(s0, 1);
}

/** 1 / (1 + e^-x). */
// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  const one = f32x4.splat(1);
  return f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(x))));
}

/** tanh x: x + x³·P(x²) up to 0.625, else 1 - 2 / (e^2|x| + 1) with the sign of x. */
// @ts-ignore: decorator
@inline
export function tanh4(x: v128): v128 {
  const one = f32x4.splat(1), size = f32x4.abs(x), s = f32x4.mul(x, x);
  let p = f32x4.sub(f32x4.mul(s, f32x4.splat(-5.70498872745e-3)), f32x4.splat(-2.06390887954e-2));
  p = f32x4.add(f32x4.mul(p, s), f32x4.splat(-5.37397155531e-2));
  p = f32x4.add(f32x4.mul(p, s), f32x4.splat(1.33314422036e-1));
  p = f32x4.add(f32x4.mul(p, s), f32x4.splat(-3.33332819422e-1));
  const small = f32x4.add(f32x4.mul(f32x4.mul(p, s), x), x);
  const e = exp4(f32x4.add(size, size));
  const large = f32x4.sub(one, f32x4.div(f32x4.splat(2), f32x4.add(e, one)));
  const sign = v128.and(x, i32x4.splat(0x80000000));
  return v128.bitselect(v128.or(large, sign), small, f32x4.gt(size, f32x4.splat(0.625)));
}

// erfc z for z >= 0, with a relative error of 1.2e-7 in exact arithmetic (Press et al., Numerical Recipes, 2nd ed., 6.2).
// @ts-ignore: decorator
@inline
function erfc4(z: v128): v128 {
  const t = f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), f32x4.mul(z, f32x4.splat(0.5))));
  let p = f32x4.add(f32x4.mul(t, f32x4.splat(0.17087277)), f32x4.splat(-0.82215223));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(1.48851587));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-1.13520398));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(0.27886807));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-0.18628806));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(0.09678418));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(0.37409196));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(1.00002368));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-1.26551223));
  return f32x4.mul(t, exp4(f32x4.sub(p, f32x4.mul(z, z))));
}

/** x·Φ(x), the error function's GELU: x/2 · erfc(-x/√2), with erfc(-z) = 2 - erfc(z). */
// @ts-ignore: decorator
@inline
export function gelu4(x: v128): v128 {
  const half = f32x4.mul(x, f32x4.splat(0.5));
  const tail = erfc4(f32x4.mul(f32x4.abs(x), f32x4.splat(0.70710678118654752)));
  return f32x4.mul(half, v128.bitselect(tail, f32x4.sub(f32x4.splat(2), tail), f32x4.lt(x, f32x4.splat(0))));
}

/** GELU by tanh: x/2 · (1 + tanh u) is x · sigmoid(2u), u = √(2/π)·(x + 0.044715·x³). */
// @ts-ignore: decorator
@inline
export function geluTanh4(x: v128): v128 {
  const cube = f32x4.mul(f32x4.mul(x, x), x);
  const u = f32x4.add(x, f32x4.mul(cube, f32x4.splat(0.044715)));
  return f32x4.mul(x, sigmoid4(f32x4.mul(u, f32x4.splat(1.5957691216057308))));
}
