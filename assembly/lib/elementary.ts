// Elementary functions of four float32 lanes, of + - * / alone, without relaxed operations: the same bits in both binaries and
// in every engine. Reductions and polynomials are those of the Cephes library (Moshier, expf.c and tanhf.c).

/**
 * e^x. At most 2 units in the last place of float32 for x from -87.3 to 88.3; 0 below, and infinite from 88.4 on, where the bits of
 * the power of two are those of infinity. No NaN may go in. The reduced argument is within ±ln 2 / 2, and n·0.693359375 is exact
 * because that has 10 bits and n 7.
 */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  const low = f32x4.splat(-87.3);
  const bounded = f32x4.min(f32x4.max(x, low), f32x4.splat(89));
  const n = f32x4.nearest(f32x4.mul(bounded, f32x4.splat(1.44269504088896341)));
  let r = f32x4.sub(bounded, f32x4.mul(n, f32x4.splat(0.693359375)));
  r = f32x4.add(r, f32x4.mul(n, f32x4.splat(2.12194440e-4)));
  let p = f32x4.add(f32x4.mul(r, f32x4.splat(1.9875691500e-4)), f32x4.splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1));
  p = f32x4.add(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), f32x4.splat(1));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  return v128.and(f32x4.mul(p, power), f32x4.ge(x, low));
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
