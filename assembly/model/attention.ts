// Attention of grouped heads over a cache of float32 keys and values, with the whole softmax in one piece.
//
//   keys    float32 [KV heads][capacity / 16][size][16 positions]
//   values  float32 [KV heads][ceil(size / 16)][capacity][16 numbers]
//
// so that each of the two loops walks its array in order and adds up nothing across lanes. capacity: positions that there is
// room for, a multiple of 16.
import { exp4, tanh4 } from "../lib/elementary";

/** Bytes of keys or values of a KV head. */
// @ts-ignore: decorator
@inline
function headBytes(capacity: i32, size: i32): usize {
  return <usize>capacity * <usize>((size + 15) & -16) << 2;
}

/**
 * Writes keys and values of tokens begin to before end, of which token 0 is at `position`.
 *
 * @param k float32 [tokens][stride], KV heads one after the other
 * @param v likewise
 */
export function model_append(
  k: usize, v: usize, stride: i32, keys: usize, values: usize, begin: i32, end: i32, heads: i32, size: i32, capacity: i32,
  position: i32,
): void {
  const step = headBytes(capacity, size), tile = <usize>capacity << 6;
  for (let token = begin; token < end; token++) {
    const at = position + token, row = <usize>token * <usize>stride << 2;
    const strip = <usize>(at >> 4) * <usize>size << 6, lane = <usize>(at & 15) << 2;
    for (let h: usize = 0; h < <usize>heads; h++) {
      let from = k + row + (h * <usize>size << 2), to = keys + h * step + strip + lane;
      for (let i = 0; i < size; i++, from += 4, to += 64) store<f32>(to, load<f32>(from));
      from = v + row + (h * <usize>size << 2);
      to = values + h * step + (<usize>at << 6);
      for (let i = 0; i < size; i += 16, to += tile) {
        const n = <usize>min(16, size - i) << 2;
        for (let j: usize = 0; j < n; j += 16, from += 16) v128.store(to + j, v128.load(from));
      }
    }
  }
}

