import { prepareInt8, prepareLut8 } from "./activation.ts";
import { type Codes, type Term, termsOf, type Weights } from "./weights.ts";

const f32 = Math.fround;

/** The sum of x over each group, in float64 and then rounded: what an offset is multiplied by. */
export function groupSums(x: ArrayLike<number>, groupSize: number): Float32Array {
  const sums = new Float32Array(Math.ceil(x.length / groupSize));
  for (let g = 0; g < sums.length; g++) {
    let even = 0;
    let odd = 0;
    for (let k = g * groupSize; k < Math.min(x.length, (g + 1) * groupSize); k++) {
      if (k % 2 === 0) even += x[k] as number;
      else odd += x[k] as number;
    }
    sums[g] = even + odd;
  }
  return sums;
}

/** sum, then offsets times sums of x: one float32 product and sum a group, in ascending order. */
function addOffsets(sum: number, weights: Weights<Codes>, row: number, sums: Float32Array): number {
  const { groups, offsets } = weights;
  if (!offsets) return sum;
  let total = sum;
  for (let g = 0; g < groups; g++)
    total = f32(total + f32((sums[g] as number) * (offsets[row * groups + g] as number)));
  return total;
}

/**
 * Exact integers within a group of columns; one float32 product and sum a group, in ascending order, term by term, the
 * offsets last.
 */
export function gemvInt8(weights: Weights<Codes>, x: Float32Array): Float32Array {
  const { q, scale } = prepareInt8(x);
  return dotInt8(weights, q, scale);
}

export function dotInt8(weights: Weights<Codes>, q: Int32Array, scale: number): Float32Array {
  const { rows, cols, groupSize, groups } = weights;
  const sums = groupSums(q, groupSize);
  const y = new Float32Array(rows);
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (const { codes, scales } of termsOf(weights)) {
      for (let g = 0; g < groups; g++) {
        let integer = 0;
        const end = Math.min(cols, (g + 1) * groupSize);
        for (let k = g * groupSize; k < end; k++) integer += (codes[r * cols + k] as number) * (q[k] as number);
        sum = f32(sum + f32(f32(integer) * (scales[r * groups + g] as number)));
      }
    }
    y[r] = f32(addOffsets(sum, weights, r, sums) * scale);
  }
  return y;
}

/** The sign bits of 4 columns in one plane; columns past the end are clear, which is as good as set: their z is 0. */
export function nibblePattern(
  weights: Weights<Codes>,
  row: number,
  column: number,
  plane: number,
  term?: Term,
): number {
  const { cols, planes } = weights;
  const { codes } = term ?? weights;
  let pattern = 0;
  for (let i = 0; i < 4 && column + i < cols; i++) {
    const code = codes[row * cols + column + i] as number;
    // Ternary plane 0 says w >= 0, plane 1 says w > 0; their signs add up to 2 w. Binary has plane 1's meaning only.
    const set = planes === 2 && plane === 0 ? code >= 0 : code > 0;
    if (set) pattern |= 1 << i;
  }
  return pattern;
}

/**
 * Exact integers within a segment of a group; one float32 product and sum a segment, in ascending order, term by term;
 * then the unit of the tables, then the offsets.
 */
export function gemvLut8(weights: Weights<Codes>, x: Float32Array): Float32Array {
  const { rows, planes, groupSize, groups, offsets } = weights;
  const { normal, unit, segments, inversePower } = prepareLut8(x, groupSize);
  const factor = f32(inversePower / planes);
  const sums = groupSums(normal, groupSize);
  const y = new Float32Array(rows);
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (const term of termsOf(weights)) {
      for (const { group, blocks } of segments) {
        let integer = 0;
        for (const { start, length, weight, entries } of blocks) {
          for (let k = 0; k < length; k += 4) {
            for (let plane = 0; plane < planes; plane++) {
              integer += weight * (entries[k * 4 + nibblePattern(weights, r, start + k, plane, term)] as number);
            }
          }
        }
        sum = f32(sum + f32(f32(integer) * (term.scales[r * groups + group] as number)));
      }
    }
    y[r] = offsets ? f32(addOffsets(f32(sum * unit), weights, r, sums) * factor) : f32(sum * f32(unit * factor));
  }
  return y;
}
