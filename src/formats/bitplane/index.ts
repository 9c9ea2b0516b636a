import type { FloatTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, type Settled } from "../../lib/options.ts";
import { callAsync, callNow, PROGRESS_NAMES, type ProgressOptions, type Steps } from "../../lib/progress.ts";
import { type BitplaneTypes, typesArgument } from "../../matrix/bits.ts";
import { makeMatrix } from "../../matrix/make.ts";
import {
  COMMON_NAMES,
  type CommonOptions,
  checkCodes,
  checkScales,
  checkShape,
  type Shape,
  zeroOffsets,
} from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { writeQuads } from "./bytes.ts";
import { type BitplaneCodes, bitplaneCodes, checkTypes } from "./quantize.ts";
import { bitplaneReader } from "./reader.ts";

/**
 * Weights of 1 to 8 bits met by activations of 1 to 8 bits, both as bit planes (ABQ-LLM, Zeng et al. 2024). The cost is that of
 * bits · activationBits one-bit products. The activation contract is "bits" (docs/numerics.md).
 */
export interface BitplaneOptions extends CommonOptions, BitplaneTypes {}

/** w = scale · (value - zero), where `encoding` says what the value of a code is. */
export interface BitplanePackOptions extends BitplaneOptions {
  /** [rows, cols], 0 to 2^bits - 1 */
  readonly codes: Uint8Array;
  /** [1], [rows] or [rows, ceil(cols / groupSize)] */
  readonly scales: FloatTensor;
  /** Zero points, whole or not: the same lengths. Default: 0, which costs nothing. */
  readonly zeros?: FloatTensor;
}

export interface BitplaneQuantizeOptions extends BitplaneOptions, ProgressOptions {}

const NAMES: OptionNames<BitplaneOptions> = {
  ...COMMON_NAMES,
  bits: [],
  encoding: [],
  activationBits: [],
  activationEncoding: [],
};
const PACK: OptionNames<BitplanePackOptions> = { ...NAMES, codes: [], scales: [], zeros: [] };
const QUANTIZE: OptionNames<BitplaneQuantizeOptions> = { ...NAMES, ...PROGRESS_NAMES };

/**
 * Round to nearest within the range of each group: "bipolar" and "signed" from -max |w| to max |w| (one bit: sign and mean
 * |w|), "unsigned" from min(0, w) to max(0, w).
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w; the reason of an aborted signal;
 * OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: FloatTensor, options: BitplaneQuantizeOptions): Matrix {
  return callNow("bitplane.quantize", QUANTIZE, quantized, lb, w, options);
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(lb: Lowbit, w: FloatTensor, options: BitplaneQuantizeOptions): Promise<Matrix> {
  return callAsync("bitplane.quantizeAsync", QUANTIZE, quantized, lb, w, options);
}

function* quantized(
  where: string,
  lb: Lowbit,
  w: Float32Array,
  options: Settled<BitplaneQuantizeOptions>,
): Steps<Matrix> {
  const { shape, types } = checkBitplane(where, options);
  return fromCodes(where, lb, shape, types, yield* bitplaneCodes(where, w, shape, types));
}

/**
 * A matrix of codes that are there already.
 *
 * @throws TypeError, RangeError for a wrong argument, a code of too many bits (its index is named), NaN or Infinity in
 * scales or zeros; OutOfMemoryError
 */
export function pack(lb: Lowbit, given: BitplanePackOptions): Matrix {
  const where = "bitplane.pack";
  const options = readOptions(where, given, PACK);
  const { shape, types } = checkBitplane(where, options);
  const { codes, scales, zeros } = options;
  checkCodes(`${where}: codes`, codes, shape, 2 ** types.bits - 1);
  checkScales(`${where}: scales`, scales, shape);
  if (zeros !== undefined) checkScales(`${where}: zeros`, zeros, shape);
  const offsets = zeros?.some((zero) => zero !== 0) ? zeroOffsets(scales, zeros, shape, 0) : undefined;
  return fromCodes(where, lb, shape, types, { codes, scales, offsets });
}

function checkBitplane(where: string, options: BitplaneOptions): { shape: Shape; types: Required<BitplaneTypes> } {
  const shape = checkShape(where, "bitplane", options);
  return { shape, types: checkTypes(where, options) };
}

function fromCodes(
  where: string,
  lb: Lowbit,
  shape: Shape,
  types: Required<BitplaneTypes>,
  { codes, scales, offsets }: BitplaneCodes,
): Matrix {
  const { bits, activationBits } = types;
  return makeMatrix(where, lb, {
    label: `bitplane${bits}x${activationBits}`,
    format: "bitplane",
    shape,
    scales: [scales],
    offsets,
    types: typesArgument(types),
    write: (bytes, layout) => writeQuads(bytes, codes, shape.rows, bits, layout),
    reader: bitplaneReader,
  });
}
