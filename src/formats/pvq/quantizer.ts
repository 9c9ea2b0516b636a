// Vectors of a pyramid for gptq.
import { checkInteger, rangeError } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, settle } from "../../lib/options.ts";
import { runNow } from "../../lib/progress.ts";
import type { Quantizer } from "../../numeric/gptq.ts";
import { checkGroups, checkWeights } from "../../numeric/shape.ts";
import { checkPyramid, PvqRounder, pvqScales } from "./quantize.ts";

export interface PvqQuantizerOptions {
  readonly rows: number;
  readonly cols: number;
  /** 8 or 16 (default). */
  readonly vectorSize?: 8 | 16;
  /** Σ |y|. Default 12. */
  readonly pulses?: number;
  /** Columns that share a scale, a multiple of vectorSize. Default, and -1: cols. */
  readonly groupSize?: number;
  /** As of `pvq.quantize`. */
  readonly iterations?: number;
}

const NAMES: OptionNames<PvqQuantizerOptions> = {
  rows: [],
  cols: [],
  vectorSize: [],
  pulses: [],
  groupSize: ["group_size"],
  iterations: [],
};

/** Pass its members on to `pvq.pack`. */
export interface PvqQuantizer extends Quantizer {
  /** [rows, ceil(cols / vectorSize)] in Fischer's order */
  readonly indices: Uint32Array;
  /** [rows, groups] */
  readonly scales: Float32Array;
}

/**
 * The nearest vectors of a pyramid, with scales from the weights as they are given.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w
 */
export function pvqQuantizer(w: FloatTensor, given: PvqQuantizerOptions): PvqQuantizer {
  const where = "pvqQuantizer";
  const options = readOptions(where, given, NAMES);
  const { iterations = 4 } = options;
  const pyramid = checkPyramid(where, options.vectorSize ?? 16, options.pulses ?? 12);
  const shape = checkGroups(where, options);
  const { cols, groupSize } = shape;
  if (groupSize < cols && groupSize % pyramid.vectorSize !== 0) {
    throw rangeError(`${where}: groupSize`, `a multiple of ${pyramid.vectorSize} (vectorSize)`, groupSize);
  }
  checkInteger(`${where}: iterations`, iterations, 1, 100);
  const weights = checkWeights(where, settle(`${where}: w`, w), shape);
  return new PvqRounder(shape, pyramid, runNow(where, pvqScales(weights, shape, pyramid, iterations)));
}
