// gemv of codes of 2 bits, uniform2 and ternary weights as codes w + 2, by dot products with 32-bit sums. A word is 16 columns of a
// row, so a vector has 4 rows of it, and a field of it 4 columns of each. Twins with the same bits: narrow.ts, products.ts,
// whole.ts. Layout, algebra and bounds: README.md.
import { finishRows } from "../lib/finish";
import { STRIP_BYTES, stripStart } from "../lib/layout";
import { hiddenSplat8 } from "../lib/simd";
import { unitBytes } from "./decode";
import { step } from "./step";
import { centring, scaled, splat } from "./sums";

// Bytes of a chunk (16 columns) of a strip, and of its int8 activations.
const CHUNK: usize = 64;
const PANEL: usize = 16;

// Fields 0 and 2, or 1 and 3, in 32-bit lanes.
// @ts-ignore: decorator
@inline
function dot32(sum: v128, v: v128, w: v128, mask: v128, x: v128, next: v128): v128 {
  return step(step(sum, x, v128.and(v, mask), true), next, v128.and(w, mask), true);
}

// y[16] = Σ over groups of scales · Σ x·(code - 2), of a strip of 16 rows; n = byteCols.
// @ts-ignore: decorator
@inline
function strip(v: usize, s: usize, p: usize, sums: usize, y: usize, n: i32, groupByteCols: i32): void {
  const mask = hiddenSplat8(3, n), mask12 = hiddenSplat8(12, n), zero = i32x4.splat(0);
  let y0 = zero, y1 = zero, y2 = zero, y3 = zero;
  for (let group = 0; group < n; group += groupByteCols) {
    const end = p + (<usize>min(groupByteCols, n - group) << 3);
    let a0 = centring(sums, 2), a1 = a0, a2 = a0, a3 = a0;
    let b0 = zero, b1 = zero, b2 = zero, b3 = zero;
    do {
      const x = v128.load(p), x0 = splat(x, 0), x1 = splat(x, 1), x2 = splat(x, 2), x3 = splat(x, 3);
      let c = v128.load(v), d = i16x8.shr_u(c, 4);
      a0 = dot32(a0, c, d, mask, x0, x2), b0 = dot32(b0, c, d, mask12, x1, x3);
      c = v128.load(v, 16), d = i16x8.shr_u(c, 4);
      a1 = dot32(a1, c, d, mask, x0, x2), b1 = dot32(b1, c, d, mask12, x1, x3);
      c = v128.load(v, 32), d = i16x8.shr_u(c, 4);
      a2 = dot32(a2, c, d, mask, x0, x2), b2 = dot32(b2, c, d, mask12, x1, x3);
      c = v128.load(v, 48), d = i16x8.shr_u(c, 4);
      a3 = dot32(a3, c, d, mask, x0, x2), b3 = dot32(b3, c, d, mask12, x1, x3);
      v += CHUNK;
      p += PANEL;
    } while (p < end);
    a0 = i32x4.add(a0, i32x4.shr_s(b0, 2));
    a1 = i32x4.add(a1, i32x4.shr_s(b1, 2));
    a2 = i32x4.add(a2, i32x4.shr_s(b2, 2));
    a3 = i32x4.add(a3, i32x4.shr_s(b3, 2));
    y0 = scaled(y0, a0, v128.load(s));
    y1 = scaled(y1, a1, v128.load(s, 16));
    y2 = scaled(y2, a2, v128.load(s, 32));
    y3 = scaled(y3, a3, v128.load(s, 48));
    s += STRIP_BYTES;
    sums += 4;
  }
  v128.store(y, y0);
  v128.store(y, y1, 16);
  v128.store(y, y2, 32);
  v128.store(y, y3, 48);
}

/** For the relaxed binary only. */
export function gemv_uniform2_int8_16x8_i32(
  w: usize, scales: usize, tables: usize, steps: usize, y: usize, rowBegin: i32, rowEnd: i32, paddedRows: i32,
  byteCols: i32, groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, _extra: i32,
): void {
  const rowSize = <usize>byteCols * unitBytes(2) / 16, groups = (byteCols + groupByteCols - 1) / groupByteCols;
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2);
    strip(w + <usize>row * rowSize, scales + stripStart(row, groups), tables, steps, out, byteCols, groupByteCols);
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}
