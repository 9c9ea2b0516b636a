// Codebooks: tables of 4, 8 or 16 levels, by weighted k-means of the weights of a row (SqueezeLLM, Kim et al. 2024,
// arXiv:2306.07629, section 4.1, where the importance is the Fisher information of each weight) or of a matrix.
import { checkInteger, checkLength, rangeError, typeError } from "../../lib/check.ts";
import { inParts, joinRows, rowsOf, rowTask } from "../../lib/parts.ts";
import { part, type Steps } from "../../lib/progress.ts";
import { type ClusterWork, clusterCentres, makeClusterWork } from "../../numeric/cluster.ts";
import { levelOf, setThresholds } from "../../numeric/levels.ts";
import { checkWeights, type MatrixShape, STEP_WEIGHTS } from "../../numeric/shape.ts";

export interface TableFit {
  /** [rows, cols]: index of the nearest entry, on a tie or among equal entries the lowest. */
  readonly codes: Uint8Array;
  /** [rows, 2^bits], or [2^bits] for a whole matrix: ascending. */
  readonly tables: Float32Array;
  /** [rows], or [1]: Σ importance · (w - entry)^2 with the float32 entries, in float64. */
  readonly errors: Float64Array;
}

export interface TableOptions {
  readonly bits: 2 | 3 | 4;
  /**
   * How much the squared error of a weight counts, finite and not negative: [cols] or [rows, cols]. Default 1. What has
   * importance 0 takes no part in the fit and gets the nearest entry; where all are 0, all count alike.
   */
  readonly importance?: Float32Array;
  /** Steps of Lloyd's algorithm at most after the start, 0 to 1000. Default 20. */
  readonly iterations?: number;
}

/** Up to here all values of a row are sorted and clustered, above they are first put into bins. */
const MAX_SORTED = 16384;

/** Bins share sign, exponent and the first 9 bits of the mantissa of their distance to the median. */
const BIN_SHIFT = 14;
const BINS = 2 ** (32 - BIN_SHIFT);

/** A step that lowers the error by less than this part of it is the last. */
const SMALL_GAIN = 1e-7;

interface Fit {
  readonly w: Float32Array;
  readonly cols: number;
  readonly importance: Float32Array | undefined;
  readonly count: number;
  readonly iterations: number;
  readonly centres: Float64Array;
  /** Float32 values. */
  readonly table: Float64Array;
  readonly thresholds: Float64Array;
  /** The best table so far and its error. */
  readonly bestTable: Float64Array;
  best: number;
  steps: number;
  /** Sums of importance and of importance · w over each level's weights. */
  readonly shares: Float64Array;
  readonly sums: Float64Array;
}

/**
 * A table a row. Up to 16384 columns it is the optimal one, rounded to float32; longer rows start with the optimum of
 * values put together in bins (relative width 2^-9 of the distance to about the median). Lloyd's steps follow, of which
 * one that does not lower the error is not taken: so the error, with entries rounded to float32, never rises with
 * `iterations` (up to float64 rounding of the sum). A row with no more distinct values than entries is exact; the largest
 * value fills the rest of its table.
 *
 * @param w [rows, cols] row-major
 * @throws at the first step: TypeError, RangeError for a wrong argument or NaN or Infinity in w or importance
 */
export function* kmeansRows(
  where: string,
  w: Float32Array,
  shape: MatrixShape,
  options: TableOptions,
): Steps<TableFit> {
  const fit = makeFit(where, w, shape, options);
  return yield* fitTables(fit, shape.rows, shape.cols);
}

export const kmeansTask = /* @__PURE__ */ rowTask("kmeans", kmeansRows);

/** As `kmeansRows`, whose rows are independent; `kmeansMatrix` has one table for all, which is fitted by one thread. */
export function kmeansInParts(
  where: string,
  w: Float32Array,
  { rows, cols }: MatrixShape,
  options: TableOptions,
): Steps<TableFit> {
  const shape = { rows, cols };
  const { importance } = options;
  const each = importance !== undefined && importance.length !== cols;
  return inParts(kmeansTask, {
    units: rows,
    time: w.length * 1e-3,
    part: (begin, end) => ({
      where,
      ...rowsOf(w, shape, begin, end),
      options: each ? { ...options, importance: importance.slice(begin * cols, end * cols) } : options,
    }),
    join: (fits) => ({
      codes: joinRows(fits.map(({ codes }) => codes)),
      tables: joinRows(fits.map(({ tables }) => tables)),
      errors: joinRows(fits.map(({ errors }) => errors)),
    }),
  });
}

/** One table for the whole matrix; otherwise as `kmeansRows`, taking all weights for one row. */
export function* kmeansMatrix(
  where: string,
  w: Float32Array,
  shape: MatrixShape,
  options: TableOptions,
): Steps<TableFit> {
  const fit = makeFit(where, w, shape, options);
  return yield* fitTables(fit, 1, w.length);
}

