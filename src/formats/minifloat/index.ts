import type { FormatName } from "../../kernels/types.ts";
import { checkChoice, rangeError, typeError } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, type Settled } from "../../lib/options.ts";
import { callAsync, callNow, PROGRESS_NAMES, type ProgressOptions, type Steps } from "../../lib/progress.ts";
import {
  COMMON_NAMES,
  type CommonOptions,
  checkCodes,
  checkScales,
  checkShape,
  IMPORT_NAMES,
  type ImportOptions,
  type Shape,
} from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { tableReader } from "../codebook/reader.ts";
import { makeWords } from "../shared/word-matrix.ts";
import { type Fp8Tensors, importFp8 } from "./importers.ts";
import { type MinifloatCodes, minifloatInParts, type ScaleType } from "./quantize.ts";
import { minifloatReader } from "./reader.ts";
import { formatFor, tableFor, unitFor } from "./store.ts";
import { MINIFLOATS, type Minifloat, type MinifloatType, typeOf } from "./types.ts";

export type { Fp8Tensors } from "./importers.ts";

export type { ScaleType } from "./quantize.ts";
export type { Minifloat } from "./types.ts";

/**
 * w = scale · v, v a number of 4 to 8 bits: a sign, an exponent e and a mantissa m,
 *
 *     e = 0: m / 2^M · 2^(1 - bias),   otherwise (1 + m / 2^M) · 2^(e - bias)
 *
 * with the bias of the OCP formats (Microscaling Formats 1.0; 8-bit Floating Point 1.0): 1 of e1 and e2, 3 of e3, 7 of e4, 15 of e5.
 * No type of up to 6 bits has infinities or NaN; those of e4m3 and e5m2 are refused.
 *
 * Activations: "int8" (exact) and "f32"; e5m2 has "f32" alone, as its numbers are no integers of 32 bits.
 */
export interface MinifloatPackOptions extends CommonOptions {
  readonly type: Minifloat;
  /** [rows, cols]: a code a byte, sign in the highest of its bits. */
  readonly codes: Uint8Array;
  /** [1], [rows] or [rows, ceil(cols / groupSize)] */
  readonly scales: FloatTensor;
  /** Another bias, whole or not: every number is 2^(usual - bias) as large. */
  readonly bias?: number;
}

export interface MinifloatQuantizeOptions extends CommonOptions, ProgressOptions {
  readonly type: Minifloat;
  /**
   * What scales are: "float32" (default), rounded to "float16", or the powers of two of "e8m0", with groups of 32 MXFP6 and MXFP8.
   */
  readonly scaleType?: ScaleType;
  /** "search": the bias of each group by least square error (LLM-FP4, FP4DiT), which is a scale here. Default: the usual. */
  readonly bias?: "search";
}

const PACK: OptionNames<MinifloatPackOptions> = {
  ...COMMON_NAMES,
  type: [],
  codes: [],
  scales: ["scale"],
  bias: [],
};
const QUANTIZE: OptionNames<MinifloatQuantizeOptions> = {
  ...COMMON_NAMES,
  ...PROGRESS_NAMES,
  type: [],
  scaleType: [],
  bias: [],
};
const SCALE_TYPES = ["float32", "float16", "e8m0"] as const;

function checkMinifloat(where: string, name: unknown, options: CommonOptions): { type: MinifloatType; shape: Shape } {
  const type = typeOf(checkChoice(`${where}: type`, name, MINIFLOATS));
  const { activation } = options;
  if (type.bits < 8) return { type, shape: checkShape(where, formatFor(type, "int8"), options) };
  const possible = type.name === "e4m3" ? (["int8", "f32"] as const) : (["f32"] as const);
  const chosen = activation === undefined ? possible[0] : checkChoice(`${where}: activation`, activation, possible);
  return { type, shape: checkShape(where, formatFor(type, chosen), { ...options, activation: chosen }) };
}

/**
 * Nearest numbers, with the scale of each group from its largest weight.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w; the reason of an aborted signal; OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: FloatTensor, options: MinifloatQuantizeOptions): Matrix {
  return callNow("minifloat.quantize", QUANTIZE, quantized, lb, w, options);
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(lb: Lowbit, w: FloatTensor, options: MinifloatQuantizeOptions): Promise<Matrix> {
  return callAsync("minifloat.quantizeAsync", QUANTIZE, quantized, lb, w, options);
}

function* quantized(
  where: string,
  lb: Lowbit,
  w: Float32Array,
  options: Settled<MinifloatQuantizeOptions>,
): Steps<Matrix> {
  const { type, shape } = checkMinifloat(where, options.type, options);
  const { scaleType = "float32", bias } = options;
  checkChoice(`${where}: scaleType`, scaleType, SCALE_TYPES);
  if (bias !== undefined) checkChoice(`${where}: bias`, bias, ["search"]);
  const unit = unitFor(type, formatFor(type, shape.activation));
  const fit = { type, scaleType, unit, searchBias: bias === "search" };
  return fromCodes(where, lb, shape, type, yield* minifloatInParts(where, w, shape, fit));
}

/**
 * A matrix of codes that are there already.
 *
 * @throws TypeError, RangeError for a wrong argument, a code of too many bits or one that is NaN or infinite (its index is named),
 * NaN or Infinity in scales; OutOfMemoryError
 */
