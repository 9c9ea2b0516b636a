// Uniform codes with a scale, and perhaps a zero point, a group: w = scale · (code - zero).
import { UNIFORM_BITS, type UniformBits } from "../../kernels/types.ts";
import { checkChoice, checkFinite, checkInteger, rangeError } from "../../lib/check.ts";
import { inParts, joinRows, rowsOf, rowTask } from "../../lib/parts.ts";
import type { Steps } from "../../lib/progress.ts";
import { coveringScale, limitScale, ROUNDER, roundHalfEven, STEP } from "../../numeric/scale.ts";
import { checkWeightArray, type GroupShape } from "../../numeric/shape.ts";

export const UNIFORM_SEARCHES = ["minmax", "mse", "absmean"] as const;
export type UniformSearch = (typeof UNIFORM_SEARCHES)[number];

export interface UniformCodesOptions {
  readonly bits: UniformBits;
  /** Whether every zero point is 2^(bits - 1). */
  readonly symmetric: boolean;
  /** How the scales are found: see `uniformCodes`. */
  readonly search: UniformSearch;
}

/**
 * "mse" up to 3 bits, where clipping pays: it leaves 0.76 of the square error of "minmax" at 2 bits, 0.81 at 3 (Gaussian
 * groups of 128, symmetric). Else "minmax", which is 33 times as fast.
 */
export function defaultSearch(bits: UniformBits): UniformSearch {
  return bits <= 3 ? "mse" : "minmax";
}

/** w[row, col] = scales[row, group] · (codes[row, col] - zeros[row, group]). */
export interface UniformCodes {
  /** [rows, cols], each from 0 to 2^bits - 1 */
  readonly codes: Uint8Array;
  /** [rows, groups], finite; negative ones occur; 0 for a group of zeros */
  readonly scales: Float32Array;
  /** [rows, groups], whole numbers from 0 to 2^bits - 1. Absent: all are 2^(bits - 1). */
  readonly zeros?: Float32Array;
}

/** Clipping ratios of the search by mean square error: 1 - i / (24 · bits) for i from 0 to 32. */
const RATIOS = 33;

/**
 * Codes, scales and zero points of a matrix. With N = 2^bits - 1, C = 2^(bits - 1), M = C - 1 and z = C if symmetric:
 *
 *     code = clip(rne(w / s), -z, N - z) + z      in float64, with the float32 scale s that is returned
 *
 * - "minmax", symmetric: s = fround(e / -C), where e is the first weight of the largest magnitude. As in llama.cpp's
 *   Q4_0, code 0 is e, exactly; the side of e has the extra level. The other usual choice, max|w| / M, has steps C / M
 *   times larger: an error of 3.2 (2 bits), 1.3 (4 bits), 1.01 times (8 bits) as much on Gaussian groups of 128.
 * - "minmax", asymmetric: lo = min(0, min w), hi = max(0, max w), s = fround((hi - lo) / N), z = clip(rne(-lo / s), 0, N).
 * - "mse": s is made from p·e, or p·lo and p·hi, with that p = 1 - i / (24 · bits), i from 0 to 32, for which
 *   Σ(w - s·(code - z))² over the group is least, the largest such p; so it is never worse than "minmax". The square, and
 *   not the power 2.4 of GPTQ's search, because it is the error of W x for x without correlation. The grid ends at 0.33
 *   for 2 bits, 0.67 for 4, 0.83 for 8: Gaussian groups of 32 to 4096 columns are best between 0.36 and 1, 0.62 and 1,
 *   0.96 and 1, and the coarser the codes, the flatter is that optimum.
 * - "absmean", symmetric only: s = fround(mean|w| / sqrt(M)), the rule of BitNet a4.8 (Wang et al. 2024,
 *   arXiv:2411.04965), which is that of BitNet b1.58 with one more level for 2 bits. The mean is a float64 sum in order.
 *
 * A scale below 2^-126 is rounded away from 0, so that it reaches the extreme weight. One with which the farthest code, max(z, N - z)
 * steps from z, would not be a float32 is lowered to fround((2^24 - 1)² 2^80 / max(z, N - z)); z stays. A group of zeros
 * has scale 0, codes z, and z = 0 if asymmetric.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w (its index is named)
 */
export function* uniformCodes(
  where: string,
  w: Float32Array,
  shape: GroupShape,
  options: UniformCodesOptions,
): Steps<UniformCodes> {
  const { rows, cols } = shape;
  const { bits, symmetric, search } = options;
  checkUniformBits(`${where}: bits`, bits);
  checkChoice(`${where}: search`, search, UNIFORM_SEARCHES);
  if (search === "absmean" && !symmetric) {
    throw rangeError(`${where}: search`, '"minmax" or "mse" unless symmetric', '"absmean"');
  }
  checkWeightArray(where, w, shape);

  const groupSize = Math.min(shape.groupSize, cols);
  const groups = Math.ceil(cols / groupSize);
  const codes = new Uint8Array(rows * cols);
  const scales = new Float32Array(rows * groups);
  const zeros = new Float32Array(symmetric ? 0 : rows * groups);
  const grid = makeGrid(bits, symmetric);
  const ratios = search === "mse" ? RATIOS : 1;
  let work = 0;
  for (let group = 0, start = 0; start < w.length; group++) {
    const end = start + Math.min(groupSize, cols - (start % cols));
    measure(grid, w, start, end, search);
    if (!Number.isFinite(grid.high - grid.low)) checkFinite(`${where}: w`, w);
    fit(grid, 1);
    let { scale, zero } = grid;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < ratios; i++) {
      if (ratios > 1) {
        if (i > 0) fit(grid, 1 - i / (24 * bits));
        const error = squareError(grid, w, start, end, least);
        if (error < least) {
          least = error;
          ({ scale, zero } = grid);
        }
      }
      work += end - start;
      if (work >= STEP) {
        work = 0;
        yield (start + ((end - start) * i) / ratios) / w.length;
      }
    }
    encode(codes, w, start, end, scale, zero, grid.top);
    scales[group] = scale;
    if (!symmetric) zeros[group] = zero;
    start = end;
  }
  return symmetric ? { codes, scales } : { codes, scales, zeros };
}