// scores[16] of a strip, for one query or two that are `qStep` bytes apart, whose scores are `sStep` apart.
// @ts-ignore: decorator
@inline
function scoreStrip(q: usize, qStep: usize, k: usize, size: i32, scores: usize, sStep: usize, scale: f32, two: bool): void {
  const zero = f32x4.splat(0), end = q + (<usize>size << 2), f = f32x4.splat(scale);
  let a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
  for (; q < end; q += 4, k += 64) {
    const k0 = v128.load(k), k1 = v128.load(k, 16), k2 = v128.load(k, 32), k3 = v128.load(k, 48);
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
 * Softmax of scores from `first` to before `last`, in place, without the division: returns the sum of weights, in float64.
 * The strip's places before and after become 0. sink: address of one more score that takes its share, or 0. cap > 0: scores
 * are cap · tanh(score / cap) first. The array is whole strips of 16 from scores + (first & -16) on.
 */
// @ts-ignore: decorator
@inline
function softmax(scores: usize, first: i32, last: i32, sink: usize, cap: f32): f64 {
  const begin = scores + (<usize>(first & -16) << 2), end = scores + (<usize>((last + 15) & -16) << 2);
  for (let p = begin; p < scores + (<usize>first << 2); p += 4) store<f32>(p, -f32.MAX_VALUE);
  for (let p = scores + (<usize>last << 2); p < end; p += 4) store<f32>(p, -f32.MAX_VALUE);
  if (cap > 0) {
    const c = f32x4.splat(cap), r = f32x4.splat(1 / cap);
    for (let p = scores + (<usize>(first & -4) << 2); p < scores + (<usize>last << 2); p += 16) {
      v128.store(p, f32x4.mul(c, tanh4(f32x4.mul(v128.load(p), r))));
    }
    for (let p = begin; p < scores + (<usize>first << 2); p += 4) store<f32>(p, -f32.MAX_VALUE);
    for (let p = scores + (<usize>last << 2); p < end; p += 4) store<f32>(p, -f32.MAX_VALUE);
  }
  let most = f32x4.splat(-f32.MAX_VALUE);
  for (let p = begin; p < end; p += 16) most = f32x4.max(most, v128.load(p));
  most = f32x4.max(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
  most = f32x4.max(most, v128.shuffle<i32>(most, most, 1, 0, 3, 2));
  if (sink) most = f32x4.max(most, v128.load32_splat(sink));
  let s0 = f64x2.splat(0), s1 = s0;
  for (let p = begin; p < end; p += 16) {
    const w = exp4(f32x4.sub(v128.load(p), most));
    v128.store(p, w);
    s0 = f64x2.add(s0, f64x2.promote_low_f32x4(w));
    s1 = f64x2.add(s1, f64x2.promote_low_f32x4(v128.shuffle<i64>(w, w, 1, 1)));
  }
  s0 = f64x2.add(s0, s1);
  let total = f64x2.extract_lane(s0, 0) + f64x2.extract_lane(s0, 1);
  if (sink) total += <f64>f32x4.extract_lane(exp4(f32x4.sub(v128.load32_splat(sink), most)), 0);
  return total;
}

// y[16 numbers] = Σ weight · value · factor over positions first to before last, of one query or two.
// @ts-ignore: decorator
@inline
function mixTile(
  weights: usize, sStep: usize, v: usize, first: i32, last: i32, y: usize, yStep: usize, n: i32, fa: f32, fb: f32, two: bool,
): void {
  const zero = f32x4.splat(0), end = weights + (<usize>last << 2);
  let a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
  let p = v + (<usize>first << 6);
  for (let w = weights + (<usize>first << 2); w < end; w += 4, p += 64) {
    const v0 = v128.load(p), v1 = v128.load(p, 16), v2 = v128.load(p, 32), v3 = v128.load(p, 48);
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
  const f = f32x4.splat(fa), g = f32x4.splat(fb);
  v128.store(y, f32x4.mul(a0, f));
  if (n > 4) v128.store(y, f32x4.mul(a1, f), 16);
  if (n > 8) v128.store(y, f32x4.mul(a2, f), 32);
  if (n > 12) v128.store(y, f32x4.mul(a3, f), 48);
  if (two) {
    const z = y + yStep;
    v128.store(z, f32x4.mul(b0, g));
    if (n > 4) v128.store(z, f32x4.mul(b1, g), 16);
    if (n > 8) v128.store(z, f32x4.mul(b2, g), 32);
    if (n > 12) v128.store(z, f32x4.mul(b3, g), 48);
  }
}

/**
 * Causal attention, y = softmax(scale · q kᵀ) v, of units begin / 64 to before end / 64: ranges of rows are whole tiles of 64, and
 * a unit counts as one. Unit u is KV head u % heads of token u / heads, with all its queries.
 *
 * @param q float32 [tokens][stride]: query heads one after the other, `group` a KV head
 * @param y float32 [tokens][heads · group · size]
 * @param scratch of the thread: float32 [group][positions up to a multiple of 16]
 * @param position of token 0, whose keys and values are there already, as those of all tokens
 * @param window most positions that a token sees, itself included; 0: all
 * @param sinks float32 [heads · group], or 0
 */
export function model_attend(
  q: usize, stride: i32, keys: usize, values: usize, y: usize, scratch: usize, begin: i32, end: i32, heads: i32, group: i32,
  size: i32, capacity: i32, position: i32, window: i32, scale: f32, cap: f32, sinks: usize,
): void {
  const step = headBytes(capacity, size), tile = <usize>capacity << 6, sizeBytes = <usize>size << 2;
  for (let unit = begin >> 6; unit < end >> 6; unit++) {
    const token = unit / heads, head = unit - token * heads;
    const last = position + token + 1, first = window > 0 ? max(0, last - window) : 0;
    const sStep = <usize>((last + 15) & -16) << 2;
    let from = q + (<usize>token * <usize>stride << 2) + <usize>(head * group) * sizeBytes;
    let to = y + <usize>((token * heads + head) * group) * sizeBytes;
    const k = keys + <usize>head * step, v = values + <usize>head * step;
    for (let i = 0; i < group;) {
      const two = i + 1 < group;
      for (let at = first & -16; at < last; at += 16) {
        const strip = k + (<usize>at * <usize>size << 2), s = scratch + (<usize>at << 2);
        if (two) scoreStrip(from, sizeBytes, strip, size, s, sStep, scale, true);
        else scoreStrip(from, sizeBytes, strip, size, s, sStep, scale, false);
      }
      const sink = sinks ? sinks + (<usize>(head * group + i) << 2) : 0;
      const fa = <f32>(1 / softmax(scratch, first, last, sink, cap));
      const fb = two ? <f32>(1 / softmax(scratch + sStep, first, last, sink ? sink + 4 : 0, cap)) : 0;
      for (let d = 0; d < size; d += 16) {
        const out = to + (<usize>d << 2), n = min(16, size - d), part = v + <usize>(d >> 4) * tile;
        if (two) mixTile(scratch, sStep, part, first, last, out, sizeBytes, n, fa, fb, true);
        else mixTile(scratch, sStep, part, first, last, out, sizeBytes, n, fa, fb, false);
      }
      const done = two ? 2 : 1;
      i += done;
      from += <usize>done * sizeBytes;
      to += <usize>done * sizeBytes;
    }
  }
}
