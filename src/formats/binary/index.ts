import type { FloatTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, type Settled } from "../../lib/options.ts";
import { callAsync, callNow, PROGRESS_NAMES, type ProgressOptions, type Steps } from "../../lib/progress.ts";
import { absoluteMeans, COMMON_NAMES, type CommonOptions, checkScales, checkShape } from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import { checkWeightArray } from "../../numeric/shape.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { makePlanes } from "../shared/plane-matrix.ts";
import type { RowWriter } from "../shared/planes.ts";
import { signRows } from "../shared/sign-rows.ts";

/** One bit a weight: w = scale · (±1), a scale a row or a group of columns (XNOR-Net, Rastegari et al. 2016, eq. 6). */
export interface BinaryPackOptions extends CommonOptions {
  /** Int8Array [rows, cols] of -1 and 1, or Uint8Array [rows, ceil(cols / 8)]: bit j of byte b is column 8b + j, 1 = +1. */
  readonly signs: Int8Array | Uint8Array;
  /** [1], [rows] or [rows, ceil(cols / groupSize)] */
  readonly scales: FloatTensor;
}

export interface BinaryQuantizeOptions extends CommonOptions, ProgressOptions {}

const PACK: OptionNames<BinaryPackOptions> = { ...COMMON_NAMES, signs: [], scales: [] };
const QUANTIZE: OptionNames<BinaryQuantizeOptions> = { ...COMMON_NAMES, ...PROGRESS_NAMES };

/**
 * Sign and mean |w|, the least-squares scale of the signs; 0 counts as +1.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w; the reason of an aborted signal;
 * OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: FloatTensor, options: BinaryQuantizeOptions): Matrix {
  return callNow("binary.quantize", QUANTIZE, quantized, lb, w, options);
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(lb: Lowbit, w: FloatTensor, options: BinaryQuantizeOptions): Promise<Matrix> {
  return callAsync("binary.quantizeAsync", QUANTIZE, quantized, lb, w, options);
}

function* quantized(
  where: string,
  lb: Lowbit,
  given: Float32Array,
  options: Settled<BinaryQuantizeOptions>,
): Steps<Matrix> {
  const shape = checkShape(where, "binary", options);
  const { cols } = shape;
  const w = checkWeightArray(where, given, shape);
  const scales = Float32Array.from(yield* absoluteMeans(`${where}: w`, w, shape));
  const writeRow: RowWriter = (row, out) => {
    const start = row * cols;
    for (let col = 0; col < cols; col++) {
      if ((w[start + col] as number) >= 0) out[col >> 3] = (out[col >> 3] as number) | (1 << (col & 7));
    }
  };
  return makePlanes(where, lb, { label: "binary", format: "binary", shape, scales: [scales], writeRow });
}

/**
 * A matrix of signs that are there already.
 *
 * @throws TypeError, RangeError for a wrong argument, a sign that is not -1 or 1, NaN or Infinity in scales;
 * OutOfMemoryError
 */
export function pack(lb: Lowbit, given: BinaryPackOptions): Matrix {
  const where = "binary.pack";
  const options = readOptions(where, given, PACK);
  const shape = checkShape(where, "binary", options);
  const { signs } = options;
  const writeRow = signRows(`${where}: signs`, signs, shape.rows, shape.cols);
  const scales = checkScales(`${where}: scales`, options.scales, shape);
  return makePlanes(where, lb, { label: "binary", format: "binary", shape, scales: [scales], writeRow });
}
