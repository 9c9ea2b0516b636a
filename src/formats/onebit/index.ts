import { checkArray, checkFinite, checkFloats, checkLength, rangeError } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, type Settled } from "../../lib/options.ts";
import { callAsync, callNow, PROGRESS_NAMES, type ProgressOptions, type Steps } from "../../lib/progress.ts";
import { checkShape, LAYER_NAMES, type LayerOptions, type Shape } from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { makePlanes } from "../shared/plane-matrix.ts";
import { type SignFit, signPlane } from "./quantize.ts";

/**
 * OneBit (Xu et al. 2024, arXiv:2402.11295, eq. 3): y = ((x ⊙ input) · signᵀ) ⊙ output, that is w = output · (±1) · input. The
 * layer norm that follows in the paper is the caller's.
 */
export interface OnebitPackOptions extends LayerOptions {
  /** [rows, ceil(cols / 8)]: bit j of byte b is column 8b + j, **1 = -1**, as in the published checkpoints. */
  readonly packed: Uint8Array | Int8Array;
  /** [cols] */
  readonly input: FloatTensor;
  /** [rows] */
  readonly output: FloatTensor;
}

export interface OnebitQuantizeOptions extends LayerOptions, ProgressOptions {
  /** Steps of the power iteration at most. Default 20. */
  readonly iterations?: number;
}

const PACK: OptionNames<OnebitPackOptions> = { ...LAYER_NAMES, packed: [], input: [], output: [] };
const QUANTIZE: OptionNames<OnebitQuantizeOptions> = { ...LAYER_NAMES, ...PROGRESS_NAMES, iterations: [] };

/**
 * Signs, and the best rank-1 approximation of |w| as the two vectors (the paper's sign-value-independent decomposition):
 * where its training starts.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w; the reason of an aborted signal;
 * OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: FloatTensor, options: OnebitQuantizeOptions): Matrix {
  return callNow("onebit.quantize", QUANTIZE, quantized, lb, w, options);
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(lb: Lowbit, w: FloatTensor, options: OnebitQuantizeOptions): Promise<Matrix> {
  return callAsync("onebit.quantizeAsync", QUANTIZE, quantized, lb, w, options);
}

function* quantized(
  where: string,
  lb: Lowbit,
  w: Float32Array,
  options: Settled<OnebitQuantizeOptions>,
): Steps<Matrix> {
  const shape = checkShape(where, "binary", options);
  const { iterations } = options;
  const fit = yield* signPlane(where, w, shape, iterations === undefined ? {} : { iterations });
  return fromSigns(where, lb, shape, fit);
}

/**
 * A matrix of signs and vectors that are there already.
 *
 * @throws TypeError, RangeError for a wrong argument, NaN or Infinity in a vector; OutOfMemoryError
 */
export function pack(lb: Lowbit, given: OnebitPackOptions): Matrix {
  const where = "onebit.pack";
  const options = readOptions(where, given, PACK);
  const shape = checkShape(where, "binary", options);
  const { rows, cols } = shape;
  const { input, output } = options;
  const expected = "a Uint8Array or Int8Array of bits";
  const packed = checkArray(`${where}: packed`, options.packed, ["Uint8Array", "Int8Array"], expected);
  const rowBytes = Math.ceil(cols / 8);
  checkLength(`${where}: packed`, packed, rows * rowBytes, `rows ${rows} x ${rowBytes} bytes of 8 columns`);
  checkFinite(`${where}: input`, checkFloats(`${where}: input`, input, cols, `cols ${cols}`));
  checkFinite(`${where}: output`, checkFloats(`${where}: output`, output, rows, `rows ${rows}`));
  checkProducts(where, input, output);
  const signs = Uint8Array.from(packed, (byte) => ~byte);
  return fromSigns(where, lb, shape, { signs, input, output });
}

/** Refuses vectors of which a weight, output[row] · input[col], leaves float32. */
function checkProducts(where: string, input: Float32Array, output: Float32Array): void {
  const largest = (values: Float32Array): number =>
    values.reduce((best, value, i) => (Math.abs(value) > Math.abs(values[best] as number) ? i : best), 0);
  const [row, col] = [largest(output), largest(input)];
  const weight = Math.fround((output[row] as number) * (input[col] as number));
  if (Number.isFinite(weight)) return;
  throw rangeError(`${where}: output`, "weights within float32", `${weight} at row ${row}, column ${col}`);
}

function fromSigns(
  where: string,
  lb: Lowbit,
  shape: Shape,
  { signs, input, output }: Pick<SignFit, "signs" | "input" | "output">,
): Matrix {
  const { cols } = shape;
  const rowBytes = Math.ceil(cols / 8);
  const lastMask = 0xff >> (rowBytes * 8 - cols);
  const matrix = makePlanes(where, lb, {
    label: "onebit",
    format: "binary",
    shape,
    scales: [output],
    writeRow: (row, out) => {
      out.set(signs.subarray(row * rowBytes, (row + 1) * rowBytes));
      out[rowBytes - 1] = (out[rowBytes - 1] as number) & lastMask;
    },
  });
  try {
    return matrix.with({ colScale: input });
  } catch (error) {
    matrix.dispose();
    throw error;
  }
}
