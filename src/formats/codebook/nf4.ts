// The 4-bit formats of bitsandbytes, NF4 and FP4: blocks of the flattened matrix with a float32 scale.
import {
  checkArray,
  checkChoice,
  checkFinite,
  checkFloats,
  checkInteger,
  checkLength,
  MAX_COLS,
  rangeError,
  typeError,
} from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import type { OptionNames, Settled } from "../../lib/options.ts";
import { UNIT_COLS } from "../../matrix/layout.ts";
import { checkBytes, checkImportShape, type ImportedTable } from "../shared/tensors.ts";
import { BNB_FP4, NF4 } from "./published.ts";

export const BNB_TYPES = ["nf4", "fp4"] as const;

export interface BnbTensors {
  readonly rows: number;
  readonly cols: number;
  /** `quant_type`; default "nf4" */
  readonly type?: (typeof BNB_TYPES)[number] | undefined;
  /** [ceil(rows · cols / 2)]: the high nibble of byte j is element 2j of the flattened matrix, the low one 2j + 1. */
  readonly packed: Uint8Array;
  /**
   * float32 [ceil(rows · cols / blockSize)]; where it is quantised itself ("double quant"), what that stands for, or its codes, uint8, with
   * nestedAbsmax and nestedMap: nestedMap[code] · nestedAbsmax[floor(block / nestedBlockSize)] + nestedOffset, float32
   */
  readonly absmax: FloatTensor | Uint8Array;
  /** float32 [ceil(blocks / nestedBlockSize)] */
  readonly nestedAbsmax?: FloatTensor | undefined;
  /** `nested_quant_map`, float32 [256] */
  readonly nestedMap?: FloatTensor | undefined;
  /** `nested_offset`; default 0 */
  readonly nestedOffset?: number | undefined;
  /** `nested_blocksize`; default 256 */
  readonly nestedBlockSize?: number | undefined;
  /** `quant_map`, float32 [16]: what codes stand for, where it is not the published table of `type` */
  readonly quantMap?: FloatTensor | undefined;
  /** Elements of the flattened matrix that share a scale; default 64 */
  readonly blockSize?: number | undefined;
}

/** Codes and scales, in one part, or in two whose weights are added. */
export interface ImportedBnb extends ImportedTable {
  /** Of the same groups. A code is that of 0 here or in the first part. */
  readonly rest?: Pick<ImportedTable, "codes" | "scales">;
}
export const BNB_NAMES: OptionNames<BnbTensors> = {
  rows: [],
  cols: [],
  type: ["quant_type", "bnb_4bit_quant_type"],
  packed: ["weight"],
  absmax: [],
  nestedAbsmax: ["nested_absmax"],
  nestedMap: ["nested_quant_map"],
  nestedOffset: ["nested_offset"],
  nestedBlockSize: ["nested_blocksize"],
  quantMap: ["quant_map"],
  blockSize: ["blocksize", "block_size"],
};

/**
 * The codes and scales. Blocks go on from one row to the next: where blockSize does not divide cols, the groups here are as
 * long as the greatest common divisor of the two, and repeat the scale of their block. Where units of 8 columns are no
 * whole groups, groups are units, and what comes after the border of a block within one is in the second part.
 *
 * @throws TypeError, RangeError for a wrong argument: a length that does not fit the shape, NaN or Infinity in absmax,
 * blocks so short that a unit has two borders
 */
export function importBnb4(where: string, tensors: Settled<BnbTensors>): ImportedBnb {
  const type = tensors.type === undefined ? "nf4" : tensors.type;
  checkChoice(`${where}: type`, type, BNB_TYPES);
  const blockSize =
    tensors.blockSize === undefined ? 64 : checkInteger(`${where}: blockSize`, tensors.blockSize, 1, MAX_COLS);
  const { rows, cols } = checkImportShape(where, { ...tensors, groupSize: blockSize });
  const length = rows * cols;
  const packed = checkBytes(
    `${where}: packed`,
    tensors.packed,
    Math.ceil(length / 2),
    `rows ${rows} x cols ${cols} / 2`,
  );
  const blocks = Math.ceil(length / blockSize);
  const absmax = readAbsmax(where, tensors, blocks, `rows ${rows} x cols ${cols} / blockSize ${blockSize}`);
  const codes = new Uint8Array(length);
  for (let i = 0; i < length; i++) codes[i] = ((packed[i >> 1] as number) >> (i & 1 ? 0 : 4)) & 15;
  const table = tableOf(where, type, tensors);
  const groupSize = blocks === 1 ? cols : gcd(cols, blockSize);
  if (groupSize < cols && groupSize % UNIT_COLS !== 0) {
    return {
      rows,
      cols,
      groupSize: UNIT_COLS,
      codes,
      table,
      ...splitUnits(where, cols, blockSize, codes, absmax, table),
    };
  }
  const scales = new Float32Array(length / groupSize);
  for (let group = 0; group < scales.length; group++) {
    scales[group] = absmax[Math.floor((group * groupSize) / blockSize)] as number;
  }
  return { rows, cols, groupSize, codes, scales, table };
}

