// Checkpoints of HQQ (mobiusml/hqq): w = (code - zero) · scale, groups along the flattened matrix or across it.
import { checkArray, checkInteger, checkLength, rangeError } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import type { OptionNames, Settled } from "../../lib/options.ts";
import { UNIT_COLS } from "../../matrix/layout.ts";
import {
  checkImportShape,
  checkMultiple,
  checkScaleTensor,
  type ImportedUniform,
  isSymmetric,
} from "../shared/tensors.ts";

/**
 * The tensors of a layer. groups = rows · cols / groupSize. With axis 1 codes are [groups, groupSize], with axis 0 [groupSize, groups];
 * either, read row by row, is the matrix. Their rows are packed in as many blocks as codes have room in a byte, the first
 * block in the high bits.
 */
export interface HqqTensors {
  readonly rows: number;
  readonly cols: number;
  /** `nbits`: 2, 4 or 8 */
  readonly bits: 2 | 4 | 8;
  readonly groupSize: number;
  /** Default 1 */
  readonly axis?: 0 | 1 | undefined;
  /** `W_q`, uint8 [groups · bits / 8, groupSize], or of axis 0 [groupSize · bits / 8, groups] */
  readonly packed: Uint8Array;
  /** [groups] */
  readonly scale: FloatTensor;
  /** [groups], whole or not */
  readonly zero: FloatTensor;
}

export const HQQ_NAMES: OptionNames<HqqTensors> = {
  rows: [],
  cols: [],
  bits: ["nbits"],
  groupSize: ["group_size"],
  axis: [],
  packed: ["W_q"],
  scale: [],
  zero: [],
};

interface HqqCodes {
  readonly rows: number;
  readonly cols: number;
  readonly bits: number;
  readonly groupSize: number;
  readonly groups: number;
  readonly axis: number;
  /** [rows, cols] */
  readonly codes: Uint8Array;
  readonly scale: Float32Array;
  readonly zero: Float32Array;
}

/** @throws TypeError, RangeError for a wrong argument: a length that does not fit the shape, numbers that are not finite */
export function readHqq(where: string, tensors: Settled<HqqTensors>): HqqCodes {
  const { rows, cols } = checkImportShape(where, { ...tensors, groupSize: -1 });
  const bits = checkInteger(`${where}: bits`, tensors.bits, 2, 8);
  if (bits !== 2 && bits !== 4 && bits !== 8) throw rangeError(`${where}: bits`, "2, 4 or 8", bits);
  const axis = tensors.axis === undefined ? 1 : checkInteger(`${where}: axis`, tensors.axis, 0, 1);
  const length = rows * cols;
  const groupSize = checkInteger(`${where}: groupSize`, tensors.groupSize, 1, length);
  if (length % groupSize !== 0) {
    throw rangeError(`${where}: groupSize`, `a divisor of rows ${rows} x cols ${cols}`, groupSize);
  }
  const groups = length / groupSize;
  const blocks = 8 / bits;
  const height = axis === 1 ? groups : groupSize;
  checkMultiple(`${where}: ${axis === 1 ? "groups" : "groupSize"}`, height, blocks, "blocks of one height");
  const packed = checkArray(`${where}: packed`, tensors.packed, ["Uint8Array"]);
  const size = length / blocks;
  checkLength(`${where}: packed`, packed, size, `rows ${rows} x cols ${cols} / ${blocks}`);
  const scale = checkScaleTensor(`${where}: scale`, tensors.scale, groups, `groups ${groups}`);
  const zero = checkScaleTensor(`${where}: zero`, tensors.zero, groups, `groups ${groups}`);
  const codes = new Uint8Array(length);
  for (let block = 0; block < blocks; block++) {
    const shift = bits * (blocks - 1 - block);
    for (let i = 0; i < size; i++) codes[block * size + i] = ((packed[i] as number) >> shift) & (2 ** bits - 1);
  }
  return { rows, cols, bits, groupSize, groups, axis, codes, scale, zero };
}

/** Groups of axis 1, which are neighbouring columns; shorter ones where they run on over the end of a row. */
export function groupedHqq(where: string, hqq: HqqCodes): ImportedUniform {
  const { rows, cols, bits, codes } = hqq;
  const groupSize = gcd(cols, hqq.groupSize);
  if (groupSize < cols && groupSize % UNIT_COLS !== 0) {
    throw rangeError(`${where}: groupSize`, `groups with borders at multiples of ${UNIT_COLS} columns`, hqq.groupSize);
  }
  const each = (values: Float32Array): Float32Array =>
    Float32Array.from({ length: (rows * cols) / groupSize }, (_, i) => {
      return values[Math.floor((i * groupSize) / hqq.groupSize)] as number;
    });
  const zeros = each(hqq.zero);
  return { rows, cols, groupSize, bits, codes, scales: each(hqq.scale), zeros, symmetric: isSymmetric(zeros, bits) };
}

/** The numbers of axis 0, where each column has a scale of its own: (code - zero) and its product in float32. */
export function hqqNumbers({ codes, scale, zero, groups }: HqqCodes): Float32Array {
  return Float32Array.from(codes, (code, i) => {
    return Math.fround(code - (zero[i % groups] as number)) * (scale[i % groups] as number);
  });
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
