// Pyramid vector quantisation (Fischer 1986, "A pyramid vector quantizer", IEEE Trans. Inf. Theory 32): the integer vectors
// of a given dimension whose absolute values add up to a given number of pulses.
import { checkInteger, rangeError, typeError } from "../lib/check.ts";

/** The largest dimension and number of pulses. */
const MOST = 1024;
/** Numbers of the largest table that is kept: larger ones would fill memory when many are asked for. */
const KEPT = 4096;

const tables = /* @__PURE__ */ new Map<number, Float64Array>();

/** N(l, k) of l = 0 … dimension, k = 0 … pulses, [dimension + 1, pulses + 1]; Infinity beyond 2^53. */
export function counts(dimension: number, pulses: number): Float64Array {
  const key = dimension * (MOST + 1) + pulses;
  const known = tables.get(key);
  if (known) return known;
  const width = pulses + 1;
  const n = new Float64Array((dimension + 1) * width);
  n[0] = 1;
  for (let l = 1; l <= dimension; l++) {
    n[l * width] = 1;
    for (let k = 1; k <= pulses; k++) {
      const sum =
        (n[(l - 1) * width + k] as number) + (n[l * width + k - 1] as number) + (n[(l - 1) * width + k - 1] as number);
      n[l * width + k] = sum <= Number.MAX_SAFE_INTEGER ? sum : Number.POSITIVE_INFINITY;
    }
  }
  if (n.length <= KEPT) tables.set(key, n);
  return n;
}

function checkPyramid(where: string, dimension: unknown, pulses: unknown): [dimension: number, pulses: number] {
  return [checkInteger(`${where}: dimension`, dimension, 1, MOST), checkInteger(`${where}: pulses`, pulses, 0, MOST)];
}

/**
 * N(L, K), how many integer vectors of dimension L have Σ |y| = K:
 * N(l, k) = N(l - 1, k) + N(l, k - 1) + N(l - 1, k - 1), N(l, 0) = 1, N(0, k) = 0 for k > 0.
 *
 * @returns Infinity beyond 2^53 - 1, above which it would not be exact
 * @throws TypeError, RangeError for a dimension outside 1 … 1024 or pulses outside 0 … 1024
 */
export function pyramidSize(dimension: number, pulses: number): number {
  const [l, k] = checkPyramid("pyramidSize", dimension, pulses);
  return counts(l, k)[l * (k + 1) + k] as number;
}

/**
 * The index of y among the N(L, K) vectors with as many pulses, in Fischer's order: coordinate by coordinate, each in the
 * order 0, 1, -1, 2, -2, …
 *
 * @param y [L] integers
 * @throws RangeError for numbers that are no integers, or more vectors than 2^53 - 1
 */
export function pyramidIndex(y: ArrayLike<number>): number {
  const where = "pyramidIndex";
  let pulses = 0;
  for (let i = 0; i < y.length; i++) {
    const value = y[i] as number;
    if (!Number.isInteger(value)) throw rangeError(`${where}: y`, "integers", `${value} at index ${i}`);
    pulses += Math.abs(value);
  }
  checkExact(where, y.length, pulses);
  return indexOf(y, 0, y.length, pulses);
}

function checkExact(where: string, dimension: unknown, pulses: unknown): [dimension: number, pulses: number] {
  const [l, k] = checkPyramid(where, dimension, pulses);
  if (counts(l, k)[l * (k + 1) + k] === Number.POSITIVE_INFINITY) {
    throw rangeError(`${where}: pulses`, "at most 2^53 - 1 vectors", `${k} in dimension ${l}`);
  }
  return [l, k];
}

/**
 * pyramidIndex of y[at .. at + dimension), whose absolute values add up to `pulses`. Nothing is checked.
 *
 * @param n counts of as many columns and pulses, or of more of either, and its width, pulses + 1
 */
export function indexOf(
  y: ArrayLike<number>,
  at: number,
  dimension: number,
  pulses: number,
  n: Float64Array = counts(dimension, pulses),
  width: number = pulses + 1,
): number {
  let index = 0;
  let k = pulses;
  for (let i = 0; k > 0; i++) {
    const value = y[at + i] as number;
    if (value === 0) continue;
    const below = (dimension - i - 1) * width;
    const size = Math.abs(value);
    index += n[below + k] as number;
    for (let j = 1; j < size; j++) index += 2 * (n[below + k - j] as number);
    k -= size;
    if (value < 0) index += n[below + k] as number;
  }
  return index;
}

