// Scalar yardsticks, on the library's packed tiles of sign planes and on a byte a weight, and a read loop for the memory
// bandwidth that WebAssembly sees.
//
// Layout of tiles: rows are padded to a multiple of 16 and cut into tiles of 64 (the last may be lower); inside a tile
// [byteCol][row in tile][plane], one byte each; bit j of a byte is the sign bit of column 8 * byteCol + j.
//
// There x is padded with zeros to 8 * byteCols. x is int8. y holds the int32 sums first and float32 results in the end.
// Bound of a sum: 2 planes * 127 * cols, so cols up to 8 million.

const TILE_ROWS: i32 = 64;

/** The sum of those of x0..x7 whose bit is set. */
// @ts-ignore: decorator
@inline
function signed(bits: i32, x0: i32, x1: i32, x2: i32, x3: i32, x4: i32, x5: i32, x6: i32, x7: i32): i32 {
  return (
    (x0 & -(bits & 1)) +
    (x1 & -((bits >> 1) & 1)) +
    (x2 & -((bits >> 2) & 1)) +
    (x3 & -((bits >> 3) & 1)) +
    (x4 & -((bits >> 4) & 1)) +
    (x5 & -((bits >> 5) & 1)) +
    (x6 & -((bits >> 6) & 1)) +
    (x7 & -(bits >> 7))
  );
}

/** y[r] = scales[r] * xScale * sum_c w[r, c] * x[c]; `planes` = 1 for binary and 2 for ternary weights. */
// @ts-ignore: decorator
@inline
function gemv(
  planes: i32,
  weights: usize,
  x: usize,
  scales: usize,
  xScale: f32,
  y: usize,
  rows: i32,
  byteCols: i32,
): void {
  memory.fill(y, 0, <usize>rows << 2);
  let xSum = 0;
  for (let p = x, end = x + (<usize>byteCols << 3); p < end; p++) xSum += load<i8>(p);
  let w = weights;
  for (let row = 0; row < rows; row += TILE_ROWS) {
    const sums = y + (<usize>row << 2);
    const sumsEnd = sums + (<usize>min(TILE_ROWS, rows - row) << 2);
    for (let p = x, end = x + (<usize>byteCols << 3); p < end; p += 8) {
      const x0 = <i32>load<i8>(p);
      const x1 = <i32>load<i8>(p, 1);
      const x2 = <i32>load<i8>(p, 2);
      const x3 = <i32>load<i8>(p, 3);
      const x4 = <i32>load<i8>(p, 4);
      const x5 = <i32>load<i8>(p, 5);
      const x6 = <i32>load<i8>(p, 6);
      const x7 = <i32>load<i8>(p, 7);
      for (let s = sums; s < sumsEnd; s += 4) {
        let sum = signed(load<u8>(w), x0, x1, x2, x3, x4, x5, x6, x7);
        if (planes == 2) sum += signed(load<u8>(w, 1), x0, x1, x2, x3, x4, x5, x6, x7);
        store<i32>(s, load<i32>(s) + sum);
        w += planes;
      }
    }
  }
  // A set bit is worth 2x - x in the binary format (w = 2 * bit - 1); the ternary w is bit0 + bit1 - 1.
  for (let row = 0; row < rows; row++) {
    const s = y + (<usize>row << 2);
    const sum = load<i32>(s);
    const exact = planes == 1 ? 2 * sum - xSum : sum - xSum;
    store<f32>(s, load<f32>(scales + (<usize>row << 2)) * xScale * <f32>exact);
  }
}

export function binary(w: usize, x: usize, scales: usize, xScale: f32, y: usize, rows: i32, byteCols: i32): void {
  gemv(1, w, x, scales, xScale, y, rows, byteCols);
}

export function ternary(w: usize, x: usize, scales: usize, xScale: f32, y: usize, rows: i32, byteCols: i32): void {
  gemv(2, w, x, scales, xScale, y, rows, byteCols);
}

/**
 * y[r] = scales[r] * xScale * sum_c (codes[r, c] - zero) * x[c], codes [rows, cols] of a byte each, x [cols] int8.
 * Bound of a sum: 255 * 127 * cols, so cols up to 66 thousand. Four sums, so that additions do not wait for each other.
 */
export function codes(w: usize, zero: i32, x: usize, scales: usize, xScale: f32, y: usize, rows: i32, cols: i32): void {
  const blocks = x + <usize>(cols & ~3), end = x + <usize>cols;
  let xSum = 0;
  for (let p = x; p < end; p++) xSum += load<i8>(p);
  for (let row = 0; row < rows; row++) {
    let a = 0, b = 0, c = 0, d = 0, p = x;
    for (; p < blocks; p += 4, w += 4) {
      a += <i32>load<u8>(w) * <i32>load<i8>(p);
      b += <i32>load<u8>(w, 1) * <i32>load<i8>(p, 1);
      c += <i32>load<u8>(w, 2) * <i32>load<i8>(p, 2);
      d += <i32>load<u8>(w, 3) * <i32>load<i8>(p, 3);
    }
    for (; p < end; p++, w++) a += <i32>load<u8>(w) * <i32>load<i8>(p);
    const at = <usize>row << 2;
    store<f32>(y + at, load<f32>(scales + at) * xScale * <f32>(a + b + c + d - zero * xSum));
  }
}

/**
 * Reads `bytes` (a positive multiple of 128) once from `ptr` and returns their xor folded to 32 bits. Eight independent
 * accumulators: with one, the loop would measure the latency of xor instead of the memory.
 */
export function read(ptr: usize, bytes: usize): i32 {
  let a = i64x2.splat(0);
  let b = a;
  let c = a;
  let d = a;
  let e = a;
  let f = a;
  let g = a;
  let h = a;
  const end = ptr + bytes;
  do {
    a = v128.xor(a, v128.load(ptr));
    b = v128.xor(b, v128.load(ptr, 16));
    c = v128.xor(c, v128.load(ptr, 32));
    d = v128.xor(d, v128.load(ptr, 48));
    e = v128.xor(e, v128.load(ptr, 64));
    f = v128.xor(f, v128.load(ptr, 80));
    g = v128.xor(g, v128.load(ptr, 96));
    h = v128.xor(h, v128.load(ptr, 112));
    ptr += 128;
  } while (ptr < end);
  a = v128.xor(v128.xor(v128.xor(a, b), v128.xor(c, d)), v128.xor(v128.xor(e, f), v128.xor(g, h)));
  return i32x4.extract_lane(a, 0) ^ i32x4.extract_lane(a, 1) ^ i32x4.extract_lane(a, 2) ^ i32x4.extract_lane(a, 3);
}
