// What every gemv kernel does to its rows at last.
import { addCompensated, compensated } from "./compensated";
import { STRIP_BYTES, stripStart } from "./layout";

/** y[rows] *= factor; rows a multiple of 16. */
// @ts-ignore: decorator
@inline
export function scaleRows(y: usize, rows: i32, factor: f32): void {
  const f = f32x4.splat(factor), end = y + (<usize>rows << 2);
  for (; y < end; y += 16) v128.store(y, f32x4.mul(v128.load(y), f));
}

/**
 * y[rows] = (y · unit + Σ over groups of sums[group] · offsets[group][row + i]) · factor, in float32 and in the order of
 * groups; without offsets y · (unit · factor). offsets: [strip][groups][16 rows], or 0 for none. sums: float32 [groups], Σ x
 * of each group. row and rows are multiples of 16.
 */
export function finishRows(
  y: usize, rows: i32, row: i32, unit: f32, factor: f32, offsets: usize, sums: usize, groups: i32,
): void {
  if (offsets == 0) {
    scaleRows(y, rows, unit * factor);
    return;
  }
  const u = f32x4.splat(unit), f = f32x4.splat(factor), end = y + (<usize>rows << 2);
  const sumsEnd = sums + (<usize>groups << 2);
  for (let o = offsets + stripStart(row, groups); y < end; y += 64) {
    let y0 = f32x4.mul(v128.load(y), u), y1 = f32x4.mul(v128.load(y, 16), u);
    let y2 = f32x4.mul(v128.load(y, 32), u), y3 = f32x4.mul(v128.load(y, 48), u);
    for (let sum = sums; sum < sumsEnd; sum += 4, o += STRIP_BYTES) {
      const x = v128.load32_splat(sum);
      y0 = f32x4.add(y0, f32x4.mul(v128.load(o), x));
      y1 = f32x4.add(y1, f32x4.mul(v128.load(o, 16), x));
      y2 = f32x4.add(y2, f32x4.mul(v128.load(o, 32), x));
      y3 = f32x4.add(y3, f32x4.mul(v128.load(o, 48), x));
    }
    v128.store(y, f32x4.mul(y0, f));
    v128.store(y, f32x4.mul(y1, f), 16);
    v128.store(y, f32x4.mul(y2, f), 32);
    v128.store(y, f32x4.mul(y3, f), 48);
  }
}

/**
 * y[rows] = (y + Σ over groups of sums[group] · offsets[group][row + i]) · factor for compensated sums y, of which `low` has what
 * they rounded off: the sum over groups is compensated, too. offsets as above; row and rows are multiples of 16.
 */
export function finishCompensated(
  y: usize, low: usize, rows: i32, row: i32, factor: f32, offsets: usize, sums: usize, groups: i32,
): void {
  const f = f32x4.splat(factor), end = y + (<usize>rows << 2);
  if (offsets != 0) {
    const sumsEnd = sums + (<usize>groups << 2);
    let o = offsets + stripStart(row, groups), rest = low;
    for (let strip = y; strip < end; strip += 64, rest += 64) {
      for (let sum = sums; sum < sumsEnd; sum += 4, o += STRIP_BYTES) {
        const x = v128.load32_splat(sum);
        for (let i: usize = 0; i < 64; i += 16) addCompensated(strip + i, rest + i, f32x4.mul(v128.load(o + i), x));
      }
    }
  }
  for (; y < end; y += 16, low += 16) v128.store(y, f32x4.mul(compensated(v128.load(y), v128.load(low)), f));
}
