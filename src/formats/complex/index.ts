import { checkChoice, rangeError } from "../../lib/check.ts";
import type { ComplexArray } from "../../lib/complex-array.ts";
import type { ComplexTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, type Settled } from "../../lib/options.ts";
import { callAsync, callNow, PROGRESS_NAMES, type ProgressOptions, type Steps } from "../../lib/progress.ts";
import { type ComplexMatrix, type Conjugate, HalvesMatrix } from "../../matrix/complex.ts";
import { COMMON_NAMES, type CommonOptions, checkShape, IMPORT_NAMES, type Shape } from "../../matrix/shape.ts";
import type { Lowbit } from "../../runtime/features.ts";
import * as ifairy from "./ifairy.ts";
import { checkPlane, makeComplexPlanes } from "./planes.ts";
import { COMPLEX_SCALES, type ComplexCodes, type ComplexScale, phaseCodes, type Ties } from "./quantize.ts";

/**
 * Complex weights {±1, ±i}: w = s · i^code, where s is s_re for codes 0 and 2, s_im for 1 and 3 (iFairy,
 * arXiv:2508.05571). Two bits a complex weight, and no multiplication: assembly/pair/README.md.
 */
export interface ComplexOptions extends CommonOptions {
  /** Which factor is conjugated: y = W x ("none", default), W conj(x) ("x": iFairy's layers) or conj(W) x ("w"). */
  readonly conjugate?: Conjugate;
}

export interface ComplexPackOptions extends ComplexOptions {
  /** [rows, cols] of 0 to 3 */
  readonly codes: Uint8Array;
  /**
   * s_re and s_im, of equal length: one a matrix [1] or a group of columns [ceil(cols / groupSize)], which all rows share;
   * or [rows], [rows, ceil(cols / groupSize)]. Not 0.
   */
  readonly scales: ComplexTensor;
}

export interface ComplexQuantizeOptions extends ComplexOptions, ProgressOptions {
  /**
   * What has a pair of scales: the matrix (default, as published); each row, and groupSize columns of it; or a tile of
   * groupSize columns of all rows.
   */
  readonly scale?: ComplexScale;
  /** Where a weight at ±45 or ±135 degrees goes. Default "sector". */
  readonly ties?: Ties;
}

const NAMES: OptionNames<ComplexOptions> = { ...COMMON_NAMES, conjugate: [] };
const PACK: OptionNames<ComplexPackOptions> = { ...NAMES, codes: [], scales: [] };
const QUANTIZE: OptionNames<ComplexQuantizeOptions> = { ...NAMES, ...PROGRESS_NAMES, scale: [], ties: [] };

const CONJUGATES = ["none", "x", "w"] as const;

/**
 * PhaseQuant (iFairy, section 3.2): the nearest of 1, i, -1 and -i by angle; s_re is the mean |re| of the weights that
 * became real, s_im the mean |im| of the others. Without any but
 * zeros it is 1e-5, or less if no weight reaches 1.
 *
 * @param w re and im [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w; the reason of an aborted signal;
 * OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: ComplexTensor, options: ComplexQuantizeOptions): ComplexMatrix {
  return callNow("complex.quantize", QUANTIZE, quantized, lb, w, options);
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(
  lb: Lowbit,
  w: ComplexTensor,
  options: ComplexQuantizeOptions,
): Promise<ComplexMatrix> {
  return callAsync("complex.quantizeAsync", QUANTIZE, quantized, lb, w, options);
}

function* quantized(
  where: string,
  lb: Lowbit,
  w: ComplexArray,
  options: Settled<ComplexQuantizeOptions>,
): Steps<ComplexMatrix> {
  const { shape, conjugate } = check(where, options);
  const { scale = "matrix", ties, groupSize } = options;
  checkChoice(`${where}: scale`, scale, COMPLEX_SCALES);
  if (scale === "tile" && groupSize === undefined) {
    throw rangeError(`${where}: groupSize`, 'the columns of a tile for scale "tile"', "none");
  }
  if (scale === "matrix" && groupSize !== undefined) {
    throw rangeError(`${where}: groupSize`, 'none for scale "matrix" ("tile" or "row" have groups)', groupSize);
  }
  const codes = yield* phaseCodes(where, w, shape, { scale, ...(ties !== undefined && { ties }) });
  return fromCodes(where, lb, shape, conjugate, codes);
}

/**
 * A matrix of codes that are there already.
 *
 * @throws TypeError, RangeError for a wrong argument, a code over 3 (its index is named), a scale that is 0, NaN or
 * Infinity; OutOfMemoryError
 */
