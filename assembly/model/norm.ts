// Norms. A unit is one vector of `size` numbers: vector i of a token starts `size` numbers after vector i - 1, `inner` of them
// follow each other, and tokens are `stride` apart. So one kernel serves hidden states (inner 1) and the heads of a
// projection.

// @ts-ignore: decorator
@inline
function sumLanes(v: v128): f64 {
  return f64x2.extract_lane(v, 0) + f64x2.extract_lane(v, 1);
}

// Both halves of four float32 as float64, whose squares neither overflow nor vanish.
// @ts-ignore: decorator
@inline
function low(v: v128): v128 {
  return f64x2.promote_low_f32x4(v);
}
// @ts-ignore: decorator
@inline
function high(v: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<i64>(v, v, 1, 1));
}

/**
 * RMS norm: y = x · (1 / √(mean x² + eps)) · weight, for units begin to before end. Means in float64, rounded once; products in
 * float32. weight: float32 [size], 0: none. size a multiple of 4. y may be x.
 */
export function model_rms_norm(
  x: usize, xStride: i32, y: usize, yStride: i32, weight: usize, begin: i32, end: i32, inner: i32, size: i32, eps: f64,
): void {
  for (let unit = begin; unit < end; unit++) {
    const token = unit / inner, at = (unit - token * inner) * size;
    const from = x + (<usize>(token * xStride + at) << 2), to = y + (<usize>(token * yStride + at) << 2);
    const bytes = <usize>size << 2;
    let s0 = f64x2.splat(0), s1 = s0;
    for (let i: usize = 0; i < bytes; i += 16) {
      const v = v128.load(from + i), a = low(v), b = high(v);
      s0 = f64x2.add(s0, f64x2.mul(a, a));
      s1 = f64x2.add(s1, f64x2.mul(b, b));
    }
    const scale = f32x4.splat(<f32>(1 / Math.sqrt(sumLanes(f64x2.add(s0, s1)) / <f64>size + eps)));
    for (let i: usize = 0; i < bytes; i += 16) {
      const v = f32x4.mul(v128.load(from + i), scale);
      v128.store(to + i, weight ? f32x4.mul(v, v128.load(weight + i)) : v);
    }
  }
}

/**
 * LayerNorm: y = (x - mean) · (1 / √(variance + eps)) · weight + bias likewise; bias may be 0: none. The variance is the mean of
 * squares of x - mean, in float64. weightStep: floats from the weights of a vector to those of the next one of a token.
 */
export function model_layer_norm(
  x: usize, xStride: i32, y: usize, yStride: i32, weight: usize, bias: usize, begin: i32, end: i32, inner: i32, size: i32,
  eps: f64, weightStep: i32,
): void {
  for (let unit = begin; unit < end; unit++) {
    const token = unit / inner, vector = unit - token * inner, at = vector * size;
    const from = x + (<usize>(token * xStride + at) << 2), to = y + (<usize>(token * yStride + at) << 2);
    const w = weight + (<usize>(vector * weightStep) << 2), b = bias ? bias + (<usize>(vector * weightStep) << 2) : 0;
    const bytes = <usize>size << 2;
    let s0 = f64x2.splat(0), s1 = s0;
    for (let i: usize = 0; i < bytes; i += 16) {
      const v = v128.load(from + i);
      s0 = f64x2.add(s0, low(v));
      s1 = f64x2.add(s1, high(v));
    }
    const mean = f64x2.splat(sumLanes(f64x2.add(s0, s1)) / <f64>size);
    s0 = f64x2.splat(0);
    s1 = s0;
    for (let i: usize = 0; i < bytes; i += 16) {
      const v = v128.load(from + i), d0 = f64x2.sub(low(v), mean), d1 = f64x2.sub(high(v), mean);
      s0 = f64x2.add(s0, f64x2.mul(d0, d0));
      s1 = f64x2.add(s1, f64x2.mul(d1, d1));
    }
    const scale = f64x2.splat(1 / Math.sqrt(sumLanes(f64x2.add(s0, s1)) / <f64>size + eps));
    for (let i: usize = 0; i < bytes; i += 16) {
      const v = v128.load(from + i);
      const d0 = f32x4.demote_f64x2_zero(f64x2.mul(f64x2.sub(low(v), mean), scale));
      const d1 = f32x4.demote_f64x2_zero(f64x2.mul(f64x2.sub(high(v), mean), scale));
      let r = f32x4.mul(v128.shuffle<i64>(d0, d1, 0, 2), v128.load(w + i));
      if (b) r = f32x4.add(r, v128.load(b + i));
      v128.store(to + i, r);
    }
  }
}
