import { prepareInt8, prepareLut8 } from "./activation.ts";
import type { Weights } from "./weights.ts";

const f32 = Math.fround;

/** Exact integers within a group of columns; one float32 product and sum a group, in ascending order. */
export function gemvInt8(weights: Weights, x: Float32Array): Float32Array {
  const { rows, cols, codes, groupSize, groups, scales } = weights;
  const { q, scale } = prepareInt8(x);
  const y = new Float32Array(rows);
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (let g = 0; g < groups; g++) {
      let integer = 0;
      const end = Math.min(cols, (g + 1) * groupSize);
      for (let k = g * groupSize; k < end; k++) integer += (codes[r * cols + k] as number) * (q[k] as number);
      sum = f32(sum + f32(f32(integer) * (scales[r * groups + g] as number)));
    }
    y[r] = f32(sum * scale);
  }
  return y;
}

/** The sign bits of 4 columns in one plane; columns past the end are clear, which is as good as set: their z is 0. */
export function nibblePattern(weights: Weights, row: number, column: number, plane: number): number {
  const { cols, planes, codes } = weights;
  let pattern = 0;
  for (let i = 0; i < 4 && column + i < cols; i++) {
    const code = codes[row * cols + column + i] as number;
    // Ternary plane 0 says w >= 0, plane 1 says w > 0; their signs add up to 2 w. Binary has plane 1's meaning only.
    const set = planes === 2 && plane === 0 ? code >= 0 : code > 0;
    if (set) pattern |= 1 << i;
  }
  return pattern;
}

/** Exact integers within a segment of tables; two float32 products and a sum a segment, in ascending order. */
export function gemvLut8(weights: Weights, x: Float32Array): Float32Array {
  const { rows, planes, groupSize, groups, scales } = weights;
  const { segments, inversePower } = prepareLut8(x, groupSize);
  const factor = f32(inversePower / planes);
  const y = new Float32Array(rows);
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (const { group, unit, blocks } of segments) {
      let integer = 0;
      for (const { start, length, weight, entries } of blocks) {
        for (let k = 0; k < length; k += 4) {
          for (let plane = 0; plane < planes; plane++) {
            integer += weight * (entries[k * 4 + nibblePattern(weights, r, start + k, plane)] as number);
          }
        }
      }
      const scale = scales[r * groups + group] as number;
      sum = f32(sum + f32(f32(f32(integer) * unit) * scale));
    }
    y[r] = f32(sum * factor);
  }
  return y;
}
