// Checkpoints of AutoAWQ, version "gemm": 4-bit codes and zero points packed in int32 along the outputs.
import { checkInteger } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import type { OptionNames, Settled } from "../../lib/options.ts";
import {
  checkImportShape,
  checkMultiple,
  checkScaleTensor,
  checkWords,
  type ImportedUniform,
  type ImportShape,
  isSymmetric,
  transpose,
} from "../shared/tensors.ts";

/** The tensors of a layer. groups = ceil(cols / groupSize). */
export interface AwqTensors extends ImportShape {
  /** int32 [cols, rows / 8] */
  readonly qweight: Int32Array | Uint32Array;
  /** int32 [groups, rows / 8] */
  readonly qzeros: Int32Array | Uint32Array;
  /** [groups, rows]: float16 in most checkpoints, bfloat16 in those of models that are */
  readonly scales: FloatTensor;
  /** `w_bit` or `bits` of the checkpoint's settings: 4 is the only one. */
  readonly bits?: 4 | undefined;
}

export const AWQ_NAMES: OptionNames<AwqTensors> = {
  rows: [],
  cols: [],
  groupSize: ["group_size", "q_group_size"],
  qweight: [],
  qzeros: [],
  scales: [],
  bits: ["w_bit"],
};

/** Nibble i of a word, counted from the lowest, is output ORDER[i] of its 8. */
const ORDER = [0, 2, 4, 6, 1, 3, 5, 7];

/**
 * The codes, scales and zero points of a layer.
 *
 * @throws TypeError, RangeError for a wrong argument: a length that does not fit the shape, scales that are not finite
 */
export function importAwq(where: string, tensors: Settled<AwqTensors>): ImportedUniform {
  if (tensors.bits !== undefined) checkInteger(`${where}: bits`, tensors.bits, 4, 4);
  const { rows, cols, groupSize, groups } = checkImportShape(where, tensors);
  checkMultiple(`${where}: rows`, rows, 8, "whole words of 4-bit codes");
  const width = rows / 8;
  const qweight = checkWords(`${where}: qweight`, tensors.qweight, cols * width, `cols ${cols} x ${width} words`);
  const shape = `groups of a row ${groups} x`;
  const qzeros = checkWords(`${where}: qzeros`, tensors.qzeros, groups * width, `${shape} ${width} words`);
  const scales = checkScaleTensor(`${where}: scales`, tensors.scales, groups * rows, `${shape} rows ${rows}`);
  const codes = new Uint8Array(rows * cols);
  const zeros = new Float32Array(rows * groups);
  unpack(qweight, codes, cols, width);
  unpack(qzeros, zeros, groups, width);
  return {
    rows,
    cols,
    groupSize,
    bits: 4,
    codes,
    scales: transpose(scales, rows, groups),
    zeros,
    symmetric: isSymmetric(zeros, 4),
  };
}

/** [8 · width, height] nibbles from [height, width] words. */
function unpack(words: Int32Array | Uint32Array, to: Uint8Array | Float32Array, height: number, width: number): void {
  for (let column = 0; column < width; column++) {
    for (let i = 0; i < height; i++) {
      const word = words[i * width + column] as number;
      for (let nibble = 0; nibble < 8; nibble++) {
        to[(8 * column + (ORDER[nibble] as number)) * height + i] = (word >>> (4 * nibble)) & 15;
      }
    }
  }
}
