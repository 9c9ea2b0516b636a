// NVFP4: blocks of 16 columns of E2M1 with an E4M3 scale, and a float32 scale of the whole matrix.
import { checkOptions, rangeError, typeError } from "../../lib/check.ts";
import { e4m3ToFloat } from "../../lib/half.ts";
import { checkBytes, checkImportShape, checkMultiple, type ImportedTable } from "../shared/tensors.ts";
import { E2M1_DOUBLED } from "./published.ts";

export interface Nvfp4Tensors {
  readonly rows: number;
  /** A multiple of 16. */
  readonly cols: number;
  /** [rows, cols / 2]: the low nibble of byte j is column 2j, the high one column 2j + 1. */
  readonly packed: Uint8Array;
  /** [rows, cols / 16], E4M3, row-major: not in the swizzled order in which tensor cores want them */
  readonly scales: Uint8Array;
  /** What the block scales are multiplied by (`weight_scale_2`); a checkpoint with their divisor has 1 over it. Default 1. */
  readonly globalScale?: number | undefined;
}

const BLOCK = 16;

/**
 * The codes of E2M1_DOUBLED, and fround(E4M3 · globalScale / 2), half of the published scale.
 *
 * @throws TypeError, RangeError for a wrong argument: a length that does not fit the shape, a scale that is NaN, a global
 * scale that is not finite or takes scales out of float32
 */
export function importNvfp4(where: string, tensors: Nvfp4Tensors): ImportedTable {
  checkOptions(`${where}: tensors`, tensors);
  const { rows, cols, groups } = checkImportShape(where, { ...tensors, groupSize: BLOCK });
  checkMultiple(`${where}: cols`, cols, BLOCK, "whole blocks");
  const packed = checkBytes(`${where}: packed`, tensors.packed, (rows * cols) / 2, `rows ${rows} x cols ${cols} / 2`);
  const shape = `rows ${rows} x blocks of a row ${groups}`;
  const blockScales = checkBytes(`${where}: scales`, tensors.scales, rows * groups, shape);
  const globalScale = tensors.globalScale === undefined ? 1 : tensors.globalScale;
  if (typeof globalScale !== "number") throw typeError(`${where}: globalScale`, "a number", globalScale);
  // 448 is the largest E4M3.
  if (!Number.isFinite(Math.fround(globalScale * 224))) {
    throw rangeError(`${where}: globalScale`, "a number that leaves scales finite", globalScale);
  }
  const codes = new Uint8Array(rows * cols);
  for (let i = 0; i < packed.length; i++) {
    const byte = packed[i] as number;
    codes[2 * i] = byte & 15;
    codes[2 * i + 1] = byte >> 4;
  }
  const scales = e4m3ToFloat(`${where}: scales`, blockScales).map((scale) => (scale * globalScale) / 2);
  return { rows, cols, groupSize: BLOCK, codes, scales, table: E2M1_DOUBLED };
}
