// Weights that are numbers as they are: float32, float16 (finite) and bfloat16, times float32 activations. Layout: [strip of 16
// rows][column][16 rows], so that a strip is read in order and nothing is added across lanes. A row's product is a sum of
// sums of 256 columns each, in order, in float32 without relaxed operations: for one token or many the same bits.

const BLOCK: i32 = 256;
// What numbers are stored as.
const F32 = 0, F16 = 1, BF16 = 2;

// Four float16, each in the low half of a lane, as float32: their bits in place, times 2^112 for the bias of the exponent,
// which is exact for denormals too.
// @ts-ignore: decorator
@inline
function half(bits: v128): v128 {
  const magnitude = i32x4.shl(v128.and(bits, i32x4.splat(0x7fff)), 13);
  const sign = i32x4.shl(v128.and(bits, i32x4.splat(0x8000)), 16);
  return v128.or(f32x4.mul(magnitude, f32x4.splat(5.192296858534828e33)), sign);
}

// Bytes of 4 weights, and 4 weights.
// @ts-ignore: decorator
@inline
function quad(kind: i32): usize {
  return kind == F32 ? 16 : 8;
}
// @ts-ignore: decorator
@inline
function four(w: usize, kind: i32): v128 {
  if (kind == F32) return v128.load(w);
  const bits = v128.load16x4_u(w);
  return kind == F16 ? half(bits) : i32x4.shl(bits, 16);
}

// @ts-ignore: decorator
@inline
function gemv(w: usize, x: usize, y: usize, rowBegin: i32, rowEnd: i32, byteCols: i32, factor: f32, kind: i32): void {
  const cols = <usize>byteCols << 3, q = quad(kind), f = f32x4.splat(factor), zero = f32x4.splat(0);
  w += <usize>rowBegin * cols * (q >> 2);
  const xEnd = x + (cols << 2), yEnd = y + (<usize>rowEnd << 2);
  for (y += <usize>rowBegin << 2; y < yEnd; y += 64) {
    let t0 = zero, t1 = zero, t2 = zero, t3 = zero, p = x;
    do {
      const end = min(p + (<usize>BLOCK << 2), xEnd);
      let a0 = zero, a1 = zero, a2 = zero, a3 = zero;
      do {
        let v = v128.load32_splat(p);
        a0 = f32x4.add(a0, f32x4.mul(four(w, kind), v));
        a1 = f32x4.add(a1, f32x4.mul(four(w + q, kind), v));
        a2 = f32x4.add(a2, f32x4.mul(four(w + 2 * q, kind), v));
        a3 = f32x4.add(a3, f32x4.mul(four(w + 3 * q, kind), v));
        v = v128.load32_splat(p, 4);
        a0 = f32x4.add(a0, f32x4.mul(four(w + 4 * q, kind), v));
        a1 = f32x4.add(a1, f32x4.mul(four(w + 5 * q, kind), v));
        a2 = f32x4.add(a2, f32x4.mul(four(w + 6 * q, kind), v));
        a3 = f32x4.add(a3, f32x4.mul(four(w + 7 * q, kind), v));
        p += 8;
        w += 8 * q;
      } while (p < end);
      t0 = f32x4.add(t0, a0);
      t1 = f32x4.add(t1, a1);
      t2 = f32x4.add(t2, a2);
      t3 = f32x4.add(t3, a3);
    } while (p < xEnd);
    v128.store(y, f32x4.mul(t0, f));
    v128.store(y, f32x4.mul(t1, f), 16);
    v128.store(y, f32x4.mul(t2, f), 32);
    v128.store(y, f32x4.mul(t3, f), 48);
  }
}

export function gemv_dense32_f32_16x1(
  w: usize, _scales: usize, x: usize, _steps: usize, y: usize, rowBegin: i32, rowEnd: i32, _paddedRows: i32, byteCols: i32,
  _groupByteCols: i32, factor: f32,
): void {
  gemv(w, x, y, rowBegin, rowEnd, byteCols, factor, F32);
}

export function gemv_dense16_f32_16x1(
  w: usize, _scales: usize, x: usize, _steps: usize, y: usize, rowBegin: i32, rowEnd: i32, _paddedRows: i32, byteCols: i32,
  _groupByteCols: i32, factor: f32,
): void {
  gemv(w, x, y, rowBegin, rowEnd, byteCols, factor, F16);
}

export function gemv_denseb16_f32_16x1(
  w: usize, _scales: usize, x: usize, _steps: usize, y: usize, rowBegin: i32, rowEnd: i32, _paddedRows: i32, byteCols: i32,
  _groupByteCols: i32, factor: f32,
): void {
  gemv(w, x, y, rowBegin, rowEnd, byteCols, factor, BF16);
}

