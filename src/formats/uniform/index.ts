import { formatOf } from "../../kernels/formats.ts";
import { UNIFORM_BITS, type UniformBits } from "../../kernels/types.ts";
import { typeError } from "../../lib/check.ts";
import { type ProgressOptions, runAsync, runNow, type Steps } from "../../lib/progress.ts";
import {
  type CommonOptions,
  checkCodes,
  checkScales,
  checkShape,
  expandValues,
  type Shape,
  zeroOffsets,
} from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import { groupsOf } from "../../numeric/shape.ts";
import type { Lowbit } from "../../runtime/features.ts";
import type { ImportedUniform } from "../shared/tensors.ts";
import { makeWords } from "../shared/word-matrix.ts";
import { type AwqTensors, importAwq } from "./from-awq.ts";
import { type GptqTensors, importGptq } from "./from-gptq.ts";
import { sliceCodes } from "./matryoshka.ts";
import { checkUniformBits, type UniformCodes, type UniformSearch, uniformCodes } from "./quantize.ts";

/**
 * w = scale · (code - zero), a scale and a zero point a row or a group of columns. Bits: 2, 3, 4, 5, 6 or 8. groupSize is
 * any multiple of 8; where it is none of 32 for 3 and 5 bits, or of 16 for 2 and 6, codes take the room of more bits.
 */
export interface UniformPackOptions extends CommonOptions {
  readonly bits: UniformBits;
  /** [rows, cols], 0..2^bits - 1 */
  readonly codes: Uint8Array;
  /** [1], [rows] or [rows, ceil(cols / groupSize)] */
  readonly scales: Float32Array;
  /** Zero points, whole or not: the same lengths. Default: 2^(bits - 1), which costs nothing. */
  readonly zeros?: Float32Array;
}

export interface UniformQuantizeOptions extends CommonOptions, ProgressOptions {
  readonly bits: UniformBits;
  /** Every zero point is 2^(bits - 1). Default true. */
  readonly symmetric?: boolean;
  /** How scales are found: "minmax" (default), "mse" (least squares over clipping ratios) or "absmean". */
  readonly search?: UniformSearch;
}

/**
 * Round to nearest, with scales from the range, the least square error, or the mean magnitude of each group.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w; the reason of an aborted signal;
 * OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: Float32Array, options: UniformQuantizeOptions): Matrix {
  const where = "uniform.quantize";
  const shape = checkUniform(where, options);
  return fromCodes(where, lb, shape, options.bits, runNow(where, codesOf(where, w, shape, options), options));
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(lb: Lowbit, w: Float32Array, options: UniformQuantizeOptions): Promise<Matrix> {
  const where = "uniform.quantizeAsync";
  const shape = checkUniform(where, options);
  const codes = await runAsync(where, codesOf(where, w, shape, options), options);
  return fromCodes(where, lb, shape, options.bits, codes);
}

function codesOf(where: string, w: Float32Array, shape: Shape, options: UniformQuantizeOptions): Steps<UniformCodes> {
  const { bits, symmetric = true, search = "minmax" } = options;
  if (typeof symmetric !== "boolean") throw typeError(`${where}: symmetric`, "a boolean", symmetric);
  return uniformCodes(where, w, shape, { bits, symmetric, search });
}

/**
 * A matrix of codes that are there already.
 *
 * @throws TypeError, RangeError for a wrong argument, a code of too many bits (its index is named), NaN or Infinity in
 * scales or zeros; OutOfMemoryError
 */
export function pack(lb: Lowbit, options: UniformPackOptions): Matrix {
  const where = "uniform.pack";
  const shape = checkUniform(where, options);
  const { bits, codes, scales, zeros } = options;
  checkCodes(`${where}: codes`, codes, shape, 2 ** bits - 1);
  return fromCodes(where, lb, shape, bits, { codes, scales, ...(zeros !== undefined && { zeros }) });
}

type Imported = Pick<CommonOptions, "activation" | "kernel">;

/**
 * A layer of a GPTQ checkpoint (AutoGPTQ, GPTQModel), act-order included: columns are stored by group, and x is reordered
 * as it is read.
 *
 * @throws TypeError, RangeError for tensors that do not fit each other; OutOfMemoryError
 */
export function fromGptq(lb: Lowbit, options: GptqTensors & Imported): Matrix {
  const where = "uniform.fromGptq";
  return fromImport(where, lb, importGptq(where, options), options);
}

/** A layer of an AutoAWQ checkpoint ("gemm" layout, 4 bits). */
export function fromAwq(lb: Lowbit, options: AwqTensors & Imported): Matrix {
  const where = "uniform.fromAwq";
  return fromImport(where, lb, importAwq(where, options), options);
}

