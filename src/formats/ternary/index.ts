import { checkArray, checkLength, rangeError, typeError } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, type Settled } from "../../lib/options.ts";
import { callAsync, callNow, PROGRESS_NAMES, type ProgressOptions, type Steps } from "../../lib/progress.ts";
import {
  absoluteMeans,
  COMMON_NAMES,
  type CommonOptions,
  checkScales,
  checkShape,
  IMPORT_NAMES,
  type ImportOptions,
  type Shape,
} from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import { float32Scale } from "../../numeric/scale.ts";
import { checkWeightArray, groupsOf } from "../../numeric/shape.ts";
import type { Lowbit } from "../../runtime/features.ts";
import type { CodeWriter } from "../shared/words.ts";
import { type BitnetTensors, type ImportedTernary, importBitnet } from "./from-bitnet.ts";
import { type I2sTensors, importI2s } from "./from-i2s.ts";
import { makeTernary } from "./matrix.ts";

export type { BitnetTensors } from "./from-bitnet.ts";
export type { I2sTensors } from "./from-i2s.ts";

/**
 * w = scale · {-1, 0, 1} (BitNet b1.58, Ma et al. 2024), stored as codes of 2 bits, for activation "lut8" as two bit planes.
 * groupSize is a multiple of 16, for "lut8" of 8.
 */
export interface TernaryPackOptions extends CommonOptions {
  /**
   * Int8Array [rows, cols] of -1, 0 and 1, or Uint8Array [rows, ceil(cols / 4)]: column 4b + j in bits 2j and 2j + 1 of
   * byte b, as w + 1. Published tensors have as many bytes in other orders: `fromBitnet` and `fromI2s` read those.
   */
  readonly codes: Int8Array | Uint8Array;
  /** [1], [rows] or [rows, ceil(cols / groupSize)] */
  readonly scales: FloatTensor;
}

export interface TernaryQuantizeOptions extends CommonOptions, ProgressOptions {
  /** What shares a scale: the matrix (default), each row, or this number as the scale of all. Not with groupSize. */
  readonly scale?: "matrix" | "row" | number;
}

const PACK: OptionNames<TernaryPackOptions> = { ...COMMON_NAMES, codes: [], scales: [] };
const QUANTIZE: OptionNames<TernaryQuantizeOptions> = { ...COMMON_NAMES, ...PROGRESS_NAMES, scale: [] };

// The published quantiser does not let a scale fall below this; here it is the scale of zeros alone, so that weights may be tiny.
const ZEROS_SCALE = 1e-5;
const scaleOf = (mean: number): number => (mean === 0 ? ZEROS_SCALE : float32Scale(mean, 1));

/**
 * BitNet b1.58 absmean: scale = mean |w|, codes = round(w / scale) half to even, clipped to -1..1.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w; the reason of an aborted signal;
 * OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: FloatTensor, options: TernaryQuantizeOptions): Matrix {
  return callNow("ternary.quantize", QUANTIZE, quantized, lb, w, options);
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(lb: Lowbit, w: FloatTensor, options: TernaryQuantizeOptions): Promise<Matrix> {
  return callAsync("ternary.quantizeAsync", QUANTIZE, quantized, lb, w, options);
}

function* quantized(
  where: string,
  lb: Lowbit,
  given: Float32Array,
  options: Settled<TernaryQuantizeOptions>,
): Steps<Matrix> {
  const shape = checkShape(where, "ternary", options);
  const { cols, groupSize } = shape;
  const w = checkWeightArray(where, given, shape);
  const scales = yield* absmeanScales(where, w, shape, options);
  const groups = groupsOf(shape);
  return makeTernary(where, lb, "ternary", shape, scales, (row, out) => {
    const start = row * cols;
    for (let col = 0; col < cols; col++) {
      const scale = scales.length === 1 ? scales[0] : scales[row * groups + Math.floor(col / groupSize)];
      // round(v) half to even, clipped, is > 0 from above 1/2 on, and < 0 from below -1/2 on.
      const v = (w[start + col] as number) / (scale as number);
      out[col] = v > 0.5 ? 3 : v < -0.5 ? 1 : 2;
    }
  });
}

function* absmeanScales(
  where: string,
  w: Float32Array,
  shape: Shape,
  options: Settled<TernaryQuantizeOptions>,
): Steps<Float32Array> {
  const { scale } = options;
  if (scale !== undefined && options.groupSize !== undefined) {
    throw rangeError(`${where}: scale`, "no scale together with groupSize", String(scale));
  }
  if (typeof scale === "number") {
    const value = Math.fround(scale);
    if (!(value > 0 && value < Number.POSITIVE_INFINITY)) {
      throw rangeError(`${where}: scale`, "a positive, finite float32", String(scale));
    }
    yield* absoluteMeans(`${where}: w`, w, shape);
    return Float32Array.of(value);
  }
  if (scale !== undefined && scale !== "matrix" && scale !== "row") {
    const expected = '"matrix", "row" or a number';
    if (typeof scale === "string") throw rangeError(`${where}: scale`, expected, JSON.stringify(scale));
    throw typeError(`${where}: scale`, expected, scale);
  }
  const means = yield* absoluteMeans(`${where}: w`, w, shape);
  if (scale !== "row" && options.groupSize === undefined) {
    // All rows are equally long, so the mean of their means is that of the matrix.
    const mean = means.reduce((sum, v) => sum + v, 0) / means.length;
    return Float32Array.of(scaleOf(mean));
  }
  return Float32Array.from(means, scaleOf);
}

/**
 * A matrix of codes that are there already.
 *
 * @throws TypeError, RangeError for a wrong argument, a code that is not -1, 0 or 1 (its index is named), NaN or
 * Infinity in scales; OutOfMemoryError
 */
