import { checkInteger, checkLength, typeError } from "../../lib/check.ts";
import { type ProgressOptions, runAsync, runNow, type Steps } from "../../lib/progress.ts";
import { type CommonOptions, checkScales, checkShape, expandValues, type Shape } from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import { groupsOf } from "../../numeric/shape.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { makePlanes } from "../shared/plane-matrix.ts";
import { type BcqPlanes, bcqPlanes, uniformToBcq } from "./quantize.ts";

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
  readonly alphas: Float32Array;
  /** [1], [rows] or [rows, ceil(cols / groupSize)]. Default: none. */
  readonly offsets?: Float32Array;
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
  readonly scales: Float32Array;
  /** The same lengths. Default: 2^(bits - 1). */
  readonly zeros?: Float32Array;
}

/**
 * Alternating least squares from a greedy start (Xu et al. 2018, "Alternating Multi-bit Quantization"). The error of a
 * group never rises from one iteration to the next.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w; the reason of an aborted signal;
 * OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: Float32Array, options: BcqQuantizeOptions): Matrix {
  const where = "bcq.quantize";
  const shape = checkShape(where, "bcq", options);
  return fromPlanes(where, lb, shape, options.bits, runNow(where, planesOf(where, w, shape, options), options));
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(lb: Lowbit, w: Float32Array, options: BcqQuantizeOptions): Promise<Matrix> {
  const where = "bcq.quantizeAsync";
  const shape = checkShape(where, "bcq", options);
  const fit = await runAsync(where, planesOf(where, w, shape, options), options);
  return fromPlanes(where, lb, shape, options.bits, fit);
}

function planesOf(where: string, w: Float32Array, shape: Shape, options: BcqQuantizeOptions): Steps<BcqPlanes> {
  const { bits, iterations, offset } = options;
  return bcqPlanes(where, w, shape, {
    bits,
    ...(iterations !== undefined && { iterations }),
    ...(offset !== undefined && { offset }),
  });
}

/**
 * A matrix of planes that are there already.
 *
 * @throws TypeError, RangeError for a wrong argument, NaN or Infinity in alphas or offsets; OutOfMemoryError
 */
export function pack(lb: Lowbit, options: BcqPackOptions): Matrix {
  const where = "bcq.pack";
  const shape = checkShape(where, "bcq", options);
  const { rows, cols } = shape;
  const bits = checkInteger(`${where}: bits`, options.bits, 1, 8);
  const { planes, alphas, offsets } = options;
  const rowBytes = Math.ceil(cols / 8);
  if (!(planes instanceof Uint8Array)) throw typeError(`${where}: planes`, "a Uint8Array of bits", planes);
  checkLength(`${where}: planes`, planes, bits * rows * rowBytes, `bits ${bits} x rows ${rows} x ${rowBytes} bytes`);
  if (!(alphas instanceof Float32Array)) throw typeError(`${where}: alphas`, "a Float32Array", alphas);
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
export function fromUniform(lb: Lowbit, options: BcqUniformOptions): Matrix {
  const where = "bcq.fromUniform";
  const shape = checkShape(where, "bcq", options);
  const { rows, cols, groupSize } = shape;
  const { codes, bits } = options;
  checkInteger(`${where}: bits`, bits, 1, 8);
  if (!(codes instanceof Uint8Array)) throw typeError(`${where}: codes`, "a Uint8Array", codes);
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

/** @param planes [bits][rows][ceil(cols / 8)] */
export function makeBcq(
  where: string,
  lb: Lowbit,
  label: string,
  shape: Shape,
  bits: number,
  planes: Uint8Array,
  alphas: Float32Array,
  offsets: Float32Array | undefined,
): Matrix {
  const { rows, cols } = shape;
  const rowBytes = Math.ceil(cols / 8);
  const count = alphas.length / bits;
  const scales = Array.from({ length: bits }, (_, plane) =>
    checkScales(`${where}: alphas`, alphas.subarray(plane * count, (plane + 1) * count), shape),
  );
  return makePlanes(where, lb, {
    label,
    format: "bcq",
    shape,
    scales,
    ...(offsets !== undefined && { offsets: checkScales(`${where}: offsets`, offsets, shape) }),
    writeRow: (row, out) => {
      for (let plane = 0; plane < bits; plane++) {
        const start = (plane * rows + row) * rowBytes;
        out.set(planes.subarray(start, start + rowBytes), plane * rowBytes);
        const last = (plane + 1) * rowBytes - 1;
        out[last] = (out[last] as number) & (0xff >> (rowBytes * 8 - cols));
      }
    },
  });
}
