// MXFP4 (OCP Microscaling Formats 1.0): blocks of 32 columns of E2M1 with an E8M0 scale.
import { checkChoice, rangeError } from "../../lib/check.ts";
import { e8m0ToFloat } from "../../lib/half.ts";
import type { OptionNames, Settled } from "../../lib/options.ts";
import { checkBytes, checkImportShape, checkMultiple, type ImportedTable } from "../shared/tensors.ts";
import { E2M1_DOUBLED } from "./published.ts";

export const MXFP4_LAYOUTS = ["interleaved", "ggml"] as const;

export interface Mxfp4Tensors {
  readonly rows: number;
  /** A multiple of 32. */
  readonly cols: number;
  /**
   * "interleaved", as in the checkpoints of gpt-oss (default): the low nibble of byte j is column 2j of its block, the high
   * one column 2j + 1; scales apart. "ggml", the blocks of GGUF files: the scale's byte, then 16 bytes, the low nibble of
   * byte j being column j and the high one column j + 16.
   */
  readonly layout?: (typeof MXFP4_LAYOUTS)[number] | undefined;
  /** [rows, cols / 32, 16], or for "ggml" [rows, cols / 32, 17] */
  readonly blocks: Uint8Array;
  /** [rows, cols / 32], E8M0; not for "ggml" */
  readonly scales?: Uint8Array | undefined;
}

export const MXFP4_NAMES: OptionNames<Mxfp4Tensors> = {
  rows: [],
  cols: [],
  layout: [],
  blocks: ["weight_packed"],
  scales: ["weight_scale"],
};

const BLOCK = 32;

/**
 * The codes of E2M1_DOUBLED, and 2^(e - 128), half of the published scale 2^(e - 127).
 *
 * @throws TypeError, RangeError for a wrong argument: a length that does not fit the shape, a scale of 255, which is NaN
 */
export function importMxfp4(where: string, tensors: Settled<Mxfp4Tensors>): ImportedTable {
  const { rows, cols, groups } = checkImportShape(where, { ...tensors, groupSize: BLOCK });
  checkMultiple(`${where}: cols`, cols, BLOCK, "whole blocks");
  const layout = tensors.layout === undefined ? "interleaved" : tensors.layout;
  checkChoice(`${where}: layout`, layout, MXFP4_LAYOUTS);
  const shape = `rows ${rows} x blocks of a row ${groups}`;
  const count = rows * groups;
  const codes = new Uint8Array(rows * cols);
  let exponents: Uint8Array;
  if (layout === "ggml") {
    const bytes = checkBytes(`${where}: blocks`, tensors.blocks, count * 17, `${shape} x 17`);
    if (tensors.scales !== undefined) {
      throw rangeError(`${where}: scales`, 'none with layout "ggml", whose blocks contain them', tensors.scales);
    }
    exponents = Uint8Array.from({ length: count }, (_, block) => bytes[block * 17] as number);
    for (let block = 0; block < count; block++) {
      for (let j = 0; j < 16; j++) {
        const byte = bytes[block * 17 + 1 + j] as number;
        codes[block * BLOCK + j] = byte & 15;
        codes[block * BLOCK + 16 + j] = byte >> 4;
      }
    }
  } else {
    const bytes = checkBytes(`${where}: blocks`, tensors.blocks, count * 16, `${shape} x 16`);
    exponents = checkBytes(`${where}: scales`, tensors.scales, count, shape);
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i] as number;
      codes[2 * i] = byte & 15;
      codes[2 * i + 1] = byte >> 4;
    }
  }
  // Exact: 2^-128 is a denormal float32.
  const scales = e8m0ToFloat(`${where}: scales`, exponents).map((scale) => scale / 2);
  return { rows, cols, groupSize: BLOCK, codes, scales, table: E2M1_DOUBLED };
}
