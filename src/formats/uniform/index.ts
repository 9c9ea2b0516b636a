import type { UniformBits } from "../../kernels/types.ts";
import { checkChoice, typeError } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, type Settled } from "../../lib/options.ts";
import { callAsync, callNow, PROGRESS_NAMES, type ProgressOptions, type Steps } from "../../lib/progress.ts";
import {
  COMMON_NAMES,
  type CommonOptions,
  checkCodes,
  checkScales,
  checkShape,
  expandValues,
  IMPORT_NAMES,
  type ImportOptions,
  type Shape,
} from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import { QUANTIZER_MEMBERS } from "../../numeric/gptq.ts";
import { groupsOf } from "../../numeric/shape.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { pack as packDense } from "../dense/index.ts";
import type { ImportedUniform } from "../shared/tensors.ts";
import { makeUniform, storedUniformBits } from "../shared/uniform-matrix.ts";
import { AWQ_NAMES, type AwqTensors, importAwq } from "./from-awq.ts";
import { COMPRESSED_NAMES, type CompressedTensors, importCompressed } from "./from-compressed.ts";
import { GPTQ_NAMES, type GptqTensors, importGptq } from "./from-gptq.ts";
import { groupedHqq, HQQ_NAMES, type HqqTensors, hqqNumbers, readHqq } from "./from-hqq.ts";
import { importMatMulNBits, MATMULNBITS_NAMES, type MatMulNBitsTensors } from "./from-matmulnbits.ts";
import { importMlx, MLX_NAMES, type MlxTensors } from "./from-mlx.ts";
import { sliceCodes } from "./matryoshka.ts";
import { checkUniformBits, defaultSearch, type UniformSearch, uniformInParts } from "./quantize.ts";

export type { AwqTensors } from "./from-awq.ts";
export type { CompressedTensors } from "./from-compressed.ts";
export type { GptqTensors } from "./from-gptq.ts";
export type { HqqTensors } from "./from-hqq.ts";
export type { MatMulNBitsTensors } from "./from-matmulnbits.ts";
export type { MlxTensors } from "./from-mlx.ts";
export type { UniformSearch } from "./quantize.ts";

/**
 * w = scale · (code - zero), a scale and a zero point a row or a group of columns. Bits: 2, 3, 4, 5, 6 or 8. groupSize is
 * any multiple of 8; where it is none of 32 for 3 and 5 bits, or of 16 for 2 and 6, codes take the room of more bits.
 */
export interface UniformPackOptions extends CommonOptions {
  readonly bits: UniformBits;
  /** [rows, cols], 0..2^bits - 1 */
  readonly codes: Uint8Array;
  /** [1], [rows] or [rows, ceil(cols / groupSize)] */
  readonly scales: FloatTensor;
  /** Zero points, whole or not: the same lengths. Default: 2^(bits - 1), which costs nothing. */
  readonly zeros?: FloatTensor;
}

export interface UniformQuantizeOptions extends CommonOptions, ProgressOptions {
  readonly bits: UniformBits;
  /** Every zero point is 2^(bits - 1). Default true. */
  readonly symmetric?: boolean;
  /**
   * How scales are found: "minmax" (default from 4 bits), "mse" (least squares over clipping ratios; default of 2 and 3
   * bits) or "absmean".
   */
  readonly search?: UniformSearch;
}

const BITS = ["w_bit", "nbits"] as const;
const PACK: OptionNames<UniformPackOptions> = { ...COMMON_NAMES, bits: BITS, codes: [], scales: [], zeros: [] };
const QUANTIZE: OptionNames<UniformQuantizeOptions> = {
  ...COMMON_NAMES,
  ...PROGRESS_NAMES,
  bits: BITS,
  symmetric: ["sym"],
  search: [],
};