/**
 * The vector of an index: the inverse of `pyramidIndex`.
 *
 * @param out [L], written and returned; a new array without it
 * @throws TypeError, RangeError for an index outside 0 … N(L, K) - 1, or more vectors than 2^53 - 1
 */
export function pyramidVector(
  index: number,
  dimension: number,
  pulses: number,
  out: Int16Array | Int32Array | Float64Array = new Int16Array(dimension),
): typeof out {
  const where = "pyramidVector";
  const [l, k] = checkExact(where, dimension, pulses);
  checkInteger(`${where}: index`, index, 0, (counts(l, k)[l * (k + 1) + k] as number) - 1);
  if (out.length !== l) throw rangeError(`${where}: out`, `length ${l} (dimension)`, String(out.length));
  writeVector(index, l, k, out, 0);
  return out;
}

/** pyramidVector to out[at .. at + dimension). Nothing is checked. */
export function writeVector(
  index: number,
  dimension: number,
  pulses: number,
  out: { [i: number]: number },
  at: number,
): void {
  const width = pulses + 1;
  const n = counts(dimension, pulses);
  let left = index;
  let k = pulses;
  for (let i = 0; i < dimension; i++) {
    const below = (dimension - i - 1) * width;
    let size = 0;
    let block = n[below + k] as number;
    while (left >= block) {
      left -= block;
      size++;
      block = 2 * (n[below + k - size] as number);
    }
    k -= size;
    const half = block / 2;
    const negative = size > 0 && left >= half;
    if (negative) left -= half;
    out[at + i] = negative ? -size : size;
  }
}

/**
 * The vector with Σ |y| = K that is nearest to x. Exact: K pulses are shared out as the projection on the pyramid has them,
 * rounded down, and each that is left goes where it costs least (squares are convex, so exchanging two cannot help then).
 *
 * @param x [L], finite
 * @param out [L], written and returned; may be x; a new array without it
 * @throws TypeError, RangeError for pulses outside 0 … 1024 or NaN and Infinity
 */
export function nearestPyramid(
  x: ArrayLike<number>,
  pulses: number,
  out: Float64Array = new Float64Array(x.length),
): Float64Array {
  const where = "nearestPyramid";
  checkPyramid(where, x.length, pulses);
  for (let i = 0; i < x.length; i++) {
    const value = x[i];
    if (typeof value !== "number") throw typeError(`${where}: x`, "numbers", value);
    if (!Number.isFinite(value)) throw rangeError(`${where}: x`, "finite numbers", `${value} at index ${i}`);
  }
  const y = new Float64Array(x.length);
  nearest(x, 1, pulses, y, new Float64Array(x.length));
  out.set(y);
  return out;
}

/** nearestPyramid of x · factor to `out`, which is not x. work: [L]. Nothing is checked. */
export function nearest(
  x: ArrayLike<number>,
  factor: number,
  pulses: number,
  out: Float64Array,
  work: Float64Array,
): void {
  const length = out.length;
  let largest = 0;
  for (let i = 0; i < length; i++) largest = Math.max(largest, Math.abs((x[i] as number) * factor));
  // Only differences of sizes matter, and those to the largest are exact where it is far larger than K. The largest first.
  for (let i = 0; i < length; i++) {
    const size = Math.abs((x[i] as number) * factor) - largest;
    out[i] = size;
    let at = i;
    for (; at > 0 && (work[at - 1] as number) < size; at--) work[at] = work[at - 1] as number;
    work[at] = size;
  }
  // The projection lessens all sizes by the same (Held, Wolfe and Crowder 1974): Σ max(0, size - less) = K.
  let less = 0;
  for (let i = 0, sum = -pulses; i < length; i++) {
    sum += work[i] as number;
    if (sum >= (i + 1) * (work[i] as number)) break; // less than nothing would be left of it
    less = sum / (i + 1);
  }
  let left = pulses;
  for (let i = 0; i < length; i++) {
    const size = out[i] as number;
    const share = Math.min(left, Math.max(0, Math.floor(size - less)));
    left -= share;
    out[i] = share;
    work[i] = size - share;
  }
  for (; left > 0; left--) {
    let best = 0;
    for (let i = 1; i < length; i++) if ((work[i] as number) > (work[best] as number)) best = i;
    work[best] = (work[best] as number) - 1;
    out[best] = (out[best] as number) + 1;
  }
  for (let i = 0; i < length; i++) if ((x[i] as number) * factor < 0) out[i] = 0 - (out[i] as number);
}
