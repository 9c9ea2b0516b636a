// The branches beside a quantised matrix: y += bias + A (B x) + sparse, all in float32 without relaxed operations, so
// that both binaries give the same bits. Layouts, order of operations and bounds: README.md in this folder.
import { addPairs } from "../lib/simd";

// Units of 8 columns that B x sums in one run before the run is added to the total: 512 columns, 64 additions a lane.
const LOWRANK_BLOCK: i32 = 64;
// Rows whose sparse entries are sorted together, and of a strip of A.
const WINDOW_ROWS: i32 = 64;
const STRIP_ROWS: i32 = 32;

/** scaled[k] = x[k]·colScale[k] of byteCols·8 columns; scaled may be x. */
export function prepare_scaled(x: usize, colScale: usize, scaled: usize, byteCols: i32): void {
  const end = x + (<usize>byteCols << 5);
  for (; x < end; x += 32) {
    v128.store(scaled, f32x4.mul(v128.load(x), v128.load(colScale)));
    v128.store(scaled, f32x4.mul(v128.load(x, 16), v128.load(colScale, 16)), 16);
    colScale += 32;
    scaled += 32;
  }
}

/** t = B x, float32 [rank rounded up to 4]. b: [rank / 4][byteCols][4 ranks][8 columns], zero in the padding. */
export function prepare_lowrank(x: usize, b: usize, t: usize, rank: i32, byteCols: i32): void {
  const zero = f32x4.splat(0), end = x + (<usize>byteCols << 5);
  for (let j = 0; j < rank; j += 4) {
    let total = zero, p = x;
    do {
      const blockEnd = min(p + (<usize>LOWRANK_BLOCK << 5), end);
      let a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
      do {
        const low = v128.load(p), high = v128.load(p, 16);
        a0 = f32x4.add(a0, f32x4.mul(v128.load(b), low));
        b0 = f32x4.add(b0, f32x4.mul(v128.load(b, 16), high));
        a1 = f32x4.add(a1, f32x4.mul(v128.load(b, 32), low));
        b1 = f32x4.add(b1, f32x4.mul(v128.load(b, 48), high));
        a2 = f32x4.add(a2, f32x4.mul(v128.load(b, 64), low));
        b2 = f32x4.add(b2, f32x4.mul(v128.load(b, 80), high));
        a3 = f32x4.add(a3, f32x4.mul(v128.load(b, 96), low));
        b3 = f32x4.add(b3, f32x4.mul(v128.load(b, 112), high));
        p += 32;
        b += 128;
      } while (p < blockEnd);
      const s01 = addPairs(f32x4.add(a0, b0), f32x4.add(a1, b1));
      const s23 = addPairs(f32x4.add(a2, b2), f32x4.add(a3, b3));
      total = f32x4.add(total, addPairs(s01, s23));
    } while (p < end);
    v128.store(t, total);
    t += 16;
  }
}

// y[16] += v
// @ts-ignore: decorator
@inline
function add16(y: usize, v0: v128, v1: v128, v2: v128, v3: v128): void {
  v128.store(y, f32x4.add(v128.load(y), v0));
  v128.store(y, f32x4.add(v128.load(y, 16), v1), 16);
  v128.store(y, f32x4.add(v128.load(y, 32), v2), 32);
  v128.store(y, f32x4.add(v128.load(y, 48), v3), 48);
}

// y[32 or 16 rows] += A t, the products of a row added in the order of ranks.
// @ts-ignore: decorator
@inline
function lowrankStrip(y: usize, a: usize, t: usize, rank: i32, wide: bool): void {
  const zero = f32x4.splat(0), end = t + (<usize>rank << 2);
  let s0 = zero, s1 = zero, s2 = zero, s3 = zero, s4 = zero, s5 = zero, s6 = zero, s7 = zero;
  do {
    const v = v128.load32_splat(t);
    s0 = f32x4.add(s0, f32x4.mul(v128.load(a), v));
    s1 = f32x4.add(s1, f32x4.mul(v128.load(a, 16), v));
    s2 = f32x4.add(s2, f32x4.mul(v128.load(a, 32), v));
    s3 = f32x4.add(s3, f32x4.mul(v128.load(a, 48), v));
    if (wide) {
      s4 = f32x4.add(s4, f32x4.mul(v128.load(a, 64), v));
      s5 = f32x4.add(s5, f32x4.mul(v128.load(a, 80), v));
      s6 = f32x4.add(s6, f32x4.mul(v128.load(a, 96), v));
      s7 = f32x4.add(s7, f32x4.mul(v128.load(a, 112), v));
    }
    a += wide ? 128 : 64;
    t += 4;
  } while (t < end);
  add16(y, s0, s1, s2, s3);
  if (wide) add16(y + 64, s4, s5, s6, s7);
}

