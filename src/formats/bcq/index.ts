import { checkArray, checkFloatArray, checkInteger, checkLength } from "../../lib/check.ts";
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
import { type BcqPlanes, bcqInParts, uniformToBcq } from "./quantize.ts";

/**
 * Binary-coding quantisation: w = Σ_b alpha_b · (±1) + offset, alphas and offset a row or a group of columns (LUT-GEMM,
 * Park et al. 2024, eq. 2 and 4). One plane is one bit a weight; binary is the case of one plane without offset.
 */
export interface BcqPackOptions extends CommonOptions {
  /** Planes: 1 to 8. */
  readonly bits: number;
  /** [bits][rows][ceil(cols / 8)]: bit j of byte b is column 8b + j, 1 = +1. */
  readonly planes: Uint8Array;
  /** [bits] times [1], [rows] or [rows, ceil(cols / groupSize)] */
  readonly alphas: FloatTensor;
  /** [1], [rows] or [rows, ceil(cols / groupSize)]. Default: none. */
  readonly offsets?: FloatTensor;
}

export interface BcqQuantizeOptions extends CommonOptions, ProgressOptions {
  /** Planes: 1 to 8. */
  readonly bits: number;
  /** Alternations of alphas and planes at most. Default 15. */
  readonly iterations?: number;
  /** Fit an offset too. Default false. */
  readonly offset?: boolean;
}

/** Uniform codes to be stored as planes: w = scale · (code - zero). */
export interface BcqUniformOptions extends CommonOptions {
  /** 1 to 8 */
  readonly bits: number;
  /** [rows, cols], 0..2^bits - 1 */
  readonly codes: Uint8Array;
  /** [1], [rows] or [rows, ceil(cols / groupSize)] */
  readonly scales: FloatTensor;
  /** The same lengths. Default: 2^(bits - 1). */
  readonly zeros?: FloatTensor;
}

const PACK: OptionNames<BcqPackOptions> = { ...COMMON_NAMES, bits: [], planes: [], alphas: [], offsets: [] };
const QUANTIZE: OptionNames<BcqQuantizeOptions> = {
  ...COMMON_NAMES,
  ...PROGRESS_NAMES,
  bits: [],
  iterations: [],
  offset: [],
};
const UNIFORM: OptionNames<BcqUniformOptions> = { ...COMMON_NAMES, bits: [], codes: [], scales: [], zeros: [] };

/**
 * Alternating least squares from a greedy start (Xu et al. 2018, "Alternating Multi-bit Quantization"). The error of a
 * group never rises from one iteration to the next.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w; the reason of an aborted signal;
 * OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: FloatTensor, options: BcqQuantizeOptions): Matrix {
  return callNow("bcq.quantize", QUANTIZE, quantized, lb, w, options);
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(lb: Lowbit, w: FloatTensor, options: BcqQuantizeOptions): Promise<Matrix> {
  return callAsync("bcq.quantizeAsync", QUANTIZE, quantized, lb, w, options);
}

function* quantized(where: string, lb: Lowbit, w: Float32Array, options: Settled<BcqQuantizeOptions>): Steps<Matrix> {
  const shape = checkShape(where, "bcq", options);
  const { bits, iterations, offset } = options;
  const fit = yield* bcqInParts(where, w, shape, {
    bits,
    ...(iterations !== undefined && { iterations }),
    ...(offset !== undefined && { offset }),
  });
  return fromPlanes(where, lb, shape, bits, fit);
}

/**
 * A matrix of planes that are there already.
 *
 * @throws TypeError, RangeError for a wrong argument, NaN or Infinity in alphas or offsets; OutOfMemoryError
 */
export function pack(lb: Lowbit, given: BcqPackOptions): Matrix {
  const where = "bcq.pack";
  const options = readOptions(where, given, PACK);
  const shape = checkShape(where, "bcq", options);
  const { rows, cols } = shape;
  const bits = checkInteger(`${where}: bits`, options.bits, 1, 8);
  const { offsets } = options;
  const rowBytes = Math.ceil(cols / 8);
  const planes = checkArray(`${where}: planes`, options.planes, ["Uint8Array"], "a Uint8Array of bits");
  checkLength(`${where}: planes`, planes, bits * rows * rowBytes, `bits ${bits} x rows ${rows} x ${rowBytes} bytes`);
  const alphas = checkFloatArray(`${where}: alphas`, options.alphas);
  const counts = [1, rows, rows * groupsOf(shape)];
  const count = counts.find((n) => n * bits === alphas.length) ?? counts[2];
  checkLength(`${where}: alphas`, alphas, bits * (count as number), `bits ${bits} x 1, rows or rows x groups`);
  return fromPlanes(where, lb, shape, bits, { planes, alphas, ...(offsets !== undefined && { offsets }) });
}

/**
 * Uniform codes as planes, exactly (LUT-GEMM, section 3.1): so that they run at the speed of `lut8`, which costs a
 * lookup a plane.
 *
 * @throws TypeError, RangeError for a wrong argument, a code of too many bits; OutOfMemoryError
 */
export function fromUniform(lb: Lowbit, given: BcqUniformOptions): Matrix {
  const where = "bcq.fromUniform";
  const options = readOptions(where, given, UNIFORM);
  const shape = checkShape(where, "bcq", options);
  const { rows, cols, groupSize } = shape;
  const bits = checkInteger(`${where}: bits`, options.bits, 1, 8);
  const codes = checkArray(`${where}: codes`, options.codes, ["Uint8Array"]);
  const expand = (values: Float32Array): Float32Array => expandValues(values, rows, groupsOf(shape));
  const scales = expand(checkScales(`${where}: scales`, options.scales, shape));
  const zeros = options.zeros === undefined ? undefined : checkScales(`${where}: zeros`, options.zeros, shape);
  const zero = zeros ? expand(zeros) : new Float32Array(scales.length).fill(2 ** (bits - 1));
  return fromPlanes(where, lb, shape, bits, uniformToBcq(where, codes, scales, zero, { rows, cols, groupSize }, bits));
}

function fromPlanes(
  where: string,
  lb: Lowbit,
  shape: Shape,
  bits: number,
  { planes, alphas, offsets }: BcqPlanes,
): Matrix {
  return makeBcq(where, lb, `bcq${bits}`, shape, bits, planes, alphas, offsets);
}