export function pack(lb: Lowbit, options: MinifloatPackOptions): Matrix {
  const where = "minifloat.pack";
  const given = readOptions(where, options, PACK);
  const { type, shape } = checkMinifloat(where, given.type, given);
  const { bias = type.bias } = given;
  if (typeof bias !== "number") throw typeError(`${where}: bias`, "a number", bias);
  if (!(Math.abs(bias) <= 1000)) throw rangeError(`${where}: bias`, "a number from -1000 to 1000", bias);
  const codes = checkCodes(`${where}: codes`, given.codes, shape, 2 ** type.bits - 1);
  checkNumbers(`${where}: codes`, codes, type);
  const scales = checkScales(`${where}: scales`, given.scales, shape);
  const factor = bias === type.bias ? 1 : powerOfTwo(type.bias - bias);
  const biased = factor === 1 ? scales : scales.map((scale) => scale * factor);
  const wrong = biased.findIndex((scale) => !Number.isFinite(scale));
  if (wrong >= 0) throw rangeError(`${where}: bias`, "scales that stay finite", `${bias}, with scale ${scales[wrong]}`);
  return fromCodes(where, lb, shape, type, { codes, scales: biased });
}

export interface Fp8Options extends Fp8Tensors, ImportOptions {
  /** Default "e4m3", torch's float8_e4m3fn; "e5m2" is float8_e5m2. */
  readonly type?: "e4m3" | "e5m2";
}

const FP8: OptionNames<Fp8Options> = {
  ...IMPORT_NAMES,
  rows: [],
  cols: [],
  weight: [],
  scale: ["weight_scale_inv", "weight_scale", "scales"],
  block: ["weight_block_size"],
  type: [],
};

/**
 * A layer of an FP8 checkpoint: codes of a byte and one scale, one a row, or one a block of 128 x 128 (DeepSeek-V3's
 * `weight_scale_inv`, which is multiplied by).
 *
 * @throws TypeError, RangeError for tensors that do not fit each other, or codes or scales that are no numbers; OutOfMemoryError
 */
export function fromFp8(lb: Lowbit, options: Fp8Options): Matrix {
  const where = "minifloat.fromFp8";
  const given = readOptions(where, options, FP8);
  const name = given.type === undefined ? "e4m3" : checkChoice(`${where}: type`, given.type, ["e4m3", "e5m2"]);
  const { rows, cols, groupSize, scales, codes } = importFp8(where, given);
  const { activation, kernel } = given;
  const { type, shape } = checkMinifloat(where, name, {
    ...{ rows, cols, groupSize },
    ...(activation !== undefined && { activation }),
    ...(kernel !== undefined && { kernel }),
  });
  checkNumbers(`${where}: weight`, codes, type);
  return fromCodes(where, lb, shape, type, { codes, scales: checkScales(`${where}: scale`, scales, shape) });
}

/** Refuses codes that are no numbers. */
function checkNumbers(where: string, codes: Uint8Array, type: MinifloatType): void {
  if (type.bits < 8) return;
  const bad = codes.findIndex((code) => (code & 127) >= type.magnitudes);
  if (bad >= 0)
    throw rangeError(where, `numbers (below ${type.magnitudes} and its sign)`, `${codes[bad]} at index ${bad}`);
}

/** 2^x from whole powers and square roots, so that it is the same everywhere; x has 32 bits of fraction at most. */
function powerOfTwo(x: number): number {
  const whole = Math.floor(x);
  let rest = x - whole;
  let power = 1;
  for (let i = 0, root = 2; i < 32 && rest > 0; i++) {
    root = Math.sqrt(root);
    rest *= 2;
    if (rest >= 1) {
      power *= root;
      rest -= 1;
    }
  }
  return power * 2 ** whole;
}

function fromCodes(where: string, lb: Lowbit, shape: Shape, type: MinifloatType, given: MinifloatCodes): Matrix {
  const { cols, activation } = shape;
  const { codes, scales } = given;
  const format: FormatName = formatFor(type, activation);
  const unit = unitFor(type, format);
  const table = tableFor(type, format);
  return makeWords(where, lb, {
    label: `minifloat ${type.name}`,
    format,
    shape,
    scales: [unit === 1 ? scales : scales.map((scale) => scale * unit)],
    ...(table && { tables: table }),
    writeRow: (row, out) => out.set(codes.subarray(row * cols, (row + 1) * cols)),
    reader: type.bits === 4 ? tableReader : minifloatReader,
  });
}
