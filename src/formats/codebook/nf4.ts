// The 4-bit formats of bitsandbytes, NF4 and FP4: blocks of the flattened matrix with a float32 scale.
import { checkChoice, checkFinite, checkFloats, checkInteger, MAX_COLS, rangeError } from "../../lib/check.ts";
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
  /** float32 [ceil(rows · cols / blockSize)]; where it is quantised itself ("double quant"), what that stands for */
  readonly absmax: FloatTensor;
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
  const absmax = checkFloats(
    `${where}: absmax`,
    tensors.absmax,
    blocks,
    `rows ${rows} x cols ${cols} / blockSize ${blockSize}`,
  );
  checkFinite(`${where}: absmax`, absmax);
  const codes = new Uint8Array(length);
  for (let i = 0; i < length; i++) codes[i] = ((packed[i >> 1] as number) >> (i & 1 ? 0 : 4)) & 15;
  const table = type === "nf4" ? NF4 : BNB_FP4;
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
