import { checkArray, checkLength, rangeError, typeError } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, type Settled } from "../../lib/options.ts";
import { callAsync, callNow, PROGRESS_NAMES, type ProgressOptions, type Steps } from "../../lib/progress.ts";
import {
  COMMON_NAMES,
  type CommonOptions,
  checkScales,
  checkShape,
  expandValues,
  type Shape,
} from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import { groupsOf } from "../../numeric/shape.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { makeBcq } from "../shared/bcq-matrix.ts";
import { tritsInParts } from "./quantize.ts";

/**
 * Two trit planes: w = alpha1 · t1 + alpha2 · t2 with t in {-1, 0, 1} (PTQTP, arXiv:2509.16989), groups of 128 columns. A
 * trit is half the sum of two signs, so this is bcq with four planes.
 */
export interface PtqtpPackOptions extends CommonOptions {
  /** Two Int8Array [rows, cols] of -1, 0 and 1 */
  readonly trits: readonly [Int8Array, Int8Array];
  /** Two of [1], [rows] or [rows, ceil(cols / groupSize)] */
  readonly alphas: readonly [FloatTensor, FloatTensor];
}

export interface PtqtpQuantizeOptions extends CommonOptions, ProgressOptions {
  /** Default 128; -1: cols. */
  readonly groupSize?: number;
  /** Alternations at most. Default 50. */
  readonly iterations?: number;
}

const PACK: OptionNames<PtqtpPackOptions> = { ...COMMON_NAMES, trits: [], alphas: [] };
const QUANTIZE: OptionNames<PtqtpQuantizeOptions> = { ...COMMON_NAMES, ...PROGRESS_NAMES, iterations: [] };

const GROUP_SIZE = 128;

/**
 * Alternates between the 2 x 2 ridge regression of the alphas and the best of nine pairs of trits; the error never rises.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w; the reason of an aborted signal;
 * OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: FloatTensor, options: PtqtpQuantizeOptions): Matrix {
  return callNow("ptqtp.quantize", QUANTIZE, quantized, lb, w, options);
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(lb: Lowbit, w: FloatTensor, options: PtqtpQuantizeOptions): Promise<Matrix> {
  return callAsync("ptqtp.quantizeAsync", QUANTIZE, quantized, lb, w, options);
}

function* quantized(where: string, lb: Lowbit, w: Float32Array, options: Settled<PtqtpQuantizeOptions>): Steps<Matrix> {
  const shape = checkShape(where, "bcq", { groupSize: GROUP_SIZE, ...options });
  const { iterations } = options;
  const { trits, alphas } = yield* tritsInParts(where, w, shape, iterations === undefined ? {} : { iterations });
  return fromTrits(where, lb, shape, trits, alphas);
}

/**
 * A matrix of trits that are there already.
 *
 * @throws TypeError, RangeError for a wrong argument, a trit that is not -1, 0 or 1 (its index is named), NaN or Infinity
 * in alphas; OutOfMemoryError
 */
export function pack(lb: Lowbit, given: PtqtpPackOptions): Matrix {
  const where = "ptqtp.pack";
  const options = readOptions(where, given, PACK);
  const shape = checkShape(where, "bcq", options);
  const { rows, cols } = shape;
  const { trits, alphas } = options;
  for (const [name, pair] of Object.entries({ trits, alphas })) {
    if (!Array.isArray(pair) || pair.length !== 2) throw typeError(`${where}: ${name}`, "an array of two", pair);
  }
  for (const [i, given] of trits.entries()) {
    const at = `${where}: trits[${i}]`;
    const plane = checkArray(at, given, ["Int8Array"], "an Int8Array of -1, 0 and 1");
    checkLength(at, plane, rows * cols, `rows ${rows} x cols ${cols}`);
    const bad = plane.findIndex((trit) => trit < -1 || trit > 1);
    if (bad >= 0) throw rangeError(at, "-1, 0 or 1", `${plane[bad]} at index ${bad}`);
  }
  for (const [i, values] of alphas.entries()) checkScales(`${where}: alphas[${i}]`, values, shape);
  return fromTrits(where, lb, shape, trits, alphas);
}

function fromTrits(
  where: string,
  lb: Lowbit,
  shape: Shape,
  trits: readonly Int8Array[],
  alphas: readonly Float32Array[],
): Matrix {
  const { rows, cols } = shape;
  const groups = groupsOf(shape);
  const rowBytes = Math.ceil(cols / 8);
  const planes = new Uint8Array(4 * rows * rowBytes);
  const halves = new Float32Array(4 * rows * groups);
  for (const [i, plane] of trits.entries()) {
    const half = expandValues(alphas[i] as Float32Array, rows, groups).map((alpha) => alpha / 2);
    halves.set(half, 2 * i * half.length);
    halves.set(half, (2 * i + 1) * half.length);
    const first = 2 * i * rows * rowBytes;
    for (let row = 0, at = 0; row < rows; row++) {
      for (let col = 0; col < cols; col++, at++) {
        const trit = plane[at] as number;
        const byte = first + row * rowBytes + (col >> 3);
        if (trit >= 0) planes[byte] = (planes[byte] as number) | (1 << (col & 7));
        if (trit > 0) planes[byte + rows * rowBytes] = (planes[byte + rows * rowBytes] as number) | (1 << (col & 7));
      }
    }
  }
  return makeBcq(where, lb, "ptqtp", shape, 4, planes, halves, undefined);
}