/**
 * Round to nearest, with scales from the range, the least square error, or the mean magnitude of each group.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w; the reason of an aborted signal;
 * OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: FloatTensor, options: UniformQuantizeOptions): Matrix {
  return callNow("uniform.quantize", QUANTIZE, quantized, lb, w, options);
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(lb: Lowbit, w: FloatTensor, options: UniformQuantizeOptions): Promise<Matrix> {
  return callAsync("uniform.quantizeAsync", QUANTIZE, quantized, lb, w, options);
}

function* quantized(
  where: string,
  lb: Lowbit,
  w: Float32Array,
  options: Settled<UniformQuantizeOptions>,
): Steps<Matrix> {
  const shape = checkUniform(where, options);
  const { bits, symmetric = true, search = defaultSearch(bits) } = options;
  if (typeof symmetric !== "boolean") throw typeError(`${where}: symmetric`, "a boolean", symmetric);
  return makeUniform(where, lb, shape, bits, yield* uniformInParts(where, w, shape, { bits, symmetric, search }));
}

/**
 * A matrix of codes that are there already.
 *
 * @throws TypeError, RangeError for a wrong argument, a code of too many bits (its index is named), NaN or Infinity in
 * scales or zeros; OutOfMemoryError
 */
export function pack(lb: Lowbit, given: UniformPackOptions): Matrix {
  const where = "uniform.pack";
  const options = readOptions(where, given, PACK, "options", QUANTIZER_MEMBERS);
  const shape = checkUniform(where, options);
  const { bits, scales, zeros } = options;
  const codes = checkCodes(`${where}: codes`, options.codes, shape, 2 ** bits - 1);
  return makeUniform(where, lb, shape, bits, { codes, scales, ...(zeros !== undefined && { zeros }) });
}

/**
 * A layer of a GPTQ checkpoint (AutoGPTQ, GPTQModel), act-order included: columns are stored by group, and x is reordered
 * as it is read.
 *
 * @throws TypeError, RangeError for tensors that do not fit each other; OutOfMemoryError
 */
export function fromGptq(lb: Lowbit, given: GptqTensors & ImportOptions): Matrix {
  const where = "uniform.fromGptq";
  const options = readOptions<GptqTensors & ImportOptions>(where, given, { ...GPTQ_NAMES, ...IMPORT_NAMES });
  return fromImport(where, lb, importGptq(where, options), options);
}

/** A layer of an AutoAWQ checkpoint ("gemm" layout, 4 bits). */
export function fromAwq(lb: Lowbit, given: AwqTensors & ImportOptions): Matrix {
  const where = "uniform.fromAwq";
  const options = readOptions<AwqTensors & ImportOptions>(where, given, { ...AWQ_NAMES, ...IMPORT_NAMES });
  return fromImport(where, lb, importAwq(where, options), options);
}

/**
 * A layer of compressed-tensors, format "pack-quantized", in the older and the newer packing, with its `weight_g_idx`.
 *
 * @throws TypeError, RangeError for tensors that do not fit each other; OutOfMemoryError
 */
export function fromCompressed(lb: Lowbit, given: CompressedTensors & ImportOptions): Matrix {
  const where = "uniform.fromCompressed";
  const options = readOptions<CompressedTensors & ImportOptions>(where, given, {
    ...COMPRESSED_NAMES,
    ...IMPORT_NAMES,
  });
  return fromImport(where, lb, importCompressed(where, options), options);
}

/**
 * A layer of an HQQ checkpoint (Badri and Shaji 2023). With axis 0 every column has scales of its own, which no layout of codes here
 * has room for: the matrix is then `dense` float32, exactly what the codes stand for, with activation "f32", the only one.
 *
 * @throws TypeError, RangeError for tensors that do not fit each other; OutOfMemoryError
 */
