import { checkFinite, checkFloats, checkLength, typeError } from "../../lib/check.ts";
import { type ProgressOptions, runAsync, runNow } from "../../lib/progress.ts";
import { type CommonOptions, checkShape, type Shape } from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { makePlanes } from "../shared/plane-matrix.ts";
import { type SignFit, signPlane } from "./quantize.ts";

/**
 * OneBit (Xu et al. 2024, arXiv:2402.11295, eq. 3): y = ((x ⊙ input) · signᵀ) ⊙ output, that is w = output · (±1) · input. The
 * layer norm that follows in the paper is the caller's.
 */
export interface OnebitPackOptions extends Omit<CommonOptions, "groupSize"> {
  /** [rows, ceil(cols / 8)]: bit j of byte b is column 8b + j, **1 = -1**, as in the published checkpoints. */
  readonly packed: Uint8Array | Int8Array;
  /** [cols] */
  readonly input: Float32Array;
  /** [rows] */
  readonly output: Float32Array;
}

export interface OnebitQuantizeOptions extends Omit<CommonOptions, "groupSize">, ProgressOptions {
  /** Steps of the power iteration at most. Default 20. */
  readonly iterations?: number;
}

/**
 * Signs, and the best rank-1 approximation of |w| as the two vectors (the paper's sign-value-independent decomposition):
 * where its training starts.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w; the reason of an aborted signal;
 * OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: Float32Array, options: OnebitQuantizeOptions): Matrix {
  const where = "onebit.quantize";
  const { shape, steps } = prepare(where, w, options);
  return fromSigns(where, lb, shape, runNow(where, steps, options));
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(lb: Lowbit, w: Float32Array, options: OnebitQuantizeOptions): Promise<Matrix> {
  const where = "onebit.quantizeAsync";
  const { shape, steps } = prepare(where, w, options);
  return fromSigns(where, lb, shape, await runAsync(where, steps, options));
}

function prepare(where: string, w: Float32Array, options: OnebitQuantizeOptions) {
  const shape = checkShape(where, "binary", options);
  const { iterations } = options;
  return { shape, steps: signPlane(where, w, shape, iterations === undefined ? {} : { iterations }) };
}

/**
 * A matrix of signs and vectors that are there already.
 *
 * @throws TypeError, RangeError for a wrong argument, NaN or Infinity in a vector; OutOfMemoryError
 */
export function pack(lb: Lowbit, options: OnebitPackOptions): Matrix {
  const where = "onebit.pack";
  const shape = checkShape(where, "binary", options);
  const { rows, cols } = shape;
  const { packed, input, output } = options;
  if (!(packed instanceof Uint8Array || packed instanceof Int8Array)) {
    throw typeError(`${where}: packed`, "a Uint8Array or Int8Array of bits", packed);
  }
  const rowBytes = Math.ceil(cols / 8);
  checkLength(`${where}: packed`, packed, rows * rowBytes, `rows ${rows} x ${rowBytes} bytes of 8 columns`);
  checkFinite(`${where}: input`, checkFloats(`${where}: input`, input, cols, `cols ${cols}`));
  checkFinite(`${where}: output`, checkFloats(`${where}: output`, output, rows, `rows ${rows}`));
  const signs = Uint8Array.from(packed, (byte) => ~byte);
  return fromSigns(where, lb, shape, { signs, input, output });
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