export function pack(lb: Lowbit, given: TernaryPackOptions): Matrix {
  const where = "ternary.pack";
  const options = readOptions(where, given, PACK);
  const shape = checkShape(where, "ternary", options);
  const writeRow = codeRows(`${where}: codes`, options.codes, shape.rows, shape.cols);
  return makeTernary(where, lb, "ternary", shape, checkScales(`${where}: scales`, options.scales, shape), writeRow);
}

const BITNET: OptionNames<BitnetTensors & ImportOptions> = {
  ...IMPORT_NAMES,
  rows: [],
  cols: [],
  packed: [],
  weight: [],
  weightScale: ["weight_scale"],
  linearClass: ["linear_class"],
  scales: [],
  scale: [],
};
const I2S: OptionNames<I2sTensors & ImportOptions> = {
  ...IMPORT_NAMES,
  rows: [],
  cols: [],
  layout: [],
  packed: [],
  scale: [],
};

/**
 * A layer of a BitNet b1.58 checkpoint as Hugging Face packs it: four blocks of rows in a byte, and a scale that divides or
 * multiplies by the class that the configuration names.
 *
 * @throws TypeError, RangeError for tensors that do not fit each other, a code 3, a scale that is not finite; OutOfMemoryError
 */
export function fromBitnet(lb: Lowbit, options: BitnetTensors & ImportOptions): Matrix {
  const where = "ternary.fromBitnet";
  const read = readOptions(where, options, BITNET);
  return fromImport(where, lb, importBitnet(where, read), read);
}

/**
 * A matrix of microsoft/BitNet's I2_S, in the layout that the caller names: nothing in a file says which of three it is.
 *
 * @throws TypeError, RangeError for bytes that do not fit the shape, a code 3, a scale that is not finite; OutOfMemoryError
 */
export function fromI2s(lb: Lowbit, options: I2sTensors & ImportOptions): Matrix {
  const where = "ternary.fromI2s";
  const read = readOptions(where, options, I2S);
  return fromImport(where, lb, importI2s(where, read), read);
}

function fromImport(
  where: string,
  lb: Lowbit,
  imported: ImportedTernary,
  { activation, kernel }: ImportOptions,
): Matrix {
  const { rows, cols, codes, scales } = imported;
  const common = { ...(activation !== undefined && { activation }), ...(kernel !== undefined && { kernel }) };
  const shape = checkShape(where, "ternary", { rows, cols, ...common });
  return makeTernary(where, lb, "ternary", shape, scales, codeRows(`${where}: packed`, codes, rows, cols));
}

/** What a length that is not that of `pack` may be. */
function otherLayout(length: number, rows: number, cols: number): string {
  if (length === rows * cols) return "; one byte a code is an Int8Array of -1, 0 and 1";
  if (length === Math.ceil(rows / 4) * cols) return "; four rows in a byte are for ternary.fromBitnet or fromI2s";
  return length === (rows * cols) / 4 + 32 ? "; I2_S with its scale is for ternary.fromI2s" : "";
}

function codeRows(where: string, given: unknown, rows: number, cols: number): CodeWriter {
  const expected = "an Int8Array of codes or a Uint8Array of 2-bit codes";
  const codes = checkArray(where, given, ["Int8Array", "Uint8Array"], expected);
  if (codes instanceof Int8Array) {
    checkLength(where, codes, rows * cols, `rows ${rows} x cols ${cols}`);
    return (row, out) => {
      for (let col = 0, at = row * cols; col < cols; col++, at++) {
        const code = codes[at] as number;
        if (code < -1 || code > 1) throw rangeError(where, "-1, 0 or 1", `${code} at index ${at}`);
        out[col] = code + 2;
      }
    };
  }
  const rowBytes = Math.ceil(cols / 4);
  if (codes.length !== rows * rowBytes) {
    const shape = `rows ${rows} x ${rowBytes} bytes of 4 neighbouring columns${otherLayout(codes.length, rows, cols)}`;
    checkLength(where, codes, rows * rowBytes, shape);
  }
  const last = rowBytes - 1;
  return (row, out) => {
    const start = row * rowBytes;
    for (let b = 0, col = 0; b <= last; b++) {
      const byte = codes[start + b] as number;
      // Codes 3 of the row's columns, as bits; what is behind the last column is not looked at.
      const mask = b < last ? 0x55 : 0x55 >> (2 * (4 * rowBytes - cols));
      if ((byte & (byte >> 1) & mask) !== 0) refuse(where, codes.subarray(start, start + rowBytes), row, cols);
      for (let j = 0; j < 8 && col < cols; j += 2) out[col++] = ((byte >> j) & 3) + 1;
    }
  };
}

function refuse(where: string, line: Uint8Array, row: number, cols: number): never {
  let col = 0;
  while (col < cols && (((line[col >> 2] as number) >> (2 * (col & 3))) & 3) !== 3) col++;
  throw rangeError(where, "codes 0, 1 or 2", `3 at row ${row}, column ${col}`);
}
