// PhaseQuant (iFairy, arXiv:2508.05571; Fairy2i, arXiv:2512.02901): the nearest of 1, i, -1 and -i by the angle of a
// weight, with one scale for the real and one for the imaginary ones.
import { checkChoice, checkInteger, rangeError } from "../../lib/check.ts";
import { type ComplexArray, checkComplex, checkFiniteComplex } from "../../lib/complex-array.ts";
import type { Steps } from "../../lib/progress.ts";
import { float32Scale } from "../../numeric/scale.ts";
import { checkWeights, type GroupShape, groupsOf, type MatrixShape, STEP_WEIGHTS } from "../../numeric/shape.ts";

/** What shares a pair of scales: all weights; a row, or a group of columns of it; a group of columns of all rows. */
export const COMPLEX_SCALES = ["matrix", "row", "tile"] as const;
export type ComplexScale = (typeof COMPLEX_SCALES)[number];

/**
 * Where a weight goes that is as far from the real axis as from the imaginary one. "sector", as published and the same
 * after a turn by 90 degrees: [-45°, 45°) is 1, [45°, 135°) is i, [135°, 225°) is -1, the rest -i, and 0 is 1.
 * "imaginary", as the authors' port to llama.cpp has it: i if im >= 0, otherwise -i.
 */
export const TIES = ["sector", "imaginary"] as const;
export type Ties = (typeof TIES)[number];

/** Complex weights s · i^code: s is scales.re for the codes 0 and 2, scales.im for 1 and 3. */
export interface ComplexCodes {
  /** [rows, cols] of 0 to 3 */
  readonly codes: Uint8Array;
  readonly scales: ComplexArray;
}

export interface PhaseOptions {
  /** Default "matrix": scales [1]. "row": [rows, groups]. "tile": [groups]. */
  readonly scale?: ComplexScale | undefined;
  /** Default "sector". */
  readonly ties?: Ties | undefined;
  /** What a scale without weights other than 0 is, of weights of 1. Default IFAIRY_LEAST. */
  readonly least?: number | undefined;
}

/** The codes of y = U x + W conj(x), x = x[:cols / 2] + i · x[cols / 2:], y = [Re; Im] of that. */
export interface Fairy2iStage {
  readonly u: ComplexCodes;
  readonly w: ComplexCodes;
}

/** The smallest scales in the authors' code; here those of zeros alone, so that weights may be tiny. */
export const IFAIRY_LEAST = 1e-5;
export const FAIRY2I_LEAST = 1e-6;

export const MAX_STAGES = 4;

/**
 * Codes by angle, and scales that are the mean of |re| over the weights with code 0 or 2 and of |im| over those with 1 or
 * 3, in float64 and then rounded to float32, but not to 0. Without weights other than 0, whose mean is 0 and which a code cannot
 * say, it is `least` times the largest |re| or |im| of w if that is below 1, and `least` of zeros.
 *
 * @param w [rows, cols] row-major
 * @throws at the first step: TypeError, RangeError for a wrong argument or NaN or Infinity in w, with part and index
 */
export function* phaseCodes(
  where: string,
  w: ComplexArray,
  shape: GroupShape,
  options: PhaseOptions = {},
): Steps<ComplexCodes> {
  const { rows, cols } = shape;
  const { least = IFAIRY_LEAST } = options;
  const { scale, ties } = checkPhase(where, options);
  const { re, im } = checkComplex(`${where}: w`, w, rows * cols, `rows ${rows} x cols ${cols}`);
  checkFiniteComplex(`${where}: w`, { re, im }, "finite weights");
  const floor = floorScale(Math.max(largest(re), largest(im)), least);
  return yield* quantise({ re, im }, shape, scale, ties, floor, { passes: 1, done: 0 });
}

/**
 * U and W of a real matrix (Fairy2i, section 3), each as a sum of `stages` matrices of codes with a pair of scales [1]:
 * every stage is what is left of the one before. With the blocks A = [A11 A12; A21 A22]
 *
 *     U = 1/2 [(A11 + A22) + i (A21 - A12)]    W = 1/2 [(A11 - A22) + i (A12 + A21)]
 *
 * Both, and what each stage leaves, are float32: one rounding of the float64 sum, and one of rest minus scale.
 *
 * The mean is the best scale for the codes, so a stage lowers Σ |rest|^2, but for rounding and where no weights are left.
 *
 * @param a [rows, cols] row-major, real; rows and cols even
 * @returns of each stage the codes [rows / 2, cols / 2] of U and W
 * @throws at the first step: TypeError, RangeError for a wrong argument or NaN or Infinity in a, which messages call w
 */
export function* fairy2iStages(
  where: string,
  a: Float32Array,
  shape: MatrixShape,
  options: { readonly stages?: number | undefined; readonly ties?: Ties | undefined } = {},
): Steps<readonly Fairy2iStage[]> {
  for (const [name, length] of Object.entries({ rows: shape.rows, cols: shape.cols })) {
    if (length % 2 !== 0) {
      throw rangeError(`${where}: ${name}`, "an even number, since four blocks make two complex matrices", length);
    }
  }
  const { stages: wanted = 2 } = options;
  const count = checkInteger(`${where}: stages`, wanted, 1, MAX_STAGES);
  const { ties } = checkPhase(where, options);
  checkWeights(where, a, shape);
  const rows = shape.rows / 2;
  const cols = shape.cols / 2;
  const half: GroupShape = { rows, cols, groupSize: cols };
  // The split, then codes and rest of both matrices a stage, the last without rest.
  const work: Work = { passes: 4 * count - 1, done: 0 };
  const [u, w] = yield* split(a, rows, cols, work);
  const floor = floorScale(largest(a), FAIRY2I_LEAST);
  const stages: Fairy2iStage[] = [];
  for (let stage = 0; stage < count; stage++) {
    const codes: ComplexCodes[] = [];
    for (const rest of [u, w]) {
      const found = yield* quantise(rest, half, "matrix", ties, floor, work);
      codes.push(found);
      if (stage < count - 1) yield* subtract(rest, found, rows, cols, work);
    }
    stages.push({ u: codes[0] as ComplexCodes, w: codes[1] as ComplexCodes });
  }
  return stages;
}

