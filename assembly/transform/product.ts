// Small dense products of float32 matrices: Kronecker factors and projections. Every output is one sum in the order of the
// inner index, whatever its tile, so that edges may be computed twice. README.md in this folder.

// 4 rows by 8 columns, two steps of the inner index at a time.
// @ts-ignore: decorator
@inline
function tile4x8(a: usize, aStride: usize, b: usize, stride: usize, y: usize, inner: i32): void {
  const zero = f32x4.splat(0), end = a + (<usize>inner << 2), unrolled = a + (<usize>(inner & -2) << 2);
  const a1 = aStride, a2 = aStride << 1, a3 = a1 + a2;
  let p0 = zero, p1 = zero, p2 = zero, p3 = zero, q0 = zero, q1 = zero, q2 = zero, q3 = zero;
  for (; a < unrolled; a += 8) {
    const l0 = v128.load(b), h0 = v128.load(b, 16);
    const f00 = v128.load32_splat(a);
    p0 = f32x4.add(p0, f32x4.mul(f00, l0));
    q0 = f32x4.add(q0, f32x4.mul(f00, h0));
    const f01 = v128.load32_splat(a + a1);
    p1 = f32x4.add(p1, f32x4.mul(f01, l0));
    q1 = f32x4.add(q1, f32x4.mul(f01, h0));
    const f02 = v128.load32_splat(a + a2);
    p2 = f32x4.add(p2, f32x4.mul(f02, l0));
    q2 = f32x4.add(q2, f32x4.mul(f02, h0));
    const f03 = v128.load32_splat(a + a3);
    p3 = f32x4.add(p3, f32x4.mul(f03, l0));
    q3 = f32x4.add(q3, f32x4.mul(f03, h0));
    b += stride;
    const l1 = v128.load(b), h1 = v128.load(b, 16);
    const f10 = v128.load32_splat(a, 4);
    p0 = f32x4.add(p0, f32x4.mul(f10, l1));
    q0 = f32x4.add(q0, f32x4.mul(f10, h1));
    const f11 = v128.load32_splat(a + a1, 4);
    p1 = f32x4.add(p1, f32x4.mul(f11, l1));
    q1 = f32x4.add(q1, f32x4.mul(f11, h1));
    const f12 = v128.load32_splat(a + a2, 4);
    p2 = f32x4.add(p2, f32x4.mul(f12, l1));
    q2 = f32x4.add(q2, f32x4.mul(f12, h1));
    const f13 = v128.load32_splat(a + a3, 4);
    p3 = f32x4.add(p3, f32x4.mul(f13, l1));
    q3 = f32x4.add(q3, f32x4.mul(f13, h1));
    b += stride;
  }
  for (; a < end; a += 4) {
    const l0 = v128.load(b), h0 = v128.load(b, 16);
    const f00 = v128.load32_splat(a);
    p0 = f32x4.add(p0, f32x4.mul(f00, l0));
    q0 = f32x4.add(q0, f32x4.mul(f00, h0));
    const f01 = v128.load32_splat(a + a1);
    p1 = f32x4.add(p1, f32x4.mul(f01, l0));
    q1 = f32x4.add(q1, f32x4.mul(f01, h0));
    const f02 = v128.load32_splat(a + a2);
    p2 = f32x4.add(p2, f32x4.mul(f02, l0));
    q2 = f32x4.add(q2, f32x4.mul(f02, h0));
    const f03 = v128.load32_splat(a + a3);
    p3 = f32x4.add(p3, f32x4.mul(f03, l0));
    q3 = f32x4.add(q3, f32x4.mul(f03, h0));
    b += stride;
  }
  v128.store(y, p0);
  v128.store(y, q0, 16);
  v128.store(y + stride, p1);
  v128.store(y + stride, q1, 16);
  v128.store(y + (stride << 1), p2);
  v128.store(y + (stride << 1), q2, 16);
  v128.store(y + stride * 3, p3);
  v128.store(y + stride * 3, q3, 16);
}