function makeFit(where: string, w: Float32Array, shape: MatrixShape, options: TableOptions): Fit {
  const bits = checkInteger(`${where}: bits`, options.bits, 2, 4);
  const iterations =
    options.iterations === undefined ? 20 : checkInteger(`${where}: iterations`, options.iterations, 0, 1000);
  checkWeights(where, w, shape);
  if (options.importance !== undefined) checkImportance(`${where}: importance`, options.importance, shape);
  const count = 1 << bits;
  const floats = () => new Float64Array(count);
  return {
    w,
    cols: shape.cols,
    importance: options.importance,
    count,
    iterations,
    centres: floats(),
    table: floats(),
    thresholds: floats(),
    bestTable: floats(),
    best: Infinity,
    steps: 0,
    shares: floats(),
    sums: floats(),
  };
}

function checkImportance(where: string, importance: unknown, { rows, cols }: MatrixShape): void {
  if (!(importance instanceof Float32Array)) throw typeError(where, "a Float32Array", importance);
  if (importance.length !== cols) {
    checkLength(where, importance, rows * cols, `cols ${cols}, or rows ${rows} x cols ${cols}`);
  }
  for (let i = 0; i < importance.length; i++) {
    const value = importance[i] as number;
    if (!(value >= 0 && value < Infinity))
      throw rangeError(where, "finite numbers from 0 on", `${value} at index ${i}`);
  }
}

/** Tables of runs of `length` weights each. */
function* fitTables(fit: Fit, runs: number, length: number): Steps<TableFit> {
  const { w, count, table, thresholds } = fit;
  const codes = new Uint8Array(w.length);
  const tables = new Float32Array(runs * count);
  const errors = new Float64Array(runs);
  /** The first of the entries that are equal to this one. */
  const firsts = new Uint8Array(count);
  const sorted = length <= MAX_SORTED;
  const work = makeClusterWork(sorted ? length : BINS, count);
  const keys = new Float64Array(sorted ? length : 0);
  for (let run = 0, done = 0; run < runs; run++) {
    const begin = run * length;
    const end = begin + length;
    if (sorted) fitSorted(fit, work, keys, begin, end);
    else yield* part(fitBinned(fit, work, begin, end), run / runs, (run + 0.9) / runs);
    errors[run] = fit.best;
    tables.set(table, run * count);
    for (let k = 1; k < count; k++) firsts[k] = table[k] === table[k - 1] ? (firsts[k - 1] as number) : k;
    for (let at = begin; at < end; ) {
      const stop = Math.min(end, at + STEP_WEIGHTS);
      for (; at < stop; at++) codes[at] = firsts[levelOf(w[at] as number, thresholds, count)] as number;
      if (!sorted) yield (run + 0.9 + (0.1 * (at - begin)) / length) / runs;
    }
    done += length;
    if (sorted && done >= STEP_WEIGHTS) {
      done = 0;
      yield (run + 1) / runs;
    }
  }
  return { codes, tables, errors };
}

function importanceOf({ importance, cols }: Fit, index: number): number {
  if (importance === undefined) return 1;
  return importance[importance.length === cols ? index % cols : index] as number;
}

function isAllZero(fit: Fit, begin: number, end: number): boolean {
  if (fit.importance === undefined) return false;
  for (let i = begin; i < end; i++) if (importanceOf(fit, i) !== 0) return false;
  return true;
}

const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);

/** An integer below 2^32 that orders as the values do. */
function orderKey(value: number): number {
  float[0] = value;
  const pattern = bits[0] as number;
  return (pattern ^ (pattern >>> 31 === 0 ? 0x80000000 : 0xffffffff)) >>> 0;
}

/** Leaves the table and its thresholds in `fit`, its error in `fit.best`. */
function fitSorted(fit: Fit, work: ClusterWork, keys: Float64Array, begin: number, end: number): void {
  const length = sortDistinct(fit, work, keys, begin, end);
  start(fit, work, length);
  while (advance(fit, shareOutWeighted(fit, work, length)));
}

function start(fit: Fit, work: ClusterWork, length: number): void {
  clusterCentres(work, length, fit.count, fit.centres);
  fit.best = Infinity;
  fit.steps = 0;
  setTable(fit);
}

function setTable({ centres, table, thresholds, count }: Fit): void {
  for (let k = 0; k < count; k++) table[k] = Math.fround(centres[k] as number);
  setThresholds(thresholds, table, count);
}

/** Takes the error of the table. Either puts the next one in its place, or ends with the best and says false. */
function advance(fit: Fit, error: number): boolean {
  const { centres, table, bestTable, shares, sums, count } = fit;
  if (error > fit.best) {
    centres.set(bestTable);
    setTable(fit);
    return false;
  }
  const isLast = error >= fit.best * (1 - SMALL_GAIN) || fit.steps++ >= fit.iterations;
  fit.best = error;
  bestTable.set(table);
  if (isLast) return false;
  // A level without weights stays; it lies between its neighbours, as the means of theirs do.
  for (let k = 0; k < count; k++) {
    const share = shares[k] as number;
    centres[k] = share > 0 ? (sums[k] as number) / share : (table[k] as number);
  }
  setTable(fit);
  return table.some((entry, k) => entry !== bestTable[k]);
}

