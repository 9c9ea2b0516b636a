// MatMulNBits of ONNX Runtime (com.microsoft, its contributed operators): blocks of codes along the inputs.
import { checkArray, checkLength } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import type { OptionNames, Settled } from "../../lib/options.ts";
import {
  checkBytes,
  checkImportShape,
  checkMultiple,
  checkScaleTensor,
  type ImportedUniform,
  isSymmetric,
} from "../shared/tensors.ts";
import { checkUniformBits } from "./quantize.ts";

/** The inputs of a node. blocks = ceil(cols / blockSize); what is behind the last column is not looked at. */
export interface MatMulNBitsTensors {
  /** `N`: outputs */
  readonly rows: number;
  /** `K`: inputs */
  readonly cols: number;
  /** 2, 4 or 8 */
  readonly bits: 2 | 4 | 8;
  /** Columns that share a scale: a power of two, 16 or more */
  readonly blockSize: number;
  /** `B`, uint8 [rows, blocks, blockSize · bits / 8], the first code in the low bits */
  readonly packed: Uint8Array;
  /** [rows, blocks] */
  readonly scales: FloatTensor;
  /** uint8 [rows, ceil(blocks · bits / 8)], packed as codes are, or numbers [rows, blocks]. Default: 2^(bits - 1). */
  readonly zeroPoints?: Uint8Array | FloatTensor | undefined;
}

export const MATMULNBITS_NAMES: OptionNames<MatMulNBitsTensors> = {
  rows: [],
  cols: [],
  bits: [],
  blockSize: ["block_size"],
  packed: [],
  scales: [],
  zeroPoints: ["zero_points"],
};

/** @throws TypeError, RangeError for a wrong argument: a length that does not fit the shape, numbers that are not finite */
export function importMatMulNBits(where: string, tensors: Settled<MatMulNBitsTensors>): ImportedUniform {
  const bits = checkUniformBits(`${where}: bits`, tensors.bits);
  checkMultiple(`${where}: bits`, 8, bits, "whole codes of a byte: 2, 4 or 8");
  const { rows, cols, groups } = checkImportShape(where, { ...tensors, groupSize: tensors.blockSize });
  const { blockSize } = tensors;
  checkMultiple(`${where}: blockSize`, blockSize, 16, "16, 32, 64, …");
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  const rowBytes = (groups * blockSize) / perByte;
  const packed = checkBytes(`${where}: packed`, tensors.packed, rows * rowBytes, `rows ${rows} x ${rowBytes} bytes`);
  const shape = `rows ${rows} x blocks of a row ${groups}`;
  const scales = checkScaleTensor(`${where}: scales`, tensors.scales, rows * groups, shape);
  const codeAt = (bytes: Uint8Array, at: number, i: number): number =>
    ((bytes[at + Math.floor(i / perByte)] as number) >> (bits * (i % perByte))) & mask;
  const codes = new Uint8Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) codes[row * cols + col] = codeAt(packed, row * rowBytes, col);
  }
  let zeros = new Float32Array(rows * groups).fill(2 ** (bits - 1));
  if (tensors.zeroPoints !== undefined) {
    const name = `${where}: zeroPoints`;
    const given = checkArray(name, tensors.zeroPoints, ["Uint8Array", "Float32Array"]);
    if (given instanceof Float32Array) zeros = checkScaleTensor(name, given, rows * groups, shape) as typeof zeros;
    else {
      const width = Math.ceil(groups / perByte);
      checkLength(name, given, rows * width, `rows ${rows} x ${width} bytes`);
      for (let i = 0; i < zeros.length; i++) zeros[i] = codeAt(given, Math.floor(i / groups) * width, i % groups);
    }
  }
  // Blocks longer than a row are the row.
  const groupSize = Math.min(blockSize, cols);
  return { rows, cols, groupSize, bits, codes, scales, zeros, symmetric: isSymmetric(zeros, bits) };
}
