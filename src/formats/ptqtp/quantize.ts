// PTQTP (Xiao et al. 2025, arXiv:2509.16989): w = alpha1 · t1 + alpha2 · t2 with trits t of -1, 0, 1, each group of each
// row by itself. Two steps alternate: ridge regression for the alphas given the trits, and for each weight the nearest of
// the 9 levels given the alphas. As in bcq.ts, weights are sorted, so that trits are runs of them.
import { checkInteger } from "../../lib/check.ts";
import { inParts, joinRows, rowsOf, rowTask } from "../../lib/parts.ts";
import type { Steps } from "../../lib/progress.ts";
import { levelOf, MAX_LEVEL, setThresholds, shareOut } from "../../numeric/levels.ts";
import { checkWeights, type GroupShape, groupsOf, STEP_WEIGHTS } from "../../numeric/shape.ts";

export interface TritFit {
  /** Two times [rows, cols] of -1, 0 and 1. */
  readonly trits: readonly [Int8Array, Int8Array];
  /** Two times [rows, groups], alpha1 >= alpha2 >= 0. */
  readonly alphas: readonly [Float32Array, Float32Array];
  /** [rows, groups]: Σ (w - level)^2 over the group, with the float32 alphas, in float64. */
  readonly errors: Float64Array;
}

export interface TritOptions {
  /** Alternations at most, 0 to 1000. Default 50. */
  readonly iterations?: number;
}

/** alpha2 / alpha1 at the start: a third spaces the 9 levels evenly, the larger one suits weights with a peak. */
const RATIOS = [1 / 3, 0.45] as const;

/** Keeps the normal equations regular where a plane is zero or the planes are equal; too small to move other solutions. */
const RIDGE = 1e-8;

const LEVELS = 9;

interface Fit {
  readonly alphas: Float64Array;
  readonly lastAlphas: Float64Array;
  readonly bestAlphas: Float64Array;
  /** Levels that differ, ascending, and their trits. */
  count: number;
  readonly levels: Float64Array;
  readonly first: Int8Array;
  readonly second: Int8Array;
  readonly thresholds: Float64Array;
  readonly counts: Float64Array;
  readonly sums: Float64Array;
}

function makeFit(): Fit {
  const floats = (length: number) => new Float64Array(length);
  return {
    alphas: floats(2),
    lastAlphas: floats(2),
    bestAlphas: floats(2),
    count: 0,
    levels: floats(LEVELS),
    first: new Int8Array(LEVELS),
    second: new Int8Array(LEVELS),
    thresholds: floats(LEVELS),
    counts: floats(LEVELS),
    sums: floats(LEVELS),
  };
}

/**
 * Trits are the optimal ones for the alphas: on a tie the lower level, of equal levels the one with fewer ones.
 *
 * As with `bcqPlanes`, the error of a group, as `errors` gives it, never rises with `iterations`, float32 rounding of
 * alphas included, and alphas are shrunk where the largest level would not be finite.
 *
 * @param w [rows, cols] row-major
 * @param shape groupSize 128 in the paper
 * @throws at the first step: TypeError, RangeError for a wrong argument or NaN or Infinity in w
 */
export function* tritPlanes(
  where: string,
  w: Float32Array,
  shape: GroupShape,
  options: TritOptions = {},
): Steps<TritFit> {
  const { rows, cols, groupSize } = shape;
  const iterations =
    options.iterations === undefined ? 50 : checkInteger(`${where}: iterations`, options.iterations, 0, 1000);
  checkWeights(where, w, shape);
  const groups = groupsOf(shape);
  const trits = [new Int8Array(w.length), new Int8Array(w.length)] as const;
  const alphas = [new Float32Array(rows * groups), new Float32Array(rows * groups)] as const;
  const errors = new Float64Array(rows * groups);

  const fit = makeFit();
  const size = Math.min(groupSize, cols);
  const whole = new Float32Array(size);
  const last = whole.subarray(0, cols - (groups - 1) * size);
  for (let index = 0, at = 0, done = 0; index < errors.length; index++) {
    const sorted = index % groups === groups - 1 ? last : whole;
    for (let i = 0; i < sorted.length; i++) sorted[i] = w[at + i] as number;
    sorted.sort();
    errors[index] = fitGroup(fit, sorted, iterations);
    alphas[0][index] = fit.alphas[0] as number;
    alphas[1][index] = fit.alphas[1] as number;
    for (const end = at + sorted.length; at < end; at++) {
      const k = levelOf(w[at] as number, fit.thresholds, fit.count);
      trits[0][at] = fit.first[k] as number;
      trits[1][at] = fit.second[k] as number;
    }
    done += sorted.length;
    if (done >= STEP_WEIGHTS) {
      done = 0;
      yield at / w.length;
    }
  }
  return { trits, alphas, errors };
}

export const ptqtpTask = /* @__PURE__ */ rowTask("ptqtp", tritPlanes);