// The defaults are for what is left out, not for null.
function checkPhase(
  where: string,
  { scale = "matrix", ties = "sector" }: PhaseOptions,
): { scale: ComplexScale; ties: Ties } {
  return {
    scale: checkChoice(`${where}: scale`, scale, COMPLEX_SCALES),
    ties: checkChoice(`${where}: ties`, ties, TIES),
  };
}

/** The scale of zeros among weights of up to `extent`. */
function floorScale(extent: number, least: number): number {
  return extent === 0 ? least : float32Scale(Math.min(extent, 1) * least, 1);
}

function largest(values: Float32Array): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i] as number));
  return most;
}

/** Passes over a matrix in all, and those done. */
interface Work {
  readonly passes: number;
  done: number;
}

/** Visits each row and its first weight. */
function* eachRow(rows: number, cols: number, work: Work, visit: (row: number, at: number) => void): Steps<void> {
  for (let row = 0, since = 0; row < rows; row++) {
    visit(row, row * cols);
    since += cols;
    if (since >= STEP_WEIGHTS && row + 1 < rows) {
      since = 0;
      yield (work.done + (row + 1) / rows) / work.passes;
    }
  }
  work.done++;
}

function* quantise(
  { re, im }: ComplexArray,
  shape: GroupShape,
  scale: ComplexScale,
  ties: Ties,
  floor: number,
  work: Work,
): Steps<ComplexCodes> {
  const { rows, cols, groupSize } = shape;
  const groups = groupsOf(shape);
  const count = scale === "matrix" ? 1 : scale === "tile" ? groups : rows * groups;
  const codeOf = ties === "sector" ? sectorCode : axisCode;
  const codes = new Uint8Array(rows * cols);
  // Of the real and of the imaginary weights of each region.
  const sums = new Float64Array(2 * count);
  const weights = new Float64Array(2 * count);
  yield* eachRow(rows, cols, work, (row, start) => {
    for (let group = 0, at = start; group < groups; group++) {
      const region = scale === "matrix" ? 0 : scale === "tile" ? group : row * groups + group;
      const end = start + Math.min(cols, (group + 1) * groupSize);
      for (; at < end; at++) {
        const code = codeOf(re[at] as number, im[at] as number);
        codes[at] = code;
        const kind = 2 * region + (code & 1);
        sums[kind] = (sums[kind] as number) + Math.abs((code & 1 ? im[at] : re[at]) as number);
        weights[kind] = (weights[kind] as number) + 1;
      }
    }
  });
  const scalesOf = (odd: 0 | 1): Float32Array =>
    Float32Array.from({ length: count }, (_, region) => {
      const kind = 2 * region + odd;
      return sums[kind] === 0 ? floor : float32Scale(sums[kind] as number, weights[kind] as number);
    });
  return { codes, scales: { re: scalesOf(0), im: scalesOf(1) } };
}

/** Each sector has its first border, and not its last; all comparisons are exact. */
function sectorCode(re: number, im: number): number {
  if (-re <= im && im < re) return 0;
  if (-im < re && re <= im) return 1;
  if (re < im && im <= -re) return 2;
  if (im <= re && re < -im) return 3;
  return 0; // 0 + 0i
}

function axisCode(re: number, im: number): number {
  if (Math.abs(re) > Math.abs(im)) return re > 0 ? 0 : 2;
  return im >= 0 ? 1 : 3;
}

/** U and W [rows, cols] of the real matrix [2 rows, 2 cols]. */
function* split(a: Float32Array, rows: number, cols: number, work: Work): Steps<[ComplexArray, ComplexArray]> {
  const length = rows * cols;
  const u = { re: new Float32Array(length), im: new Float32Array(length) };
  const w = { re: new Float32Array(length), im: new Float32Array(length) };
  yield* eachRow(rows, cols, work, (row, start) => {
    const upper = 2 * row * cols;
    const lower = upper + 2 * length;
    for (let col = 0; col < cols; col++) {
      const a11 = a[upper + col] as number;
      const a12 = a[upper + cols + col] as number;
      const a21 = a[lower + col] as number;
      const a22 = a[lower + cols + col] as number;
      u.re[start + col] = (a11 + a22) / 2;
      u.im[start + col] = (a21 - a12) / 2;
      w.re[start + col] = (a11 - a22) / 2;
      w.im[start + col] = (a12 + a21) / 2;
    }
  });
  return [u, w];
}

/** rest -= scale · i^code */
function* subtract(rest: ComplexArray, found: ComplexCodes, rows: number, cols: number, work: Work): Steps<void> {
  const { re, im } = rest;
  const { codes, scales } = found;
  const real = scales.re[0] as number;
  const imaginary = scales.im[0] as number;
  yield* eachRow(rows, cols, work, (_, start) => {
    for (let at = start; at < start + cols; at++) {
      const code = codes[at] as number;
      const sign = code < 2 ? 1 : -1;
      if (code & 1) im[at] = (im[at] as number) - sign * imaginary;
      else re[at] = (re[at] as number) - sign * real;
    }
  });
}