// sums[4 rows] += one entry of each row: its value times x at its column.
// @ts-ignore: decorator
@inline
function step(sums: v128, values: v128, x: usize, c0: u32, c1: u32, c2: u32, c3: u32): v128 {
  let v = v128.load32_zero(x + (c0 << 2));
  v = v128.load32_lane(x + (c1 << 2), v, 1);
  v = v128.load32_lane(x + (c2 << 2), v, 2);
  v = v128.load32_lane(x + (c3 << 2), v, 3);
  return f32x4.add(sums, f32x4.mul(values, v));
}

// y[row] += sum
// @ts-ignore: decorator
@inline
function addRow(y: usize, row: u8, sum: f32): void {
  const p = y + (<usize>row << 2);
  store<f32>(p, load<f32>(p) + sum);
}

// One window of rows: groups of 4 rows, those with most entries first, up to the first without any. T: type of a column
// index. Returns the end of the window's stream.
// @ts-ignore: decorator
@inline
function sparseWindow<T>(y: usize, groups: usize, groupsEnd: usize, p: usize, x: usize): usize {
  do {
    const bytes = load<u32>(groups);
    if (bytes == 0) break;
    const end = p + bytes;
    let sums = f32x4.splat(0);
    do {
      sums = step(
        sums, v128.load(p, 8 * sizeof<T>()), x,
        load<T>(p), load<T>(p, sizeof<T>()), load<T>(p, 2 * sizeof<T>()), load<T>(p, 3 * sizeof<T>()),
      );
      sums = step(
        sums, v128.load(p, 8 * sizeof<T>() + 16), x,
        load<T>(p, 4 * sizeof<T>()), load<T>(p, 5 * sizeof<T>()),
        load<T>(p, 6 * sizeof<T>()), load<T>(p, 7 * sizeof<T>()),
      );
      p += 8 * sizeof<T>() + 32;
    } while (p < end);
    addRow(y, load<u8>(groups, 4), f32x4.extract_lane(sums, 0));
    addRow(y, load<u8>(groups, 5), f32x4.extract_lane(sums, 1));
    addRow(y, load<u8>(groups, 6), f32x4.extract_lane(sums, 2));
    addRow(y, load<u8>(groups, 7), f32x4.extract_lane(sums, 3));
    groups += 8;
  } while (groups < groupsEnd);
  return p;
}

/**
 * y[r] = ((y[r] + bias[r]) + Σ_j A[r][j]·t[j]) + Σ_i value_i·x[col_i] for the rows of a tile, right after their gemv.
 * An address of 0 is a branch that is not there. colBytes: bytes of a column index, 2 or 4.
 */
export function branch_add(
  y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  bias: usize, t: usize, a: usize, rank: i32, sparse: usize, colBytes: i32, x: usize,
): void {
  const windows = (paddedRows + WINDOW_ROWS - 1) / WINDOW_ROWS;
  const groups = sparse + (<usize>windows << 2);
  let stream: usize = 0;
  if (sparse) stream = sparse + load<u32>(sparse + (<usize>(rowBegin / WINDOW_ROWS) << 2));
  for (let row = rowBegin; row < rowEnd; row += WINDOW_ROWS) {
    const windowEnd = min(row + WINDOW_ROWS, rowEnd), out = y + (<usize>row << 2);
    if (bias) {
      let p = bias + (<usize>row << 2), to = out;
      const end = bias + (<usize>windowEnd << 2);
      for (; p < end; p += 64) {
        add16(to, v128.load(p), v128.load(p, 16), v128.load(p, 32), v128.load(p, 48));
        to += 64;
      }
    }
    if (a) {
      let i = row, p = a + <usize>i * <usize>rank * 4;
      for (; i <= windowEnd - STRIP_ROWS; i += STRIP_ROWS) {
        lowrankStrip(y + (<usize>i << 2), p, t, rank, true);
        p += <usize>rank * 4 * STRIP_ROWS;
      }
      if (i < windowEnd) lowrankStrip(y + (<usize>i << 2), p, t, rank, false);
    }
    if (sparse) {
      const g = groups + (<usize>row << 1), gEnd = groups + (<usize>windowEnd << 1);
      if (colBytes == 2) stream = sparseWindow<u16>(out, g, gEnd, stream, x);
      else stream = sparseWindow<u32>(out, g, gEnd, stream, x);
    }
  }
}
