// What is between the matrices of a feed-forward block, residuals, and soft caps.
import { exp4, gelu4, geluTanh4, sigmoid4, tanh4 } from "../lib/elementary";

// The kinds of activation, as src/llm/config.ts numbers them.
const SILU = 0, GELU_TANH = 1, GELU = 2, RELU2 = 3, RELU = 4, CLAMPED = 5;

// @ts-ignore: decorator
@inline
function activate(v: v128, kind: i32): v128 {
  if (kind == SILU) return f32x4.mul(v, sigmoid4(v));
  if (kind == GELU_TANH) return geluTanh4(v);
  if (kind == GELU) return gelu4(v);
  const positive = f32x4.max(v, f32x4.splat(0));
  return kind == RELU2 ? f32x4.mul(positive, positive) : positive;
}

// One kind for a whole call, so that the choice is outside of the loop.
// @ts-ignore: decorator
@inline
function gateRow(gate: usize, up: usize, y: usize, bytes: usize, kind: i32): void {
  for (let i: usize = 0; i < bytes; i += 16) {
    const v = activate(v128.load(gate + i), kind);
    v128.store(y + i, up ? f32x4.mul(v, v128.load(up + i)) : v);
  }
}

// gpt-oss: (up + 1) · g · sigmoid(1.702·g), g at most 7, up within ±7.
// @ts-ignore: decorator
@inline
function clampedRow(gate: usize, up: usize, y: usize, bytes: usize): void {
  const seven = f32x4.splat(7);
  for (let i: usize = 0; i < bytes; i += 16) {
    const g = f32x4.min(v128.load(gate + i), seven);
    const u = f32x4.min(f32x4.max(v128.load(up + i), f32x4.splat(-7)), seven);
    const swish = f32x4.mul(g, sigmoid4(f32x4.mul(g, f32x4.splat(1.702))));
    v128.store(y + i, f32x4.mul(f32x4.add(u, f32x4.splat(1)), swish));
  }
}

/**
 * y = activation(gate) · up for tokens begin to before end; without `up` (0) y = activation(gate). gate and up: float32 [tokens]
 * [stride], y [tokens][size], which may be gate if stride is size. size a multiple of 4.
 */
export function model_gate(
  gate: usize, up: usize, stride: i32, y: usize, begin: i32, end: i32, size: i32, kind: i32,
): void {
  const bytes = <usize>size << 2, step = <usize>stride << 2;
  for (let token = <usize>begin; token < <usize>end; token++) {
    const g = gate + token * step, u = up ? up + token * step : 0, to = y + token * bytes;
    if (kind == SILU) gateRow(g, u, to, bytes, SILU);
    else if (kind == GELU_TANH) gateRow(g, u, to, bytes, GELU_TANH);
    else if (kind == GELU) gateRow(g, u, to, bytes, GELU);
    else if (kind == RELU2) gateRow(g, u, to, bytes, RELU2);
    else if (kind == CLAMPED) clampedRow(g, u, to, bytes);
    else gateRow(g, u, to, bytes, RELU);
  }
}

/** y[n] += x · factor; n a multiple of 4. */
export function model_add(y: usize, x: usize, n: i32, factor: f32): void {
  const f = f32x4.splat(factor), end = y + (<usize>n << 2);
  for (; y < end; y += 16, x += 16) v128.store(y, f32x4.add(v128.load(y), f32x4.mul(v128.load(x), f)));
}

/** y[n] = x · factor; n a multiple of 4. y may be x. */
export function model_scale(y: usize, x: usize, n: i32, factor: f32): void {
  const f = f32x4.splat(factor), end = y + (<usize>n << 2);
  for (; y < end; y += 16, x += 16) v128.store(y, f32x4.mul(v128.load(x), f));
}

/** x[n] = cap · tanh(x / cap); n a multiple of 4. */
export function model_soft_cap(x: usize, n: i32, cap: f32): void {
  const c = f32x4.splat(cap), r = f32x4.splat(1 / cap), end = x + (<usize>n << 2);
  for (; x < end; x += 16) v128.store(x, f32x4.mul(c, tanh4(f32x4.mul(v128.load(x), r))));
}

/** Σ e^(x - most) over n numbers of which most is the largest: terms in float32, their sum in float64. */
export function model_sum_exp(x: usize, n: i32, most: f32): f64 {
  const m = f32x4.splat(most), end = x + (<usize>(n & -4) << 2);
  let s0 = f64x2.splat(0), s1 = s0;
  for (; x < end; x += 16) {
    const w = exp4(f32x4.sub(v128.load(x), m));
    s0 = f64x2.add(s0, f64x2.promote_low_f32x4(w));
    s1 = f64x2.add(s1, f64x2.promote_low_f32x4(v128.shuffle<i64>(w, w, 1, 1)));
  }
  s0 = f64x2.add(s0, s1);
  let total = f64x2.extract_lane(s0, 0) + f64x2.extract_lane(s0, 1);
  for (let i = n & 3; i > 0; i--, x += 4) total += <f64>f32x4.extract_lane(exp4(f32x4.splat(load<f32>(x) - most)), 0);
  return total;
}
