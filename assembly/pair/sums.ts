// From the four sums of each row to a complex product. Algebra: README.md in this folder.
import { addCompensated, compensated } from "../lib/compensated";
import { TILE_ROWS } from "../lib/layout";
import { accumulate } from "../lib/simd";

/** Bytes between the four sums of a tile: P, R (plane s with Re x and Im x), Q, S (plane t likewise), 64 rows each. */
export const SUM_BYTES: usize = TILE_ROWS << 2;

/** How a plane is conjugated: 2 bits a plane. */
const CONJUGATE_X: i32 = 1;
const CONJUGATE_W: i32 = 2;

// y[4] += sums · scales, or -= where `flip` is the sign bit. `exact`: `low` has what additions round off.
// @ts-ignore: decorator
@inline
function addScaled(y: usize, low: usize, sums: v128, scales: v128, flip: v128, exact: bool): void {
  const v = v128.xor(f32x4.mul(sums, scales), flip);
  if (exact) addCompensated(y, low, v);
  else accumulate(y, v);
}

/**
 * y[4 parts][rows] += the products of a group: A s_re, ∓B s_im, ±C s_re, ±D s_im with A = P + Q, B = S - R, C = R + S,
 * D = Q - P. int32 sums are halved `shift` times first. float32 sums (`float`) are
 * taken as they are, and what is rounded off is added to `low`, of which the parts are rowBytes apart, too.
 *
 * @param sums SUM_BYTES apart
 * @param y parts rowBytes apart
 * @param kind 0, CONJUGATE_X or CONJUGATE_W: which of B, C and D is subtracted
 */
// @ts-ignore: decorator
@inline
export function addProducts(
  sums: usize, rows: i32, y: usize, low: usize, rowBytes: usize, re: usize, im: usize, kind: i32, shift: i32, float: bool,
): void {
  const minus = f32x4.splat(-0.0), plus = f32x4.splat(0);
  const flipB = kind == 0 ? minus : plus;
  const flipC = kind == CONJUGATE_X ? minus : plus, flipD = kind == CONJUGATE_W ? minus : plus;
  const end = sums + (<usize>rows << 2);
  for (; sums < end; sums += 16) {
    const p = v128.load(sums), r = v128.load(sums, 256), q = v128.load(sums, 512), s = v128.load(sums, 768);
    let a: v128, b: v128, c: v128, d: v128;
    if (float) {
      a = f32x4.add(p, q), b = f32x4.sub(s, r), c = f32x4.add(r, s), d = f32x4.sub(q, p);
    } else {
      a = f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.add(p, q), shift));
      b = f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.sub(s, r), shift));
      c = f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.add(r, s), shift));
      d = f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.sub(q, p), shift));
    }
    const scaleRe = v128.load(re), scaleIm = v128.load(im);
    addScaled(y, low, a, scaleRe, plus, float);
    addScaled(y + rowBytes, low + rowBytes, b, scaleIm, flipB, float);
    addScaled(y + 2 * rowBytes, low + 2 * rowBytes, c, scaleRe, flipC, float);
    addScaled(y + 3 * rowBytes, low + 3 * rowBytes, d, scaleIm, flipD, float);
    y += 16;
    low += 16;
    re += 16;
    im += 16;
  }
}

/** y[4 parts][rows] += low, the parts of both rowBytes apart. */
// @ts-ignore: decorator
@inline
export function addRest(y: usize, low: usize, rows: i32, rowBytes: usize): void {
  for (let part: usize = 0; part < 4; part++) {
    const from = low - y, end = y + (<usize>rows << 2);
    for (let p = y; p < end; p += 16) v128.store(p, compensated(v128.load(p), v128.load(p + from)));
    y += rowBytes;
    low += rowBytes;
  }
}

// v · f · g
// @ts-ignore: decorator
@inline
function scaled(v: v128, f: v128, g: v128): v128 {
  return f32x4.mul(f32x4.mul(v, f), g);
}

/**
 * Rows [row, end) of Re y, then of Im y (paddedRows apart) from the four parts at y:
 * Re = A·fa·ga + B·fb·gb, Im = C·fb·gb + D·fa·ga. Rows are multiples of 16.
 */
export function finish_complex(
  y: usize, paddedRows: i32, row: i32, end: i32, fa: f32, ga: f32, fb: f32, gb: f32,
): void {
  const f0 = f32x4.splat(fa), g0 = f32x4.splat(ga), f1 = f32x4.splat(fb), g1 = f32x4.splat(gb);
  const rowBytes = <usize>paddedRows << 2, last = y + (<usize>end << 2);
  for (y += <usize>row << 2; y < last; y += 16) {
    const im = y + rowBytes;
    const b = v128.load(im), c = v128.load(im + rowBytes), d = v128.load(im + 2 * rowBytes);
    v128.store(y, f32x4.add(scaled(v128.load(y), f0, g0), scaled(b, f1, g1)));
    v128.store(im, f32x4.add(scaled(c, f1, g1), scaled(d, f0, g0)));
  }
}
