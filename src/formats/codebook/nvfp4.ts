// NVFP4: blocks of 16 columns of E2M1 with an E4M3 scale, and a float32 scale of the whole matrix.
import { checkLength, rangeError, typeError } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { e4m3ToFloat } from "../../lib/half.ts";
import type { OptionNames, Settled } from "../../lib/options.ts";
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
  /** What the block scales are multiplied by (`weight_scale_2`): a number, or a tensor of one. Default 1. */
  readonly globalScale?: number | FloatTensor | undefined;
  /** What they are divided by (`weight_global_scale`), in checkpoints that have that in its place. */
  readonly globalDivisor?: number | FloatTensor | undefined;
}

export const NVFP4_NAMES: OptionNames<Nvfp4Tensors> = {
  rows: [],
  cols: [],
  packed: ["weight_packed", "weight"],
  scales: ["weight_scale"],
  globalScale: ["weight_scale_2"],
  globalDivisor: ["weight_global_scale"],
};

const BLOCK = 16;

/**
 * The codes of E2M1_DOUBLED, and fround(E4M3 · globalScale / 2), half of the published scale.
 *
 * @throws TypeError, RangeError for a wrong argument: a length that does not fit the shape, a scale that is NaN, a global
 * scale that is not finite or takes scales out of float32
 */
export function importNvfp4(where: string, tensors: Settled<Nvfp4Tensors>): ImportedTable {
  const { rows, cols, groups } = checkImportShape(where, { ...tensors, groupSize: BLOCK });
  checkMultiple(`${where}: cols`, cols, BLOCK, "whole blocks");
  const packed = checkBytes(`${where}: packed`, tensors.packed, (rows * cols) / 2, `rows ${rows} x cols ${cols} / 2`);
  const shape = `rows ${rows} x blocks of a row ${groups}`;
  const blockScales = checkBytes(`${where}: scales`, tensors.scales, rows * groups, shape);
  const [multiplier, divisor] = [oneOf(where, "globalScale", tensors), oneOf(where, "globalDivisor", tensors)];
  if (multiplier !== undefined && divisor !== undefined) {
    throw rangeError(`${where}: globalDivisor`, "globalScale or globalDivisor", "both");
  }
  const globalScale = multiplier ?? 1 / (divisor ?? 1);
  // 448 is the largest E4M3.
  if (!Number.isFinite(Math.fround(globalScale * 224))) {
    const name = divisor === undefined ? "globalScale" : "globalDivisor";
    throw rangeError(`${where}: ${name}`, "a number that leaves scales finite", multiplier ?? divisor);
  }
  const codes = new Uint8Array(rows * cols);
  for (let i = 0; i < packed.length; i++) {
    const byte = packed[i] as number;
    codes[2 * i] = byte & 15;
    codes[2 * i + 1] = byte >> 4;
  }
  // A division by the divisor itself, whose reciprocal is rounded.
  const scales = e4m3ToFloat(`${where}: scales`, blockScales).map((scale) =>
    divisor === undefined ? (scale * globalScale) / 2 : scale / divisor / 2,
  );
  return { rows, cols, groupSize: BLOCK, codes, scales, table: E2M1_DOUBLED };
}

/** A number, or that of a tensor of one. */
function oneOf(
  where: string,
  name: "globalScale" | "globalDivisor",
  tensors: Settled<Nvfp4Tensors>,
): number | undefined {
  const value = tensors[name];
  if (value === undefined || typeof value === "number") return value;
  if (!(value instanceof Float32Array)) throw typeError(`${where}: ${name}`, "a number, or a tensor of one", value);
  checkLength(`${where}: ${name}`, value, 1, "a number, or a tensor of one");
  return value[0];
}