// y[16 rows] of one token or two, += a block of columns, or = for the first.
// @ts-ignore: decorator
@inline
function block(w: usize, x: usize, xStep: usize, bytes: usize, y: usize, yStep: usize, two: bool, first: bool): void {
  const zero = f32x4.splat(0), end = x + bytes;
  let a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
  for (; x < end; x += 4, w += 64) {
    const w0 = v128.load(w), w1 = v128.load(w, 16), w2 = v128.load(w, 32), w3 = v128.load(w, 48);
    const a = v128.load32_splat(x);
    a0 = f32x4.add(a0, f32x4.mul(w0, a));
    a1 = f32x4.add(a1, f32x4.mul(w1, a));
    a2 = f32x4.add(a2, f32x4.mul(w2, a));
    a3 = f32x4.add(a3, f32x4.mul(w3, a));
    if (two) {
      const b = v128.load32_splat(x + xStep);
      b0 = f32x4.add(b0, f32x4.mul(w0, b));
      b1 = f32x4.add(b1, f32x4.mul(w1, b));
      b2 = f32x4.add(b2, f32x4.mul(w2, b));
      b3 = f32x4.add(b3, f32x4.mul(w3, b));
    }
  }
  put(y, a0, a1, a2, a3, first);
  if (two) put(y + yStep, b0, b1, b2, b3, first);
}

// The first block is added to 0, as gemv does: that makes 0 of -0.
// @ts-ignore: decorator
@inline
function put(y: usize, v0: v128, v1: v128, v2: v128, v3: v128, first: bool): void {
  const zero = f32x4.splat(0);
  v128.store(y, f32x4.add(first ? zero : v128.load(y), v0));
  v128.store(y, f32x4.add(first ? zero : v128.load(y, 16), v1), 16);
  v128.store(y, f32x4.add(first ? zero : v128.load(y, 32), v2), 32);
  v128.store(y, f32x4.add(first ? zero : v128.load(y, 48), v3), 48);
}

// @ts-ignore: decorator
@inline
function gemm(
  w: usize, panel: usize, factors: usize, y: usize, tile: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32,
  n: i32, kind: i32,
): void {
  const cols = <usize>byteCols << 3, q = quad(kind), xStep = cols << 2, yStep = <usize>paddedRows << 2;
  w += <usize>rowBegin * cols * (q >> 2);
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2);
    for (let col: usize = 0; col < cols; col += BLOCK) {
      const count = min(<usize>BLOCK, cols - col);
      let from = w;
      if (kind != F32) {
        from = tile;
        const end = tile + (count << 6);
        for (let to = tile, p = w; to < end; to += 16, p += q) v128.store(to, four(p, kind));
      }
      w += count * q << 2;
      let x = panel + (col << 2), to = out, token = 0;
      for (; token + 1 < n; token += 2, x += 2 * xStep, to += 2 * yStep) {
        if (col == 0) block(from, x, xStep, count << 2, to, yStep, true, true);
        else block(from, x, xStep, count << 2, to, yStep, true, false);
      }
      if (token < n) block(from, x, xStep, count << 2, to, yStep, false, col == 0);
    }
    let to = out;
    for (let token = 0; token < n; token++, to += yStep) {
      const f = v128.load32_splat(factors + (<usize>token << 2));
      v128.store(to, f32x4.mul(v128.load(to), f));
      v128.store(to, f32x4.mul(v128.load(to, 16), f), 16);
      v128.store(to, f32x4.mul(v128.load(to, 32), f), 32);
      v128.store(to, f32x4.mul(v128.load(to, 48), f), 48);
    }
  }
}

/**
 * n tokens.
 * @param panel float32 [n][byteCols · 8]
 * @param factors float32 [n]
 * @param scratch of the thread: 16384 bytes
 */
export function gemm_dense32_f32_16x2(
  w: usize, _scales: usize, panel: usize, _sums: usize, factors: usize, y: usize, scratch: usize, rowBegin: i32, rowEnd: i32,
  paddedRows: i32, byteCols: i32, _groupByteCols: i32, n: i32,
): void {
  gemm(w, panel, factors, y, scratch, rowBegin, rowEnd, paddedRows, byteCols, n, F32);
}

export function gemm_dense16_f32_16x2(
  w: usize, _scales: usize, panel: usize, _sums: usize, factors: usize, y: usize, scratch: usize, rowBegin: i32, rowEnd: i32,
  paddedRows: i32, byteCols: i32, _groupByteCols: i32, n: i32,
): void {
  gemm(w, panel, factors, y, scratch, rowBegin, rowEnd, paddedRows, byteCols, n, F16);
}

export function gemm_denseb16_f32_16x2(
  w: usize, _scales: usize, panel: usize, _sums: usize, factors: usize, y: usize, scratch: usize, rowBegin: i32, rowEnd: i32,
  paddedRows: i32, byteCols: i32, _groupByteCols: i32, n: i32,
): void {
  gemm(w, panel, factors, y, scratch, rowBegin, rowEnd, paddedRows, byteCols, n, BF16);
}
