// Checkpoints of MLX, mode "affine": w = scale · code + bias, codes one after the other in the words of a row.
import type { FloatTensor } from "../../lib/floats.ts";
import type { OptionNames, Settled } from "../../lib/options.ts";
import {
  bitField,
  checkImportShape,
  checkMultiple,
  checkScaleTensor,
  checkWords,
  type ImportShape,
} from "../shared/tensors.ts";
import { checkUniformBits } from "./quantize.ts";

/** The tensors of a layer. groups = cols / groupSize. */
export interface MlxTensors extends ImportShape {
  /** 2, 3, 4, 5, 6 or 8 */
  readonly bits: number;
  /** uint32 [rows, cols · bits / 32]: code i of a row in its bits i · bits and up, lowest first */
  readonly weight: Uint32Array | Int32Array;
  /** [rows, groups]; may be negative */
  readonly scales: FloatTensor;
  /** [rows, groups] */
  readonly biases: FloatTensor;
}

export const MLX_NAMES: OptionNames<MlxTensors> = {
  rows: [],
  cols: [],
  groupSize: ["group_size"],
  bits: [],
  weight: [],
  scales: [],
  biases: [],
};

export interface ImportedAffine extends ImportShape {
  readonly bits: number;
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  /** [rows, groups]: of scale · (code - 2^(bits - 1)) + offset */
  readonly offsets: Float32Array;
}

/** @throws TypeError, RangeError for a wrong argument: a length that does not fit the shape, scales or biases that are not finite */
export function importMlx(where: string, tensors: Settled<MlxTensors>): ImportedAffine {
  const bits = checkUniformBits(`${where}: bits`, tensors.bits);
  const { rows, cols, groupSize, groups } = checkImportShape(where, tensors);
  checkMultiple(`${where}: cols`, cols, 32, "whole words of a row");
  const width = (cols * bits) / 32;
  const words = checkWords(`${where}: weight`, tensors.weight, rows * width, `rows ${rows} x ${width} words`);
  const shape = `rows ${rows} x groups of a row ${groups}`;
  const scales = checkScaleTensor(`${where}: scales`, tensors.scales, rows * groups, shape);
  const biases = checkScaleTensor(`${where}: biases`, tensors.biases, rows * groups, shape);
  const codes = new Uint8Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) codes[row * cols + col] = bitField(words, row * width, 1, col, bits);
  }
  const offsets = biases.map((bias, i) => bias + (scales[i] as number) * 2 ** (bits - 1));
  return { rows, cols, groupSize, bits, codes, scales, offsets };
}
