// Codes of 1 to 8 bits for both operands of a product by bit planes (ABQ-LLM, Zeng et al. 2024; bipolar-INT of APT-LLM; one
// bit each: XNOR-Net, Rastegari et al. 2016). The numbers are defined in assembly/popcount/README.md.
import { checkChoice, checkFloats, checkInteger, rangeError } from "../../lib/check.ts";
import type { Steps } from "../../lib/progress.ts";
import {
  type BitplaneTypes,
  ENCODINGS,
  type Encoding,
  makeQuantizer,
  type Quantizer,
  type Range,
} from "../../matrix/bits.ts";
import { limitScale, roundHalfEven, STEP } from "../../numeric/scale.ts";
import type { GroupShape } from "../../numeric/shape.ts";

/** Checks the types of both operands and fills in the defaults. `where` is the function. */
export function checkTypes(where: string, options: BitplaneTypes): Required<BitplaneTypes> {
  const bits = checkInteger(`${where}: bits`, options.bits, 1, 8);
  const activationBits = checkInteger(`${where}: activationBits`, options.activationBits, 1, 8);
  const { encoding = "bipolar", activationEncoding = "bipolar" } = options;
  checkChoice(`${where}: encoding`, encoding, ENCODINGS);
  checkChoice(`${where}: activationEncoding`, activationEncoding, ENCODINGS);
  if (activationEncoding === "signed" && activationBits === 1) {
    throw rangeError(`${where}: activationBits`, 'an integer from 2 to 8 with "signed"', activationBits);
  }
  return { bits, encoding, activationBits, activationEncoding };
}

/** What a code stands for. */
export function codeValue(u: number, bits: number, encoding: Encoding): number {
  if (encoding === "bipolar") return 2 * u - (2 ** bits - 1);
  return encoding === "signed" && u >= 2 ** (bits - 1) ? u - 2 ** bits : u;
}

// The code of x, which is about factor · (value of the code - zero).
function codeOf(x: number, { ratio, zero }: Quantizer, bits: number, encoding: Encoding): number {
  if (encoding === "bipolar") return Math.floor(x * ratio) + (1 << (bits - 1));
  const q = roundHalfEven(x * ratio);
  return encoding === "signed" ? q & ((1 << bits) - 1) : Math.min(q + zero, (1 << bits) - 1);
}

// Of the weights from `start` to `end`; refuses NaN and Infinity.
function rangeOf(where: string, w: Float32Array, start: number, end: number): Range {
  let low = 0;
  let high = 0;
  let sum = 0;
  for (let i = start; i < end; i++) {
    const v = w[i] as number;
    if (v < low) low = v;
    if (v > high) high = v;
    sum += Math.abs(v);
  }
  // A sum of finite float32 values is finite in float64, so one test covers the group.
  if (!Number.isFinite(sum)) {
    let index = start;
    while (Number.isFinite(w[index])) index++;
    throw rangeError(where, "finite weights", `${w[index]} at index ${index}`);
  }
  return { low, high, mean: sum / (end - start) };
}

/** w[row, col] = scales[row, group] · value of codes[row, col] + offsets[row, group]. */
export interface BitplaneCodes {
  /** [rows, cols], 0 to 2^bits - 1 */
  readonly codes: Uint8Array;
  /** [rows, groups] */
  readonly scales: Float32Array;
  /** [rows, groups]; absent where all are 0. */
  readonly offsets?: Float32Array | undefined;
}

/**
 * Weights by the quantiser of the activations, each group as if it were a token.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument, one signed bit, or NaN or Infinity in w (its index is named)
 */
export function* bitplaneCodes(
  where: string,
  w: Float32Array,
  { rows, cols, groupSize }: GroupShape,
  { bits, encoding }: Pick<Required<BitplaneTypes>, "bits" | "encoding">,
): Steps<BitplaneCodes> {
  if (encoding === "signed" && bits === 1) {
    throw rangeError(`${where}: bits`, 'an integer from 2 to 8 with "signed"', bits);
  }
  checkFloats(`${where}: w`, w, rows * cols, `rows ${rows} x cols ${cols}`);
  const count = rows * Math.ceil(cols / groupSize);
  const codes = new Uint8Array(rows * cols);
  const scales = new Float32Array(count);
  const offsets = new Float32Array(count);
  let shifted = false;
  for (let group = 0, start = 0, work = 0; start < w.length; group++) {
    const end = start + Math.min(groupSize, cols - (start % cols));
    const quantizer = makeQuantizer(rangeOf(`${where}: w`, w, start, end), bits, encoding);
    for (let i = start; i < end; i++) codes[i] = codeOf(w[i] as number, quantizer, bits, encoding);
    const scale = limitScale(quantizer.factor, 2 ** bits - 1);
    scales[group] = scale;
    if (quantizer.zero !== 0) {
      offsets[group] = -scale * quantizer.zero;
      shifted = true;
    }
    work += end - start;
    start = end;
    if (work >= STEP && start < w.length) {
      work = 0;
      yield start / w.length;
    }
  }
  return { codes, scales, ...(shifted && { offsets }) };
}
