// SFC-6(6) and SFC-6(7): 3 x 3 taps, stride 1, tiles of 6 x 6 or 7 x 7 outputs.
import {
  bytes, GROUP_IN, GROUP_OUT, M_AT, M_PLANE, TILES, UNIT, UNIT_ROWS, word, WORK_AT, X_FLIP, X_PITCH, X_PLANE, X_WIDTH,
} from "./record";
import { finishTile, isInside, load8, products, tileSource } from "./sfc";

/** 1/9 modulo 2^32. */
const NINTH = 0x38e38e39;

// The eight values of the six-point core of x1 … x6, `step` bytes apart.
// @ts-ignore: decorator
@inline
function core(to: usize, step: usize, x1: v128, x2: v128, x3: v128, x4: v128, x5: v128, x6: v128): void {
  const e0 = i16x8.add(x1, x4), e1 = i16x8.add(x2, x5), e2 = i16x8.add(x3, x6);
  const d0 = i16x8.sub(x1, x4), d1 = i16x8.sub(x2, x5), d2 = i16x8.sub(x3, x6);
  v128.store(to, i16x8.add(i16x8.add(e0, e1), e2));
  v128.store(to + step, i16x8.add(d0, d1));
  v128.store(to + 2 * step, i16x8.neg(i16x8.add(d1, d2)));
  v128.store(to + 3 * step, i16x8.sub(d0, d2));
  v128.store(to + 4 * step, i16x8.sub(e0, e2));
  v128.store(to + 5 * step, i16x8.sub(e2, e1));
  v128.store(to + 6 * step, i16x8.sub(e0, e1));
  v128.store(to + 7 * step, i16x8.add(i16x8.sub(d0, d1), d2));
}

// One axis: 8 or 9 values to 10 or 12, `step` bytes apart; x7 - x1 meets two taps of the larger tile.
// @ts-ignore: decorator
@inline
function forward(
  to: usize, step: usize, x0: v128, x1: v128, x2: v128, x3: v128, x4: v128, x5: v128, x6: v128, x7: v128, x8: v128, seven: bool,
): void {
  core(to, step, x1, x2, x3, x4, x5, x6);
  v128.store(to + 8 * step, i16x8.sub(x0, x6));
  const v = i16x8.sub(x7, x1);
  v128.store(to + 9 * step, v);
  if (seven) {
    v128.store(to + 10 * step, v);
    v128.store(to + 11 * step, i16x8.sub(x8, x2));
  }
}

// 8 channels of a tile: pixels of bytes, `pitch` apart in rows `row` apart, to int16 planes `plane` apart.
// @ts-ignore: decorator
@inline
function input(from: usize, pitch: usize, row: usize, flip: v128, to: usize, plane: usize, work: usize, seven: bool): void {
  const side: usize = seven ? 9 : 8, terms: usize = seven ? 12 : 10;
  for (let j: usize = 0; j < side; j++) {
    const p = from + pitch * j;
    forward(
      work + (j << 4), side << 4, load8(p, flip), load8(p + row, flip), load8(p + 2 * row, flip), load8(p + 3 * row, flip),
      load8(p + 4 * row, flip), load8(p + 5 * row, flip), load8(p + 6 * row, flip), load8(p + 7 * row, flip),
      seven ? load8(p + 8 * row, flip) : flip, seven,
    );
  }
  for (let i: usize = 0; i < terms; i++) {
    const p = work + (i * side << 4);
    forward(
      to + plane * (i * terms), plane, v128.load(p), v128.load(p, 16), v128.load(p, 32), v128.load(p, 48), v128.load(p, 64),
      v128.load(p, 80), v128.load(p, 96), v128.load(p, 112), seven ? v128.load(p, 128) : flip, seven,
    );
  }
}

// 36 y of a part of one axis, or y itself.
// @ts-ignore: decorator
@inline
function ended(v: v128, last: bool): v128 {
  return last ? i32x4.shr_s(i32x4.mul(i32x4.splat(NINTH), v), 2) : v;
}