export const uniformTask = /* @__PURE__ */ rowTask("uniform", uniformCodes);

/** As `uniformCodes`, whose rows are independent. */
export function uniformInParts(
  where: string,
  w: Float32Array,
  given: GroupShape,
  options: UniformCodesOptions,
): Steps<UniformCodes> {
  const { rows, cols, groupSize } = given;
  const shape = { rows, cols, groupSize };
  return inParts(uniformTask, {
    units: rows,
    time: w.length * (options.search === "mse" ? RATIOS : 3) * 1e-5,
    part: (begin, end) => ({ where, ...rowsOf(w, shape, begin, end), options }),
    join: (parts) => ({
      codes: joinRows(parts.map(({ codes }) => codes)),
      scales: joinRows(parts.map(({ scales }) => scales)),
      ...(!options.symmetric && { zeros: joinRows(parts.map(({ zeros }) => zeros as Float32Array)) }),
    }),
  });
}

/** Bits of a uniform code. */
export function checkUniformBits(where: string, value: unknown): UniformBits {
  checkInteger(where, value, 2, 8);
  const found = UNIFORM_BITS.find((bits) => bits === value);
  if (found === undefined) throw rangeError(where, UNIFORM_BITS.join(", "), value);
  return found;
}

/** A group's range of weights, and the scale and zero point that are tried. */
interface Grid {
  readonly symmetric: boolean;
  /** The largest code. */
  readonly top: number;
  /** Of the weights, 0 included; symmetric: `low` is the extreme weight, or stands for the mean, and `high` is 0. */
  low: number;
  high: number;
  scale: number;
  zero: number;
}

function makeGrid(bits: number, symmetric: boolean): Grid {
  return { symmetric, top: 2 ** bits - 1, low: 0, high: 0, scale: 0, zero: symmetric ? 2 ** (bits - 1) : 0 };
}

function measure(grid: Grid, w: Float32Array, start: number, end: number, search: UniformSearch): void {
  let low = 0;
  let high = 0;
  if (search === "absmean") {
    let sum = 0;
    for (let i = start; i < end; i++) sum += Math.abs(w[i] as number);
    // A sum of finite float32 values is finite in float64.
    const half = (grid.top + 1) / 2;
    // So that fit divides the mean by sqrt(M): low / -C.
    low = -((sum / (end - start)) * half) / Math.sqrt(half - 1);
  } else {
    let lowAt = start;
    let highAt = start;
    // Comparisons would pass over NaN.
    let finite = 0;
    for (let i = start; i < end; i++) {
      const v = w[i] as number;
      finite += v * 0;
      if (v < low) {
        low = v;
        lowAt = i;
      } else if (v > high) {
        high = v;
        highAt = i;
      }
    }
    if (grid.symmetric) {
      // The first weight of the largest magnitude.
      if (high > -low || (high === -low && highAt < lowAt)) low = high;
      high = 0;
    }
    low += finite;
  }
  grid.low = low;
  grid.high = high;
}

/** The scale and the zero point for the range clipped to `ratio` of it. */
function fit(grid: Grid, ratio: number): void {
  const { symmetric, top } = grid;
  const low = grid.low * ratio;
  if (symmetric) {
    const centre = (top + 1) / 2;
    grid.scale = limitScale(coveringScale(low, -centre), centre);
    return;
  }
  const high = grid.high * ratio;
  const scale = coveringScale(high - low, top);
  grid.zero = scale === 0 ? 0 : roundHalfEven(-low / scale);
  grid.scale = limitScale(scale, Math.max(grid.zero, top - grid.zero));
}

/**
 * Σ(w - scale · (code - zero))² of a group in order, or anything from `enough` on once the sum is that large. Multiplying
 * by 1 / scale can turn only exact ties, whose two codes are equally far: w has 24 bits and half codes times the scale 33,
 * so that a quotient that is no tie is 2^-34 of it away from one. The sum is therefore that of the codes of `encode`.
 */
function squareError(grid: Grid, w: Float32Array, start: number, end: number, enough: number): number {
  const { scale, zero, top } = grid;
  const inverse = scale === 0 ? 0 : 1 / scale;
  // Rounded first, and clipped with the bits of the rounding still in place: no branch that depends on a weight.
  const least = ROUNDER - zero;
  const most = ROUNDER + top - zero;
  let error = 0;
  for (let i = start; i < end && error < enough; ) {
    for (const stop = Math.min(i + 16, end); i < stop; i++) {
      const v = w[i] as number;
      const d = v - scale * (Math.max(least, Math.min(most, v * inverse + ROUNDER)) - ROUNDER);
      error += d * d;
    }
  }
  return error;
}

function encode(
  codes: Uint8Array,
  w: Float32Array,
  start: number,
  end: number,
  scale: number,
  zero: number,
  top: number,
): void {
  // A group of zeros.
  const divisor = scale === 0 ? 1 : scale;
  const least = -zero;
  const most = top - zero;
  for (let i = start; i < end; i++) {
    const q = (w[i] as number) / divisor;
    codes[i] = (q < least ? least : q > most ? most : roundHalfEven(q)) + zero;
  }
}