// 4 or 1 rows by 4 or 8 columns of y, for what is too narrow or too low for the other.
// @ts-ignore: decorator
@inline
function tile(a: usize, aStride: usize, b: usize, stride: usize, y: usize, inner: i32, tall: bool, wide: bool): void {
  const zero = f32x4.splat(0), end = a + (<usize>inner << 2);
  const a1 = aStride, a2 = aStride << 1, a3 = a1 + a2;
  let p0 = zero, p1 = zero, p2 = zero, p3 = zero, q0 = zero, q1 = zero, q2 = zero, q3 = zero;
  for (; a < end; a += 4) {
    const low = v128.load(b), high = wide ? v128.load(b, 16) : zero;
    const f0 = v128.load32_splat(a);
    p0 = f32x4.add(p0, f32x4.mul(f0, low));
    if (wide) q0 = f32x4.add(q0, f32x4.mul(f0, high));
    if (tall) {
      const f1 = v128.load32_splat(a + a1), f2 = v128.load32_splat(a + a2), f3 = v128.load32_splat(a + a3);
      p1 = f32x4.add(p1, f32x4.mul(f1, low));
      p2 = f32x4.add(p2, f32x4.mul(f2, low));
      p3 = f32x4.add(p3, f32x4.mul(f3, low));
      if (wide) {
        q1 = f32x4.add(q1, f32x4.mul(f1, high));
        q2 = f32x4.add(q2, f32x4.mul(f2, high));
        q3 = f32x4.add(q3, f32x4.mul(f3, high));
      }
    }
    b += stride;
  }
  v128.store(y, p0);
  if (wide) v128.store(y, q0, 16);
  if (tall) {
    v128.store(y + stride, p1);
    v128.store(y + (stride << 1), p2);
    v128.store(y + stride * 3, p3);
    if (wide) {
      v128.store(y + stride, q1, 16);
      v128.store(y + (stride << 1), q2, 16);
      v128.store(y + stride * 3, q3, 16);
    }
  }
}

/**
 * y = A B for A [rows, inner], B [inner, cols], y [rows, cols], row-major without padding; y apart from both.
 * y[r][c] = Σ_k A[r][k]·B[k][c], from +0 in the order of k.
 */
export function transform_product(a: usize, b: usize, y: usize, rows: i32, inner: i32, cols: i32): void {
  const aStride = <usize>inner << 2, stride = <usize>cols << 2;
  if (cols < 4) {
    for (let r = 0; r < rows; r++) {
      for (let c: usize = 0; c < stride; c += 4) {
        let sum: f32 = 0, p = b + c;
        for (let k: usize = 0; k < aStride; k += 4, p += stride) sum += load<f32>(a + k) * load<f32>(p);
        store<f32>(y + c, sum);
      }
      a += aStride;
      y += stride;
    }
    return;
  }
  // The last tile of a row or column ends at the edge.
  for (let r = 0; r < rows; r += rows < 4 ? 1 : 4) {
    const row = rows < 4 ? r : min(r, rows - 4);
    const aRow = a + <usize>row * aStride, yRow = y + <usize>row * stride;
    if (cols < 8) {
      for (let c = 0; c < cols; c += 4) {
        const at = <usize>min(c, cols - 4) << 2;
        if (rows < 4) tile(aRow, aStride, b + at, stride, yRow + at, inner, false, false);
        else tile(aRow, aStride, b + at, stride, yRow + at, inner, true, false);
      }
    } else {
      for (let c = 0; c < cols; c += 8) {
        const at = <usize>min(c, cols - 8) << 2;
        if (rows < 4) tile(aRow, aStride, b + at, stride, yRow + at, inner, false, true);
        else tile4x8(aRow, aStride, b + at, stride, yRow + at, inner);
      }
    }
  }
}