// One axis back: 10 or 12 products `step` bytes apart to 6 or 7 sums `toStep` apart. Weights of corrections have the factor 6.
// @ts-ignore: decorator
@inline
function back(p: usize, step: usize, to: usize, toStep: usize, last: bool, seven: bool): void {
  const dc = v128.load(p), ny = v128.load(p + 7 * step);
  const a = v128.load(p + step), b = v128.load(p + 2 * step), c = v128.load(p + 3 * step);
  const d = v128.load(p + 4 * step), e = v128.load(p + 5 * step), g = v128.load(p + 6 * step);
  const P = i32x4.sub(a, b), Q = i32x4.sub(c, a), R = i32x4.sub(d, e), S = i32x4.sub(g, d);
  const pq = i32x4.add(P, Q), t0 = i32x4.add(pq, Q), t1 = i32x4.add(pq, P), t2 = i32x4.sub(P, Q);
  const s0 = i32x4.sub(S, R), s1 = i32x4.add(i32x4.add(R, S), R), n2 = i32x4.add(s0, s1);
  const up = i32x4.add(dc, ny), um = i32x4.sub(dc, ny);
  const y0 = i32x4.add(i32x4.add(um, s0), t0);
  v128.store(to, ended(i32x4.add(y0, v128.load(p + 8 * step)), last));
  v128.store(to + toStep, ended(i32x4.add(i32x4.add(up, s1), t1), last));
  v128.store(to + 2 * toStep, ended(i32x4.add(i32x4.sub(um, n2), t2), last));
  v128.store(to + 3 * toStep, ended(i32x4.sub(i32x4.add(up, s0), t0), last));
  v128.store(to + 4 * toStep, ended(i32x4.sub(i32x4.add(um, s1), t1), last));
  const y5 = i32x4.sub(i32x4.sub(up, n2), t2);
  if (seven) {
    v128.store(to + 5 * toStep, ended(i32x4.add(y5, v128.load(p + 10 * step)), last));
    const y6 = i32x4.add(y0, i32x4.add(v128.load(p + 9 * step), v128.load(p + 11 * step)));
    v128.store(to + 6 * toStep, ended(y6, last));
  } else {
    v128.store(to + 5 * toStep, ended(i32x4.add(y5, v128.load(p + 9 * step)), last));
  }
}

// 4 outputs of a tile: planes of products to sums int32 [side][side][16].
// @ts-ignore: decorator
@inline
function output(m: usize, plane: usize, to: usize, work: usize, seven: bool): void {
  const terms: usize = seven ? 12 : 10, side: usize = seven ? 7 : 6;
  for (let j: usize = 0; j < terms; j++) back(m + plane * j, plane * terms, work + (j << 4), terms << 4, false, seven);
  for (let i: usize = 0; i < side; i++) back(work + (i * terms << 4), 16, to + (i * side << 6), 64, true, seven);
}

// @ts-ignore: decorator
@inline
function tiles(record: usize, begin: i32, end: i32, scratch: usize, seven: bool): void {
  const unit = word(record, UNIT), all = word(record, TILES), side = seven ? 7 : 6;
  const channels = <usize>((word(record, GROUP_IN) + 7) & ~7), outputs = (word(record, GROUP_OUT) + 15) & ~15;
  const xPlane = <usize>word(record, X_PLANE), mPlane = <usize>word(record, M_PLANE);
  const flip = bytes(record, X_FLIP), pitch = <usize>word(record, X_PITCH), mapRow = pitch * <usize>word(record, X_WIDTH);
  const M = scratch + <usize>word(record, M_AT), work = scratch + <usize>word(record, WORK_AT), patch = work + 4096;
  for (let first = begin / UNIT_ROWS * unit; first < min(all, (end + UNIT_ROWS - 1) / UNIT_ROWS * unit); first += unit) {
    const count = min(unit, all - first);
    for (let i = 0; i < count; i++) {
      const from = tileSource(record, first + i, side, patch);
      const row = isInside(record, first + i, side) ? mapRow : pitch * <usize>(side + 2);
      const to = scratch + (channels << 1) * <usize>i;
      for (let c: usize = 0; c < channels; c += 8) input(from + c, pitch, row, flip, to + (c << 1), xPlane, work, seven);
    }
    products(record, scratch, M, count, seven ? 144 : 100);
    for (let i = 0; i < count; i++) {
      for (let k = 0; k < outputs; k += 16) {
        const m = M + (<usize>(i * outputs + k) << 2);
        output(m, mPlane, work, patch, seven);
        output(m + 16, mPlane, work + 16, patch, seven);
        output(m + 32, mPlane, work + 32, patch, seven);
        output(m + 48, mPlane, work + 48, patch, seven);
        finishTile(record, first + i, side, k, work);
      }
    }
  }
}

/** Tiles of 6 x 6 outputs of the units begin / 64 to before end / 64, UNIT tiles each: 100 products a tile. */
export function conv_sfc6(record: usize, begin: i32, end: i32, scratch: usize): void {
  tiles(record, begin, end, scratch, false);
}

/** Tiles of 7 x 7 outputs: 144 products a tile. */
export function conv_sfc7(record: usize, begin: i32, end: i32, scratch: usize): void {
  tiles(record, begin, end, scratch, true);
}
