import type { FormatName } from "../../kernels/types.ts";
import { checkArray, checkChoice, checkInteger, checkLength, MAX_COLS, MAX_ROWS, rangeError } from "../../lib/check.ts";
import { type FloatTensor, storedFloats } from "../../lib/floats.ts";
import { bfloat16ToFloat, halfToFloat } from "../../lib/half.ts";
import { type OptionNames, readOptions, settle } from "../../lib/options.ts";
import { UNIT_COLS } from "../../matrix/layout.ts";
import { makeMatrix } from "../../matrix/make.ts";
import type { Matrix } from "../../matrix/spec.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { denseReader, STRIP } from "./reader.ts";

/** What a number is stored as. */
export type DenseType = "float32" | "float16" | "bfloat16";

/** Weights as they are, of 32 or 16 bits. Activations are float32: activation "f32", the only one. */
export interface DensePackOptions {
  readonly rows: number;
  readonly cols: number;
  /** [rows, cols] row-major: numbers, those of 16 bits as a Float16Array, as { dtype, data }, or as the bits of `type`. */
  readonly weights: FloatTensor | Uint16Array;
  /**
   * What numbers are stored as. Default: the type that they have. "float32" is possible for all of them; the bits of a Uint16Array are
   * "float16" or "bfloat16", which must be said.
   */
  readonly type?: DenseType;
}

const NAMES: OptionNames<DensePackOptions> = { rows: [], cols: [], weights: [], type: [] };
const FORMATS: Readonly<Record<DenseType, FormatName>> = {
  float32: "dense32",
  float16: "dense16",
  bfloat16: "denseb16",
};
/** Exponents of all ones, which are NaN and Infinity. */
const NOT_FINITE = { float16: 0x7c00, bfloat16: 0x7f80 } as const;

/**
 * A matrix of weights that are not quantised. Products are of float32 and summed in float32, in blocks of 256 columns.
 *
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity among the weights; OutOfMemoryError
 */
export function pack(lb: Lowbit, options: DensePackOptions): Matrix {
  const where = "dense.pack";
  const given = readOptions(where, options, NAMES, "options", [], ["weights"]);
  const rows = checkInteger(`${where}: rows`, given.rows, 1, MAX_ROWS);
  const cols = checkInteger(`${where}: cols`, given.cols, 1, MAX_COLS);
  const { type, weights } = storedWeights(where, given.weights, given.type);
  checkLength(`${where}: weights`, weights, rows * cols, `rows ${rows} x cols ${cols}`);
  checkFiniteWeights(`${where}: weights`, weights, type);
  return makeMatrix(where, lb, {
    label: "dense",
    format: FORMATS[type],
    shape: { rows, cols, groupSize: cols, activation: "f32", kernel: undefined },
    scales: [],
    write: (bytes, { byteCols }) => {
      const { buffer, byteOffset, byteLength } = bytes;
      const stored =
        type === "float32"
          ? new Float32Array(buffer, byteOffset, byteLength / 4)
          : new Uint16Array(buffer, byteOffset, byteLength / 2);
      writeStrips(weights, rows, cols, byteCols * UNIT_COLS, stored);
    },
    reader: denseReader,
  });
}

/** The weights as they are stored. */
function storedWeights(
  where: string,
  given: unknown,
  type: unknown,
): { readonly type: DenseType; readonly weights: Float32Array | Uint16Array } {
  const stored = storedFloats(`${where}: weights`, given);
  if (stored === undefined) {
    const weights = checkArray(`${where}: weights`, settle(`${where}: weights`, given), [
      "Float32Array",
      "Uint16Array",
    ]);
    return { type: checkChoice(`${where}: type`, type, ["float16", "bfloat16"]), weights };
  }
  const { dtype, values } = stored;
  const possible = dtype === "float32" ? (["float32"] as const) : ([dtype, "float32"] as const);
  const chosen = type === undefined ? dtype : checkChoice(`${where}: type`, type, possible);
  if (chosen === dtype || values instanceof Float32Array) return { type: chosen, weights: values };
  const toFloat = dtype === "float16" ? halfToFloat : bfloat16ToFloat;
  return { type: chosen, weights: toFloat(`${where}: weights`, values) };
}

function checkFiniteWeights(where: string, weights: Float32Array | Uint16Array, type: DenseType): void {
  if (type === "float32") {
    const bad = weights.findIndex((w) => !Number.isFinite(w));
    if (bad >= 0) throw rangeError(where, "finite weights", `${weights[bad]} at index ${bad}`);
    return;
  }
  const mask = NOT_FINITE[type];
  const bad = weights.findIndex((bits) => (bits & mask) === mask);
  if (bad >= 0) throw rangeError(where, `finite ${type} weights`, `0x${weights[bad]?.toString(16)} at index ${bad}`);
}

/** [strip of 16 rows][column][16 rows], zeros where there is no row or column. */
function writeStrips(
  weights: Float32Array | Uint16Array,
  rows: number,
  cols: number,
  padded: number,
  to: Float32Array | Uint16Array,
): void {
  to.fill(0);
  for (let strip = 0; strip < rows; strip += STRIP) {
    for (let row = strip; row < Math.min(strip + STRIP, rows); row++) {
      const from = row * cols;
      for (let col = 0, at = strip * padded + (row - strip); col < cols; col++, at += STRIP) {
        to[at] = weights[from + col] as number;
      }
    }
  }
}