/** As `shareOut`, with weights. */
function shareOutWeighted(fit: Fit, { values, weights }: ClusterWork, length: number): number {
  const { table, thresholds, shares, sums, count } = fit;
  let error = 0;
  for (let k = 0, i = 0; k < count; k++) {
    const entry = table[k] as number;
    const end = k + 1 < count ? (thresholds[k] as number) : Infinity;
    let share = 0;
    let sum = 0;
    for (; i < length; i++) {
      const value = values[i] as number;
      if (value > end) break;
      const weight = weights[i] as number;
      share += weight;
      sum += weight * value;
      error += weight * (value - entry) * (value - entry);
    }
    shares[k] = share;
    sums[k] = sum;
  }
  return error;
}

/** Distinct values of positive importance, sorted, with what importance they have together; returns their number. */
function sortDistinct(fit: Fit, work: ClusterWork, keys: Float64Array, begin: number, end: number): number {
  const { w } = fit;
  const { values, weights } = work;
  const alike = isAllZero(fit, begin, end);
  let used = 0;
  // 32 bits of order and 14 of index fit the 53 of a float64.
  for (let i = begin; i < end; i++) {
    if (alike || importanceOf(fit, i) > 0) keys[used++] = orderKey(w[i] as number) * MAX_SORTED + (i - begin);
  }
  keys.subarray(0, used).sort();
  let length = 0;
  for (let k = 0; k < used; k++) {
    const index = begin + ((keys[k] as number) % MAX_SORTED);
    const value = w[index] as number;
    const weight = alike ? 1 : importanceOf(fit, index);
    if (length > 0 && value === values[length - 1]) {
      weights[length - 1] = (weights[length - 1] as number) + weight;
    } else {
      values[length] = value;
      weights[length++] = weight;
    }
  }
  return length;
}

/** As `fitSorted`, for more weights than are sorted at once. */
function* fitBinned(fit: Fit, work: ClusterWork, begin: number, end: number): Steps<void> {
  const alike = isAllZero(fit, begin, end);
  const passes = fit.iterations + 2;
  const length = yield* fillBins(fit, work, begin, end, alike, 1 / passes);
  start(fit, work, length);
  for (let pass = 1, error = 0; pass === 1 || advance(fit, error); pass++) {
    fit.shares.fill(0);
    fit.sums.fill(0);
    error = 0;
    for (let at = begin; at < end; ) {
      const stop = Math.min(end, at + STEP_WEIGHTS);
      error += shareOutUnsorted(fit, at, stop, alike);
      at = stop;
      yield Math.min(1, (pass + (at - begin) / (end - begin)) / passes);
    }
  }
}

/** Weighted means of the bins, sorted; returns their number. */
function* fillBins(
  fit: Fit,
  work: ClusterWork,
  begin: number,
  end: number,
  alike: boolean,
  share: number,
): Steps<number> {
  const median = sampleMedian(fit.w, begin, end);
  const weights = new Float64Array(BINS);
  const sums = new Float64Array(BINS);
  for (let at = begin; at < end; ) {
    const stop = Math.min(end, at + STEP_WEIGHTS);
    for (; at < stop; at++) {
      const value = fit.w[at] as number;
      const weight = alike ? 1 : importanceOf(fit, at);
      const bin = orderKey(value - median) >>> BIN_SHIFT;
      weights[bin] = (weights[bin] as number) + weight;
      sums[bin] = (sums[bin] as number) + weight * value;
    }
    yield (share * (at - begin)) / (end - begin);
  }
  let length = 0;
  for (let bin = 0; bin < BINS; bin++) {
    const weight = weights[bin] as number;
    if (weight === 0) continue;
    const value = (sums[bin] as number) / weight;
    // Rounding may let the means of neighbours meet.
    if (length > 0 && value <= (work.values[length - 1] as number)) {
      work.weights[length - 1] = (work.weights[length - 1] as number) + weight;
    } else {
      work.values[length] = value;
      work.weights[length++] = weight;
    }
  }
  return length;
}

/** The median of up to 4096 values at equal distances. */
function sampleMedian(w: Float32Array, begin: number, end: number): number {
  const stride = Math.ceil((end - begin) / 4096);
  const sample = new Float32Array(Math.ceil((end - begin) / stride));
  for (let i = 0; i < sample.length; i++) sample[i] = w[begin + i * stride] as number;
  return sample.sort()[sample.length >> 1] as number;
}

/** Adds weights begin..end - 1 to the shares and sums of their levels; returns their error. */
function shareOutUnsorted(fit: Fit, begin: number, end: number, alike: boolean): number {
  const { w, table, thresholds, shares, sums, count } = fit;
  let error = 0;
  for (let i = begin; i < end; i++) {
    const value = w[i] as number;
    const weight = alike ? 1 : importanceOf(fit, i);
    const k = levelOf(value, thresholds, count);
    const distance = value - (table[k] as number);
    shares[k] = (shares[k] as number) + weight;
    sums[k] = (sums[k] as number) + weight * value;
    error += weight * distance * distance;
  }
  return error;
}
