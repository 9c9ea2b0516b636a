// Quantizers for gptq: each holds codes in the form that its format's `pack` takes, next to what it was made with.
import { checkFinite, checkFloatArray, checkInteger, rangeError, typeError } from "../lib/check.ts";
import type { FloatTensor } from "../lib/floats.ts";
import { type OptionNames, readOptions, settleCopies } from "../lib/options.ts";
import type { Quantizer } from "./gptq.ts";
import { checkGroups } from "./shape.ts";

export interface LatticeQuantizerOptions {
  readonly rows: number;
  readonly cols: number;
  /** Columns of a point. */
  readonly dimension: number;
  /** Writes the point nearest to x: nearestE8, nearestD, or the nearest of a code's points. */
  readonly nearest: (x: Float64Array, out: Float64Array) => unknown;
  /** [1] or [rows]: what points are multiplied by. Not 0. */
  readonly scales: FloatTensor;
}

const NAMES: OptionNames<LatticeQuantizerOptions> = { rows: [], cols: [], dimension: [], nearest: [], scales: [] };

/** What a code of vectors made of the weights. */
export interface LatticeQuantizer extends Quantizer {
  /** [rows, cols]: the points, without scales. */
  readonly points: Float32Array;
}

/**
 * The nearest point of a lattice, or of any code of vectors, times a scale a row.
 *
 * @throws TypeError, RangeError for a wrong argument, NaN or Infinity
 */
export function latticeQuantizer(given: LatticeQuantizerOptions): LatticeQuantizer {
  const where = "latticeQuantizer";
  // Copies: the scales are still read when the caller goes on.
  const options = settleCopies(where, readOptions(where, given, NAMES));
  const { rows, cols } = checkGroups(where, options);
  const { dimension, nearest } = options;
  checkInteger(`${where}: dimension`, dimension, 1, cols);
  if (typeof nearest !== "function") throw typeError(`${where}: nearest`, "a function", nearest);
  const scales = checkFloatArray(`${where}: scales`, options.scales);
  if (scales.length !== 1 && scales.length !== rows) {
    throw rangeError(`${where}: scales`, `length 1 or ${rows} (rows ${rows})`, String(scales.length));
  }
  checkFinite(`${where}: scales`, scales);
  const zero = scales.indexOf(0);
  if (zero >= 0) throw rangeError(`${where}: scales`, "numbers that are not 0", `0 at index ${zero}`);
  const points = new Float32Array(rows * cols);
  const scaled = new Float64Array(dimension);
  return {
    blockSize: dimension,
    points,
    encode(row, col, values, out) {
      const scale = scales[scales.length === 1 ? 0 : row] as number;
      for (let i = 0; i < dimension; i++) scaled[i] = (values[i] as number) / scale;
      nearest(scaled, out);
      points.set(out, row * cols + col);
      for (let i = 0; i < dimension; i++) out[i] = (out[i] as number) * scale;
    },
  };
}