export function fromHqq(lb: Lowbit, given: HqqTensors & ImportOptions): Matrix {
  const where = "uniform.fromHqq";
  const options = readOptions<HqqTensors & ImportOptions>(where, given, { ...HQQ_NAMES, ...IMPORT_NAMES });
  const hqq = readHqq(where, options);
  if (hqq.axis === 1) return fromImport(where, lb, groupedHqq(where, hqq), options);
  const { rows, cols } = hqq;
  if (options.activation !== undefined) checkChoice(`${where}: activation (axis 0)`, options.activation, ["f32"]);
  return packDense(lb, { rows, cols, weights: hqqNumbers(hqq) });
}

/**
 * The inputs of a MatMulNBits node of ONNX Runtime.
 *
 * @throws TypeError, RangeError for tensors that do not fit each other; OutOfMemoryError
 */
export function fromMatMulNBits(lb: Lowbit, given: MatMulNBitsTensors & ImportOptions): Matrix {
  const where = "uniform.fromMatMulNBits";
  const options = readOptions<MatMulNBitsTensors & ImportOptions>(where, given, {
    ...MATMULNBITS_NAMES,
    ...IMPORT_NAMES,
  });
  return fromImport(where, lb, importMatMulNBits(where, options), options);
}

/**
 * A layer of an MLX checkpoint, mode "affine": w = scale · code + bias.
 *
 * @throws TypeError, RangeError for tensors that do not fit each other; OutOfMemoryError
 */
export function fromMlx(lb: Lowbit, given: MlxTensors & ImportOptions): Matrix {
  const where = "uniform.fromMlx";
  const options = readOptions<MlxTensors & ImportOptions>(where, given, { ...MLX_NAMES, ...IMPORT_NAMES });
  return fromImport(where, lb, importMlx(where, options), options);
}

/** Codes with zero points, or with offsets. */
type Imported = Pick<ImportedUniform, "rows" | "cols" | "groupSize" | "bits" | "codes" | "scales"> &
  Partial<Pick<ImportedUniform, "zeros" | "symmetric">> & {
    readonly columnOrder?: Uint32Array;
    readonly offsets?: Float32Array;
  };

function fromImport(where: string, lb: Lowbit, imported: Imported, { activation, kernel }: ImportOptions): Matrix {
  const { rows, cols, groupSize, codes, scales, zeros, symmetric, columnOrder, offsets } = imported;
  const bits = checkUniformBits(`${where}: bits`, imported.bits);
  const shape = checkUniform(where, {
    rows,
    cols,
    groupSize,
    bits,
    ...(activation !== undefined && { activation }),
    ...(kernel !== undefined && { kernel }),
  });
  return makeUniform(
    where,
    lb,
    shape,
    bits,
    {
      ...{ codes, scales },
      ...(!symmetric && zeros !== undefined && { zeros }),
      ...(offsets !== undefined && { offsets }),
    },
    columnOrder,
  );
}

/** 8-bit codes of which a matrix of fewer bits is wanted. */
export interface UniformSliceOptions extends Omit<UniformPackOptions, "bits"> {
  /** Bits to keep: 1 to 8. */
  readonly bits: number;
  /** Keep the level 2^bits that rounding up reaches, in codes of one bit more. Default false: it is clipped. */
  readonly extraPrecision?: boolean;
}

const SLICE: OptionNames<UniformSliceOptions> = { ...PACK, extraPrecision: [] };

/**
 * The highest bits of 8-bit codes (MatQuant, Nair et al. 2025, arXiv:2502.06786): one checkpoint, any number of bits.
 *
 * @throws TypeError, RangeError for a wrong argument; OutOfMemoryError
 */
export function slice(lb: Lowbit, given: UniformSliceOptions): Matrix {
  const where = "uniform.slice";
  const options = readOptions(where, given, SLICE);
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
  return makeUniform(where, lb, checkUniform(where, { ...options, bits }), bits, sliced);
}

// Bits decide the layout, so they come first.
function checkUniform(where: string, options: CommonOptions & { readonly bits: UniformBits }): Shape {
  const bits = checkUniformBits(`${where}: bits`, options.bits);
  return checkShape(where, `uniform${storedUniformBits(bits, options.groupSize, options.cols)}`, options);
}