function fromImport(
  where: string,
  lb: Lowbit,
  imported: ImportedUniform & { readonly columnOrder?: Uint32Array },
  { activation, kernel }: Imported,
): Matrix {
  const { rows, cols, groupSize, codes, scales, zeros, symmetric, columnOrder } = imported;
  const bits = checkUniformBits(`${where}: bits`, imported.bits);
  const shape = checkUniform(where, {
    rows,
    cols,
    groupSize,
    bits,
    ...(activation !== undefined && { activation }),
    ...(kernel !== undefined && { kernel }),
  });
  return fromCodes(where, lb, shape, bits, { codes, scales, ...(!symmetric && { zeros }) }, columnOrder);
}

/** 8-bit codes of which a matrix of fewer bits is wanted. */
export interface UniformSliceOptions extends Omit<UniformPackOptions, "bits"> {
  /** Bits to keep: 1 to 8. */
  readonly bits: number;
  /** Keep the level 2^bits that rounding up reaches, in codes of one bit more. Default false: it is clipped. */
  readonly extraPrecision?: boolean;
}

/**
 * The highest bits of 8-bit codes (MatQuant, Nair et al. 2025, arXiv:2502.06786): one checkpoint, any number of bits.
 *
 * @throws TypeError, RangeError for a wrong argument; OutOfMemoryError
 */
export function slice(lb: Lowbit, options: UniformSliceOptions): Matrix {
  const where = "uniform.slice";
  const from = checkUniform(where, { ...options, bits: 8 });
  const { extraPrecision, zeros, scales, codes } = options;
  const { rows } = from;
  const groups = groupsOf(from);
  const expand = (name: string, values: Float32Array): Float32Array =>
    expandValues(checkScales(`${where}: ${name}`, values, from), rows, groups);
  const sliced = sliceCodes(
    where,
    { ...from, codes, scales: expand("scales", scales), ...(zeros && { zeros: expand("zeros", zeros) }) },
    options.bits,
    extraPrecision === undefined ? {} : { extraPrecision },
  );
  const { bits } = sliced;
  return fromCodes(where, lb, checkUniform(where, { ...options, bits }), bits, sliced);
}

function checkUniform(where: string, options: CommonOptions & { readonly bits: UniformBits }): Shape {
  // Bits decide the layout, so they come first; checkShape names what is wrong with the options themselves.
  const bits = (options as { bits?: unknown } | null | undefined)?.bits;
  if (typeof options !== "object" || options === null) return checkShape(where, "uniform4", options);
  const { cols, groupSize } = options;
  return checkShape(where, `uniform${storedBits(checkUniformBits(`${where}: bits`, bits), groupSize, cols)}`, options);
}

/**
 * Bits of a code in memory: more than it has where its layout keeps more columns together than a group has. Groups of 16
 * columns of 3 bits are stored as 4 bits, of 5 as 6; groups of 8 as 4 or 8.
 */
function storedBits(bits: UniformBits, groupSize: number | undefined, cols: number): UniformBits {
  if (groupSize === undefined || groupSize >= cols) return bits;
  const wide = UNIFORM_BITS.find((b) => b >= bits && groupSize % formatOf(`uniform${b}`, "int8").chunk === 0);
  // None: checkShape refuses the group, and names what the layout of 8 bits wants, which is least.
  return wide ?? 8;
}

/** @param columnOrder column i of the codes is column columnOrder[i] of the matrix */
export function fromCodes(
  where: string,
  lb: Lowbit,
  shape: Shape,
  bits: UniformBits,
  { codes, scales, zeros }: UniformCodes,
  columnOrder?: Uint32Array,
): Matrix {
  const { cols } = shape;
  const stored = storedBits(bits, shape.groupSize, cols);
  const middle = 2 ** (stored - 1);
  // Kernels take `middle` from what is stored, and codes of `bits` bits have theirs at 2^(bits - 1).
  const more = middle - 2 ** (bits - 1);
  checkScales(`${where}: scales`, scales, shape);
  return makeWords(where, lb, {
    label: `uniform${bits}`,
    format: `uniform${stored}`,
    shape,
    scales: [scales],
    offsets: zeros && zeroOffsets(scales, checkScales(`${where}: zeros`, zeros, shape), shape, middle - more),
    columnOrder,
    writeRow: (row, out) => {
      const first = row * cols;
      if (more === 0) out.set(codes.subarray(first, first + cols));
      else for (let col = 0; col < cols; col++) out[col] = (codes[first + col] as number) + more;
    },
    level: (code) => code - middle,
  });
}
