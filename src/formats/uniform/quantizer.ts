// Uniform codes for gptq.
import type { UniformBits } from "../../kernels/types.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, settle } from "../../lib/options.ts";
import { runNow } from "../../lib/progress.ts";
import type { Quantizer } from "../../numeric/gptq.ts";
import { roundHalfEven } from "../../numeric/scale.ts";
import { checkGroups, checkWeights, groupsOf } from "../../numeric/shape.ts";
import { type UniformSearch, uniformCodes } from "./quantize.ts";

export interface UniformQuantizerOptions {
  readonly rows: number;
  readonly cols: number;
  readonly bits: UniformBits;
  /** Columns that share a scale. Default, and -1: cols. */
  readonly groupSize?: number;
  /** Every zero point is 2^(bits - 1). Default true. */
  readonly symmetric?: boolean;
  /** How scales are found from w before the first column is rounded: as in `uniform.quantize`. Default "mse". */
  readonly search?: UniformSearch;
}

const NAMES: OptionNames<UniformQuantizerOptions> = {
  rows: [],
  cols: [],
  bits: ["w_bit", "nbits"],
  groupSize: ["group_size"],
  symmetric: ["sym"],
  search: [],
};

/** Pass its members on to `uniform.pack`. */
export interface UniformQuantizer extends Quantizer {
  /** [rows, cols] */
  readonly codes: Uint8Array;
  /** [rows, groups] */
  readonly scales: Float32Array;
  /** [rows, groups]; absent if symmetric. */
  readonly zeros?: Float32Array;
}

/**
 * Uniform codes with scales from the weights as they are given (what GPTQ calls static groups).
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w
 */
export function uniformQuantizer(w: FloatTensor, given: UniformQuantizerOptions): UniformQuantizer {
  const where = "uniformQuantizer";
  const options = readOptions(where, given, NAMES);
  const shape = checkGroups(where, options);
  const { rows, cols, groupSize } = shape;
  const { bits, symmetric = true, search = "mse" } = options;
  const { codes, scales, zeros } = runNow(
    where,
    uniformCodes(
      where,
      checkWeights(where, settle(`${where}: w`, w), shape),
      { ...shape, rows },
      { bits, symmetric, search },
    ),
  );
  const groups = groupsOf(shape);
  const top = 2 ** bits - 1;
  return {
    blockSize: 1,
    codes,
    scales,
    ...(zeros && { zeros }),
    encode(row, col, values, out) {
      const group = row * groups + Math.floor(col / groupSize);
      const scale = scales[group] as number;
      const zero = zeros ? (zeros[group] as number) : (top + 1) / 2;
      const steps = scale === 0 ? 0 : roundHalfEven((values[0] as number) / scale);
      const code = Math.max(0, Math.min(top, steps + zero));
      codes[row * cols + col] = code;
      out[0] = scale * (code - zero);
    },
  };
}
