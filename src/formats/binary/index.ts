import { checkFloats, checkLength, rangeError, typeError } from "../../lib/check.ts";
import { absoluteMeans, type CommonOptions, checkScales, checkShape } from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { makePlanes } from "../shared/plane-matrix.ts";
import type { RowWriter } from "../shared/planes.ts";

/** One bit a weight: w = scale · (±1), a scale a row or a group of columns (XNOR-Net, Rastegari et al. 2016, eq. 6). */
export interface BinaryPackOptions extends CommonOptions {
  /** Int8Array [rows, cols] of -1 and 1, or Uint8Array [rows, ceil(cols / 8)]: bit j of byte b is column 8b + j, 1 = +1. */
  readonly signs: Int8Array | Uint8Array;
  /** [1], [rows] or [rows, ceil(cols / groupSize)] */
  readonly scales: Float32Array;
}

/**
 * Sign and mean |w|, the least-squares scale of the signs; 0 counts as +1.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w; OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: Float32Array, options: CommonOptions): Matrix {
  const where = "binary.quantize";
  const shape = checkShape(where, "binary", options);
  const { rows, cols } = shape;
  checkFloats(`${where}: w`, w, rows * cols, `rows ${rows} x cols ${cols}`);
  const scales = Float32Array.from(absoluteMeans(`${where}: w`, w, shape));
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
export function pack(lb: Lowbit, options: BinaryPackOptions): Matrix {
  const where = "binary.pack";
  const shape = checkShape(where, "binary", options);
  const { signs } = options;
  const writeRow = signRows(`${where}: signs`, signs, shape.rows, shape.cols);
  const scales = checkScales(`${where}: scales`, options.scales, shape);
  return makePlanes(where, lb, { label: "binary", format: "binary", shape, scales: [scales], writeRow });
}

/** Signs as an Int8Array or as bits to the bytes of a plane. */
export function signRows(where: string, signs: Int8Array | Uint8Array, rows: number, cols: number): RowWriter {
  if (signs instanceof Int8Array) {
    checkLength(where, signs, rows * cols, `rows ${rows} x cols ${cols}`);
    return (row, out) => {
      for (let col = 0, at = row * cols; col < cols; col++, at++) {
        const sign = signs[at] as number;
        if (sign === 1) out[col >> 3] = (out[col >> 3] as number) | (1 << (col & 7));
        else if (sign !== -1) throw rangeError(where, "-1 or 1", `${sign} at index ${at}`);
      }
    };
  }
  if (!(signs instanceof Uint8Array)) throw typeError(where, "an Int8Array of signs or a Uint8Array of bits", signs);
  const rowBytes = Math.ceil(cols / 8);
  checkLength(where, signs, rows * rowBytes, `rows ${rows} x ${rowBytes} bytes of 8 columns`);
  const lastMask = 0xff >> (rowBytes * 8 - cols);
  return (row, out) => {
    out.set(signs.subarray(row * rowBytes, (row + 1) * rowBytes));
    out[rowBytes - 1] = (out[rowBytes - 1] as number) & lastMask;
  };
}
