// float32 sums of any length: each addition's rounding error is kept and added up by itself.
//
// s = fl(y + v) misses y + v by e, which is a float32 and comes out of five more operations whichever of y and v is larger
// (Knuth, The Art of Computer Programming 2, 4.2.2, theorem B). Σ v is then s + Σ e exactly but for the additions of Σ e, whose
// error is n u of it, and Σ |e| <= n u Σ |v|: with u = 2^-24 the sum of n terms is off by u |Σ v| + n² u² Σ |v| / 2 at most, where
// one running sum is off by n u / 2 when all terms have one sign and all roundings one direction, as they have for a constant.
// n = 4096, which is a million columns in two planes: 4096² u² / 2 < 4e-8 < u.

/** memory[y] += v; memory[low] += what that addition rounded off. Four float32 lanes. */
// @ts-ignore: decorator
@inline
export function addCompensated(y: usize, low: usize, v: v128): void {
  const a = v128.load(y), s = f32x4.add(a, v);
  v128.store(y, s);
  v128.store(low, f32x4.add(v128.load(low), roundedOff(a, v, s)));
}

/** a + v - s, exactly, for s = fl(a + v). */
// @ts-ignore: decorator
@inline
function roundedOff(a: v128, v: v128, s: v128): v128 {
  const part = f32x4.sub(s, a);
  return f32x4.add(f32x4.sub(a, f32x4.sub(s, part)), f32x4.sub(v, part));
}

/** s + low, or s where that is no number: errors of an infinite sum are NaN. */
// @ts-ignore: decorator
@inline
export function compensated(s: v128, low: v128): v128 {
  const sum = f32x4.add(s, low);
  return v128.bitselect(sum, s, f32x4.eq(sum, sum));
}