/** As `tritPlanes`, whose rows are independent. */
export function tritsInParts(where: string, w: Float32Array, shape: GroupShape, options: TritOptions): Steps<TritFit> {
  return inParts(ptqtpTask, {
    units: shape.rows,
    time: w.length * 1e-3,
    part: (begin, end) => ({ where, ...rowsOf(w, shape, begin, end), options }),
    join: (fits) => ({
      trits: [joinRows(fits.map(({ trits }) => trits[0])), joinRows(fits.map(({ trits }) => trits[1]))],
      alphas: [joinRows(fits.map(({ alphas }) => alphas[0])), joinRows(fits.map(({ alphas }) => alphas[1]))],
      errors: joinRows(fits.map(({ errors }) => errors)),
    }),
  });
}

/** Leaves the best alphas and levels in `fit`; returns their error. */
function fitGroup(fit: Fit, sorted: Float32Array, iterations: number): number {
  let best = Infinity;
  for (const ratio of RATIOS) {
    startEvenly(fit, sorted, ratio);
    const error = alternate(fit, sorted, iterations);
    if (error < best) {
      best = error;
      fit.bestAlphas.set(fit.alphas);
    }
  }
  fit.alphas.set(fit.bestAlphas);
  setLevels(fit);
  return best;
}

/** The largest level at the largest |w|, then lower while that lowers the error. */
function startEvenly(fit: Fit, sorted: Float32Array, ratio: number): void {
  const reach = Math.max(-(sorted[0] as number), sorted[sorted.length - 1] as number);
  let best = Infinity;
  for (let part = 1; part > 0.05; part *= 0.8) {
    setAlphas(fit, (part * reach) / (1 + ratio), (part * reach * ratio) / (1 + ratio));
    const error = assign(fit, sorted);
    if (error >= best) break;
    best = error;
    fit.lastAlphas.set(fit.alphas);
  }
  fit.alphas.set(fit.lastAlphas);
}

function alternate(fit: Fit, sorted: Float32Array, iterations: number): number {
  const { alphas, lastAlphas } = fit;
  let best = assign(fit, sorted);
  for (let i = 0; i < iterations; i++) {
    lastAlphas.set(alphas);
    solveAlphas(fit);
    if (alphas[0] === lastAlphas[0] && alphas[1] === lastAlphas[1]) break;
    const error = assign(fit, sorted);
    if (error > best) {
      alphas.set(lastAlphas);
      break;
    }
    best = error;
  }
  return best;
}

function assign(fit: Fit, sorted: Float32Array): number {
  setLevels(fit);
  return shareOut(sorted, fit.levels, fit.thresholds, fit.count, fit.counts, fit.sums);
}

/** As float32 in descending order, none negative: levels stay the same set when planes change sign or place. */
function setAlphas(fit: Fit, a: number, b: number): void {
  const large = Math.max(Math.abs(a), Math.abs(b));
  const small = Math.min(Math.abs(a), Math.abs(b));
  const factor = large + small <= MAX_LEVEL ? 1 : MAX_LEVEL / (large + small);
  fit.alphas[0] = Math.fround(large * factor);
  fit.alphas[1] = Math.fround(small * factor);
}

function setLevels(fit: Fit): void {
  const large = fit.alphas[0] as number;
  const small = fit.alphas[1] as number;
  fit.count = 0;
  // With 0 <= small <= large only the difference and the smaller alpha may change places.
  addLevel(fit, -1, -1);
  addLevel(fit, -1, 0);
  if (large - small >= small) addLevel(fit, -1, 1);
  addLevel(fit, 0, -1);
  if (large - small < small) addLevel(fit, -1, 1);
  addLevel(fit, 0, 0);
  if (large - small < small) addLevel(fit, 1, -1);
  addLevel(fit, 0, 1);
  if (large - small >= small) addLevel(fit, 1, -1);
  addLevel(fit, 1, 0);
  addLevel(fit, 1, 1);
  setThresholds(fit.thresholds, fit.levels, fit.count);
}

/** Appends a level; of equal ones the one with fewer ones stays. */
function addLevel(fit: Fit, first: number, second: number): void {
  const level = first * (fit.alphas[0] as number) + second * (fit.alphas[1] as number);
  let at = fit.count;
  if (at > 0 && fit.levels[at - 1] === level) {
    at--;
    const ones = Math.abs(fit.first[at] as number) + Math.abs(fit.second[at] as number);
    if (Math.abs(first) + Math.abs(second) >= ones) return;
  }
  fit.levels[at] = level;
  fit.first[at] = first;
  fit.second[at] = second;
  fit.count = at + 1;
}

/** (A + ridge · I) alpha = b with A = Σ t t^T and b = Σ t w. */
function solveAlphas(fit: Fit): void {
  let square1 = RIDGE;
  let square2 = RIDGE;
  let cross = 0;
  let sum1 = 0;
  let sum2 = 0;
  for (let k = 0; k < fit.count; k++) {
    const t1 = fit.first[k] as number;
    const t2 = fit.second[k] as number;
    const count = fit.counts[k] as number;
    const sum = fit.sums[k] as number;
    square1 += t1 * t1 * count;
    square2 += t2 * t2 * count;
    cross += t1 * t2 * count;
    sum1 += t1 * sum;
    sum2 += t2 * sum;
  }
  const determinant = square1 * square2 - cross * cross;
  setAlphas(fit, (square2 * sum1 - cross * sum2) / determinant, (square1 * sum2 - cross * sum1) / determinant);
}
