/**
 * y[row..end) = (y + (y1 + y2)) · factor for the results y, y1 and y2 of three digits, `stride` bytes apart. Rows are
 * multiples of 16.
 */
export function combine_digits(y: usize, stride: usize, row: i32, end: i32, factor: f32): void {
  const f = f32x4.splat(factor), last = y + (<usize>end << 2);
  for (y += <usize>row << 2; y < last; y += 16) {
    const rest = f32x4.add(v128.load(y + stride), v128.load(y + 2 * stride));
    v128.store(y, f32x4.mul(f32x4.add(v128.load(y), rest), f));
  }
}
