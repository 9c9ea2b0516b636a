// Checkpoints of compressed-tensors, format "pack-quantized": signed codes, stored 2^(bits - 1) higher, packed along the inputs.
import { checkArray, checkInteger, rangeError } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import type { OptionNames, Settled } from "../../lib/options.ts";
import {
  bitField,
  checkImportShape,
  checkScaleTensor,
  checkWords,
  type ImportedUniform,
  type ImportShape,
  isSymmetric,
} from "../shared/tensors.ts";
import { groupedOrder } from "./from-gptq.ts";

/** The tensors of a layer. groups = ceil(cols / groupSize). */
export interface CompressedTensors extends ImportShape {
  /** `num_bits`: 2 to 8 */
  readonly bits: number;
  /**
   * `weight_packed`, int32 [rows, words]: floor(32 / bits) codes a word, or, of 3, 5, 6 and 7 bits in newer checkpoints, 32 codes in `bits`
   * words. The number of words says which.
   */
  readonly packed: Int32Array | Uint32Array;
  /** `weight_scale`: [rows, groups], or [1] for the matrix */
  readonly scales: FloatTensor;
  /** `weight_zero_point`, int32 [words, groups]: packed as codes are, down the rows. Default: 0, signed. */
  readonly zeroPoints?: Int32Array | Uint32Array | undefined;
  /** `weight_g_idx`, int32 [cols], the group of each column. Default: floor(column / groupSize). */
  readonly gIdx?: Int32Array | Uint32Array | undefined;
}

export const COMPRESSED_NAMES: OptionNames<CompressedTensors> = {
  rows: [],
  cols: [],
  groupSize: ["group_size"],
  bits: ["num_bits"],
  packed: ["weight_packed"],
  scales: ["weight_scale"],
  zeroPoints: ["weight_zero_point"],
  gIdx: ["weight_g_idx"],
};

/**
 * 7 bits become 8, whose middle is 64 higher.
 *
 * @throws TypeError, RangeError for a wrong argument: a length that does not fit the shape, numbers that are not finite, a group number
 * out of range, and lengths that both layouts have
 */
export function importCompressed(
  where: string,
  tensors: Settled<CompressedTensors>,
): ImportedUniform & { readonly columnOrder?: Uint32Array } {
  const { rows, cols, groupSize, groups } = checkImportShape(where, tensors);
  const bits = checkInteger(`${where}: bits`, tensors.bits, 2, 8);
  const more = bits === 7 ? 64 : 0;
  const words = checkArray(`${where}: packed`, tensors.packed, ["Int32Array", "Uint32Array"], "an Int32Array");
  const read = packing(`${where}: packed`, words, cols, rows, bits);
  const columnOrder = groupedOrder(`${where}: gIdx`, tensors.gIdx, cols, groupSize, groups);
  const codes = new Uint8Array(rows * cols);
  const width = words.length / rows;
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) {
      codes[row * cols + col] = read(row * width, 1, columnOrder ? (columnOrder[col] as number) : col) + more;
    }
  }
  const shape = `rows ${rows} x groups of a row ${groups}`;
  const given = checkArray(`${where}: scales`, tensors.scales, ["Float32Array"]);
  const scales =
    given.length === 1
      ? new Float32Array(rows * groups).fill(given[0] as number)
      : checkScaleTensor(`${where}: scales`, given, rows * groups, shape);
  const bitsStored = bits === 7 ? 8 : bits;
  const zeros = new Float32Array(rows * groups).fill(2 ** (bitsStored - 1));
  if (tensors.zeroPoints !== undefined) {
    const packed = checkArray(
      `${where}: zeroPoints`,
      tensors.zeroPoints,
      ["Int32Array", "Uint32Array"],
      "an Int32Array",
    );
    const zero = packing(`${where}: zeroPoints`, packed, rows, groups, bits);
    for (let i = 0; i < zeros.length; i++) zeros[i] = zero(i % groups, groups, Math.floor(i / groups)) + more;
  }
  const symmetric = isSymmetric(zeros, bitsStored);
  return {
    ...{ rows, cols, groupSize, codes, scales, zeros, symmetric },
    bits: bitsStored,
    ...(columnOrder !== undefined && { columnOrder }),
  };
}

type ReadCode = (start: number, stride: number, index: number) => number;

// `lines` of `length` codes.
function packing(
  where: string,
  words: Int32Array | Uint32Array,
  length: number,
  lines: number,
  bits: number,
): ReadCode {
  const perWord = Math.floor(32 / bits);
  const apart = Math.ceil(length / perWord);
  const dense = Math.ceil(length / 32) * bits;
  const whole = 32 % bits === 0;
  if (!whole && apart === dense && length > perWord && words.length === lines * apart) {
    throw rangeError(where, `a number of words that only one of two packings of ${bits} bits has`, apart);
  }
  if (!whole && words.length === lines * dense) {
    return (start, stride, index) => bitField(words, start, stride, index, bits);
  }
  checkWords(where, words, lines * apart, `${lines} x ${apart} words${whole ? "" : ` (or ${dense}, packed densely)`}`);
  return (start, stride, index) => {
    const word = words[start + stride * Math.floor(index / perWord)] as number;
    return (word >>> (bits * (index % perWord))) & (2 ** bits - 1);
  };
}