function tableOf(where: string, type: unknown, { quantMap }: Settled<BnbTensors>): readonly number[] {
  const published = type === "nf4" ? NF4 : BNB_FP4;
  if (quantMap === undefined) return published;
  const map = checkFloats(`${where}: quantMap`, quantMap, 16, "a number a code");
  checkFinite(`${where}: quantMap`, map);
  const same = map.every((value, i) => value === Math.fround(published[i] as number));
  if (!same && !map.includes(0)) throw rangeError(`${where}: quantMap`, "a table that has 0", "none");
  return same ? published : Array.from(map);
}

function readAbsmax(where: string, tensors: Settled<BnbTensors>, blocks: number, shape: string): Float32Array {
  const { nestedOffset = 0, nestedBlockSize = 256 } = tensors;
  const given = checkArray(`${where}: absmax`, tensors.absmax, ["Float32Array", "Uint8Array"]);
  checkLength(`${where}: absmax`, given, blocks, shape);
  if (given instanceof Float32Array) {
    if (tensors.nestedAbsmax !== undefined || tensors.nestedMap !== undefined) {
      throw rangeError(`${where}: absmax`, "a Uint8Array of codes with nestedAbsmax and nestedMap", "a Float32Array");
    }
    checkFinite(`${where}: absmax`, given);
    return given;
  }
  const size = checkInteger(`${where}: nestedBlockSize`, nestedBlockSize, 1, MAX_COLS);
  if (typeof nestedOffset !== "number") throw typeError(`${where}: nestedOffset`, "a number", nestedOffset);
  const map = checkFloats(`${where}: nestedMap`, tensors.nestedMap, 256, "a number a code");
  const outer = checkFloats(
    `${where}: nestedAbsmax`,
    tensors.nestedAbsmax,
    Math.ceil(blocks / size),
    "blocks of absmax",
  );
  const absmax = Float32Array.from(given, (code, i) => {
    return Math.fround((map[code] as number) * (outer[Math.floor(i / size)] as number)) + nestedOffset;
  });
  checkFinite(`${where}: absmax, from nestedMap, nestedAbsmax and nestedOffset`, absmax);
  return absmax;
}

/** Takes what comes after a border within a unit out of `codes`. A block of 8 or more has at most one border in a unit. */
function splitUnits(
  where: string,
  cols: number,
  blockSize: number,
  codes: Uint8Array,
  absmax: Float32Array,
  table: readonly number[],
): Required<Pick<ImportedBnb, "scales" | "rest">> {
  if (blockSize < UNIT_COLS) {
    throw rangeError(`${where}: blockSize`, `${UNIT_COLS} or more where it does not divide cols (${cols})`, blockSize);
  }
  const zero = table.indexOf(0);
  const units = Math.ceil(cols / UNIT_COLS);
  const scales = new Float32Array((codes.length / cols) * units);
  const rest = { codes: new Uint8Array(codes.length).fill(zero), scales: new Float32Array(scales.length) };
  for (let start = 0, unit = 0; start < codes.length; start += cols) {
    for (let col = 0; col < cols; col += UNIT_COLS, unit++) {
      const first = start + col;
      const end = start + Math.min(col + UNIT_COLS, cols);
      const block = Math.floor(first / blockSize);
      scales[unit] = absmax[block] as number;
      const border = (block + 1) * blockSize;
      if (border >= end) continue;
      rest.scales[unit] = absmax[block + 1] as number;
      rest.codes.set(codes.subarray(border, end), border);
      codes.fill(zero, border, end);
    }
  }
  return { scales, rest };
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
