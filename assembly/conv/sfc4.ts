// SFC-4(4): 3 x 3 taps, stride 1, tiles of 4 x 4 outputs, 49 products a tile.
import {
  bytes, GROUP_IN, GROUP_OUT, M_AT, M_PLANE, TILES, UNIT, UNIT_ROWS, word, WORK_AT, X_FLIP, X_PITCH, X_PLANE, X_WIDTH,
} from "./record";
import { finishTile, isInside, load8, products, tileSource } from "./sfc";

const SIDE = 4;
const TERMS: usize = 7;

// One axis: 6 values to 7, `step` bytes apart.
// @ts-ignore: decorator
@inline
function forward(to: usize, step: usize, x0: v128, x1: v128, x2: v128, x3: v128, x4: v128, x5: v128): void {
  const s = i16x8.add(x1, x3), u = i16x8.add(x2, x4), a = i16x8.sub(x1, x3), b = i16x8.sub(x4, x2);
  v128.store(to, i16x8.add(s, u));
  v128.store(to + step, a);
  v128.store(to + 2 * step, b);
  v128.store(to + 3 * step, i16x8.add(a, b));
  v128.store(to + 4 * step, i16x8.sub(s, u));
  v128.store(to + 5 * step, i16x8.sub(x0, x4));
  v128.store(to + 6 * step, i16x8.sub(x5, x1));
}

// @ts-ignore: decorator
@inline
function input(from: usize, pitch: usize, row: usize, flip: v128, to: usize, plane: usize, work: usize): void {
  for (let j: usize = 0; j < 6; j++) {
    const p = from + pitch * j;
    forward(
      work + (j << 4), 96, load8(p, flip), load8(p + row, flip), load8(p + 2 * row, flip), load8(p + 3 * row, flip),
      load8(p + 4 * row, flip), load8(p + 5 * row, flip),
    );
  }
  for (let i: usize = 0; i < TERMS; i++) {
    const p = work + i * 96;
    forward(
      to + plane * (i * TERMS), plane, v128.load(p), v128.load(p, 16), v128.load(p, 32), v128.load(p, 48), v128.load(p, 64),
      v128.load(p, 80),
    );
  }
}

// @ts-ignore: decorator
@inline
function ended(v: v128, last: bool): v128 {
  return last ? i32x4.shr_s(v, 4) : v;
}

// One axis back: 7 products `step` bytes apart to 4 sums `toStep` apart. Weights of corrections have the factor 4.
// @ts-ignore: decorator
@inline
function back(p: usize, step: usize, to: usize, toStep: usize, last: bool): void {
  const dc = v128.load(p), P = v128.load(p + step), Q = v128.load(p + 2 * step), R = v128.load(p + 3 * step);
  const ny = v128.load(p + 4 * step), um = i32x4.sub(dc, ny), up = i32x4.add(dc, ny);
  const a = i32x4.shl(i32x4.sub(i32x4.add(P, Q), R), 1), b = i32x4.shl(i32x4.sub(P, Q), 1);
  v128.store(to, ended(i32x4.add(i32x4.sub(um, a), v128.load(p + 5 * step)), last));
  v128.store(to + toStep, ended(i32x4.add(up, b), last));
  v128.store(to + 2 * toStep, ended(i32x4.add(um, a), last));
  v128.store(to + 3 * toStep, ended(i32x4.add(i32x4.sub(up, b), v128.load(p + 6 * step)), last));
}

// @ts-ignore: decorator
@inline
function output(m: usize, plane: usize, to: usize, work: usize): void {
  for (let j: usize = 0; j < TERMS; j++) back(m + plane * j, plane * TERMS, work + (j << 4), TERMS << 4, false);
  for (let i: usize = 0; i < <usize>SIDE; i++) back(work + (i * TERMS << 4), 16, to + (i * <usize>SIDE << 6), 64, true);
}

/** Tiles of the units begin / 64 to before end / 64, UNIT tiles each. */
export function conv_sfc4(record: usize, begin: i32, end: i32, scratch: usize): void {
  const unit = word(record, UNIT), all = word(record, TILES);
  const channels = <usize>((word(record, GROUP_IN) + 7) & ~7), outputs = (word(record, GROUP_OUT) + 15) & ~15;
  const xPlane = <usize>word(record, X_PLANE), mPlane = <usize>word(record, M_PLANE);
  const flip = bytes(record, X_FLIP), pitch = <usize>word(record, X_PITCH), mapRow = pitch * <usize>word(record, X_WIDTH);
  const M = scratch + <usize>word(record, M_AT), work = scratch + <usize>word(record, WORK_AT), patch = work + 4096;
  for (let first = begin / UNIT_ROWS * unit; first < min(all, (end + UNIT_ROWS - 1) / UNIT_ROWS * unit); first += unit) {
    const count = min(unit, all - first);
    for (let i = 0; i < count; i++) {
      const from = tileSource(record, first + i, SIDE, patch);
      const row = isInside(record, first + i, SIDE) ? mapRow : pitch * <usize>(SIDE + 2);
      const to = scratch + (channels << 1) * <usize>i;
      for (let c: usize = 0; c < channels; c += 8) input(from + c, pitch, row, flip, to + (c << 1), xPlane, work);
    }
    products(record, scratch, M, count, 49);
    for (let i = 0; i < count; i++) {
      for (let k = 0; k < outputs; k += 16) {
        const m = M + (<usize>(i * outputs + k) << 2);
        output(m, mPlane, work, patch);
        output(m + 16, mPlane, work + 16, patch);
        output(m + 32, mPlane, work + 32, patch);
        output(m + 48, mPlane, work + 48, patch);
        finishTile(record, first + i, SIDE, k, work);
      }
    }
  }
}