export function pack(lb: Lowbit, given: ComplexPackOptions): ComplexMatrix {
  const where = "complex.pack";
  const options = readOptions(where, given, PACK);
  const { shape, conjugate } = check(where, options);
  return fromCodes(where, lb, shape, conjugate, checkPlane(`${where}: `, options, shape));
}

/** `weight_real` and `weight_imag` of an iFairy checkpoint: bfloat16 as published, or float32. */
export interface IfairyMasterOptions
  extends ifairy.IfairyMaster,
    Omit<ComplexQuantizeOptions, "rows" | "cols" | "groupSize" | "scale"> {}

const MASTER: OptionNames<IfairyMasterOptions> = {
  ...ifairy.MASTER_NAMES,
  ...IMPORT_NAMES,
  ...PROGRESS_NAMES,
  conjugate: [],
  ties: [],
};

/**
 * A layer of an iFairy checkpoint, quantised as the model does when it is loaded.
 *
 * @throws as quantize
 */
export function fromIfairy(lb: Lowbit, options: IfairyMasterOptions): ComplexMatrix {
  return callNow("complex.fromIfairy", MASTER, masterQuantized, lb, undefined, options);
}

function* masterQuantized(
  where: string,
  lb: Lowbit,
  _: undefined,
  options: Settled<IfairyMasterOptions>,
): Steps<ComplexMatrix> {
  const { weightReal, weightImag, ...rest } = options;
  const w = ifairy.fromMaster(where, { rows: rest.rows, cols: rest.cols, weightReal, weightImag });
  return yield* quantized(where, lb, w, imported(rest));
}

/** Blocks of the llama.cpp port of iFairy: 68 bytes for 256 weights. */
export interface IfairyBlocksOptions extends ifairy.IfairyBlocks, Omit<ComplexOptions, "rows" | "cols" | "groupSize"> {}

const BLOCKS: OptionNames<IfairyBlocksOptions> = { ...ifairy.BLOCK_NAMES, ...IMPORT_NAMES, conjugate: [] };

/**
 * A tensor of the llama.cpp port of iFairy.
 *
 * @throws TypeError, RangeError for a wrong argument, a scale that is 0, NaN or infinite (its block is named);
 * OutOfMemoryError
 */
export function fromIfairyBlocks(lb: Lowbit, given: IfairyBlocksOptions): ComplexMatrix {
  const where = "complex.fromIfairyBlocks";
  const options = readOptions(where, given, BLOCKS);
  const { groupSize, codes, scales } = ifairy.fromBlocks(where, options);
  const { shape, conjugate } = check(where, { ...imported(options), groupSize });
  return fromCodes(where, lb, shape, conjugate, { codes, scales });
}

// The model multiplies W conj(x).
function imported<T extends { readonly conjugate?: Conjugate }>(options: T): T & { readonly conjugate: Conjugate } {
  const { conjugate = "x" } = options;
  return { ...options, conjugate };
}

function check(where: string, options: ComplexOptions): { shape: Shape; conjugate: Conjugate } {
  const shape = checkShape(where, "complex", options);
  const { conjugate = "none" } = options;
  return { shape, conjugate: checkChoice(`${where}: conjugate`, conjugate, CONJUGATES) };
}

function fromCodes(where: string, lb: Lowbit, shape: Shape, conjugate: Conjugate, plane: ComplexCodes): ComplexMatrix {
  return new HalvesMatrix(makeComplexPlanes(where, lb, "complex", shape, [{ ...plane, conjugate }], false), conjugate);
}
