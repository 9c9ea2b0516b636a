// Nearest minifloats: scales of float32, float16 or powers of two (E8M0), with a bias that may be searched.
import { checkFinite, checkFloats } from "../../lib/check.ts";
import { inParts, joinRows, rowsOf, rowTask } from "../../lib/parts.ts";
import type { Steps } from "../../lib/progress.ts";
import { coveringScale, limitScale, STEP } from "../../numeric/scale.ts";
import type { GroupShape } from "../../numeric/shape.ts";
import { type MinifloatType, wholeMagnitude } from "./types.ts";

/** How scales are stored in a checkpoint: here they are float32 that the type can hold. */
export type ScaleType = "float32" | "float16" | "e8m0";

export interface MinifloatCodes {
  /** [rows, cols] */
  readonly codes: Uint8Array;
  /** [rows, groups], of the numbers with the usual bias */
  readonly scales: Float32Array;
}

export interface MinifloatFit {
  readonly type: MinifloatType;
  readonly scaleType: ScaleType;
  /** What scales are multiplied by before they are stored, a power of two. */
  readonly unit: number;
  /** Whether every group takes the best of BIASES. */
  readonly searchBias: boolean;
}

/**
 * Biases that are tried, as what the largest magnitude is a multiple of the group's: a bias that is no whole number is a scale (LLM-FP4,
 * Liu et al. 2023, arXiv:2310.16836; FP4DiT, arXiv:2503.15465). The first is no search.
 */
export const BIASES: readonly number[] = /* @__PURE__ */ Array.from({ length: 25 }, (_, i) => 1 - i / 48);

const float = /* @__PURE__ */ new Float32Array(1);
const word = /* @__PURE__ */ new Uint32Array(float.buffer);

/** Floor of log2 of a positive float32, at least -127. */
function exponentOf(value: number): number {
  float[0] = value;
  return ((word[0] as number) >>> 23) - 127;
}

/** The float16 nearest to a positive number, half to even, at least 2^-24 and at most 65504. */
export function nearestHalf(value: number): number {
  if (value === 0) return 0;
  const step = 2 ** (Math.max(exponentOf(value), -14) - 10);
  const whole = value / step;
  const below = Math.floor(whole);
  const part = whole - below;
  const up = part > 0.5 || (part === 0.5 && below % 2 === 1) ? 1 : 0;
  return Math.min(65504, Math.max((below + up) * step, 2 ** -24));
}

/**
 * Codes and scales. With the largest magnitude M of the type and the largest weight a of a group, s = a / M as float32 (s · unit rounded up
 * below 2^-126) or rounded to float16; for E8M0 2^max(floor(log2 a) - floor(log2 M), -127) (OCP Microscaling Formats 1.0, 6.3), where weights above M times it
 * saturate. Codes are nearest, half to even. With the search each group takes that multiple of its scale of `BIASES`, or of E8M0
 * that of 1, 2 and 1/2, with which Σ(w - s·v)² is least; the first of equal ones.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong length or NaN or Infinity in w (its index is named)
 */
export function* minifloatCodes(
  where: string,
  w: Float32Array,
  shape: GroupShape,
  { type, scaleType, unit, searchBias }: MinifloatFit,
): Steps<MinifloatCodes> {
  const { rows, cols } = shape;
  checkFloats(`${where}: w`, w, rows * cols, `rows ${rows} x cols ${cols}`);
  checkFinite(`${where}: w`, w);
  const groupSize = Math.min(shape.groupSize, cols);
  const codes = new Uint8Array(w.length);
  const scales = new Float32Array(rows * Math.ceil(cols / groupSize));
  const values = Float64Array.from({ length: type.magnitudes }, (_, code) => wholeMagnitude(type, code));
  const most = (values[values.length - 1] as number) * type.unit;
  const factors = !searchBias ? [1] : scaleType === "e8m0" ? [1, 2, 0.5] : BIASES;
  let work = 0;
  for (let group = 0, start = 0; start < w.length; group++) {
    const end = start + Math.min(groupSize, cols - (start % cols));
    let extent = 0;
    for (let i = start; i < end; i++) extent = Math.max(extent, Math.abs(w[i] as number));
    let best = 0;
    let least = Number.POSITIVE_INFINITY;
    for (const factor of factors) {
      const scale = scaleOf(extent * factor, most, unit, scaleType);
      if (factors.length > 1) {
        const error = squareError(w, start, end, scale * type.unit, values);
        if (error >= least) continue;
        least = error;
      }
      best = scale;
    }
    scales[group] = best;
    const divisor = best === 0 ? 1 : best * type.unit;
    for (let i = start; i < end; i++) {
      const value = w[i] as number;
      const code = nearest(Math.abs(value) / divisor, values);
      codes[i] = value < 0 ? code | (2 ** (type.bits - 1)) : code;
    }
    work += (end - start) * factors.length;
    if (work >= STEP / 4) {
      work = 0;
      yield end / w.length;
    }
    start = end;
  }
  return { codes, scales };
}

export const minifloatTask = /* @__PURE__ */ rowTask("minifloat", minifloatCodes);

/** As `minifloatCodes`, whose rows are independent. */
export function minifloatInParts(
  where: string,
  w: Float32Array,
  given: GroupShape,
  fit: MinifloatFit,
): Steps<MinifloatCodes> {
  const { rows, cols, groupSize } = given;
  const shape = { rows, cols, groupSize };
  return inParts(minifloatTask, {
    units: rows,
    time: w.length * (fit.searchBias ? BIASES.length + 1 : 1) * 1e-4,
    part: (begin, end) => ({ where, ...rowsOf(w, shape, begin, end), options: fit }),
    join: (parts) => ({
      codes: joinRows(parts.map(({ codes }) => codes)),
      scales: joinRows(parts.map(({ scales }) => scales)),
    }),
  });
}

function scaleOf(extent: number, most: number, unit: number, type: ScaleType): number {
  if (type === "e8m0")
    return 2 ** Math.min(127 - exponentOf(most), Math.max(exponentOf(extent) - exponentOf(most), -127));
  if (type === "float16") return nearestHalf(extent / most);
  // scale · unit is a float32, too: codes are chosen for what is stored.
  return limitScale(coveringScale(extent, most / unit) / unit, most);
}

function squareError(w: Float32Array, start: number, end: number, unit: number, values: Float64Array): number {
  const divisor = unit === 0 ? 1 : unit;
  let sum = 0;
  for (let i = start; i < end; i++) {
    const value = Math.abs(w[i] as number);
    const error = value - unit * (values[nearest(value / divisor, values)] as number);
    sum += error * error;
  }
  return sum;
}

/** The index of the nearest of ascending values, half to the even one. */
function nearest(x: number, values: Float64Array): number {
  let low = 0;
  let high = values.length - 1;
  if (x >= (values[high] as number)) return high;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (x >= (values[middle] as number)) low = middle;
    else high = middle;
  }
  const twice = 2 * x - (values[low] as number) - (values[high] as number);
  return twice > 0 || (twice === 0 && (high & 1) === 0) ? high : low;
}
