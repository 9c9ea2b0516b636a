// iFairy (arXiv:2508.05571): the master weights of its checkpoints, and the blocks of its port to llama.cpp.
import { checkFinite, checkFloats, rangeError, typeError } from "../../lib/check.ts";
import type { ComplexArray } from "../../lib/complex-array.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { halfToFloat } from "../../lib/half.ts";
import type { OptionNames, Settled } from "../../lib/options.ts";
import { checkBytes, checkImportShape, checkMultiple, type ImportShape } from "../shared/tensors.ts";
import type { ComplexCodes } from "./quantize.ts";

export interface IfairyMaster {
  readonly rows: number;
  readonly cols: number;
  /** `weight_real` [rows, cols]; published as bfloat16: `{ dtype: "bfloat16", data }` */
  readonly weightReal: FloatTensor;
  /** `weight_imag` [rows, cols] */
  readonly weightImag: FloatTensor;
}

export const MASTER_NAMES: OptionNames<IfairyMaster> = {
  rows: [],
  cols: [],
  weightReal: ["weight_real"],
  weightImag: ["weight_imag"],
};

export interface IfairyBlocks {
  readonly rows: number;
  /** A multiple of 256. */
  readonly cols: number;
  /** [rows, cols / 256, 68]: 64 bytes of codes, then float16 `d_real` and `d_imag` */
  readonly blocks: Uint8Array;
  /**
   * Bytes of a run, in which two bits of each byte are neighbouring columns: 32 (default) as the type's reference quantiser
   * writes them, 16 as the vector kernels of later versions and their converter have them. Files do not say which.
   */
  readonly run?: 16 | 32;
}

export const BLOCK_NAMES: OptionNames<IfairyBlocks> = { rows: [], cols: [], blocks: [], run: [] };

/** Complex codes as `complex.pack` takes them. The model multiplies W conj(x). */
export interface ImportedComplex extends ImportShape, ComplexCodes {}

const BLOCK = 256;
const BLOCK_CODES = BLOCK / 4;
const BLOCK_BYTES = BLOCK_CODES + 4;

/** The codes 0 to 3 of a block are -1, 1, -i and i; ours are the powers of i. */
const POWER_OF_I = [2, 0, 3, 1] as const;

/**
 * The weights that iFairy quantises when it loads them (`phaseCodes`, one pair of scales a matrix).
 *
 * @throws TypeError, RangeError for a wrong argument: a length that does not fit the shape, NaN or Infinity
 */
export function fromMaster(where: string, master: Settled<IfairyMaster>): ComplexArray {
  const { rows, cols } = checkImportShape(where, { ...master, groupSize: 1 });
  const shape = `rows ${rows} x cols ${cols}`;
  const floatsOf = (name: "weightReal" | "weightImag"): Float32Array => {
    const at = `${where}: ${name}`;
    const floats = checkFloats(at, master[name], rows * cols, shape);
    checkFinite(at, floats, "finite weights");
    return floats;
  };
  return { re: floatsOf("weightReal"), im: floatsOf("weightImag") };
}

/**
 * Codes and scales of blocks: column 4 run a + run n + m of a block is in bits 2 n and 2 n + 1 of byte run a + m.
 *
 * @returns scales [1] and groupSize cols if those of all blocks are equal, else [rows, cols / 256] and 256
 * @throws TypeError, RangeError for a wrong argument: a length that does not fit the shape, a scale that is 0, NaN or
 * infinite, with its block
 */
export function fromBlocks(where: string, tensors: Settled<IfairyBlocks>): ImportedComplex {
  const { rows, cols, groups } = checkImportShape(where, { ...tensors, groupSize: BLOCK });
  checkMultiple(`${where}: cols`, cols, BLOCK, "whole blocks");
  const { run = 32 } = tensors;
  if (run !== 16 && run !== 32) {
    if (typeof run !== "number") throw typeError(`${where}: run`, "16 or 32", run);
    throw rangeError(`${where}: run`, "16 or 32", run);
  }
  const count = rows * groups;
  const shape = `rows ${rows} x blocks of a row ${groups} x ${BLOCK_BYTES}`;
  const bytes = checkBytes(`${where}: blocks`, tensors.blocks, count * BLOCK_BYTES, shape);
  const codes = new Uint8Array(rows * cols);
  for (let block = 0, at = 0; block < count; block++) {
    for (let column = 0; column < BLOCK; column++, at++) {
      const inRun = column % run;
      const part = Math.floor(column / run);
      const byte = bytes[block * BLOCK_BYTES + run * (part >> 2) + inRun] as number;
      codes[at] = POWER_OF_I[((byte >> (2 * (part & 3))) & 3) as 0 | 1 | 2 | 3];
    }
  }
  const re = blockScales(where, bytes, count, "d_real", BLOCK_CODES);
  const im = blockScales(where, bytes, count, "d_imag", BLOCK_CODES + 2);
  const alike = re.every((scale) => scale === re[0]) && im.every((scale) => scale === im[0]);
  if (!alike) return { rows, cols, groupSize: BLOCK, codes, scales: { re, im } };
  return { rows, cols, groupSize: cols, codes, scales: { re: re.slice(0, 1), im: im.slice(0, 1) } };
}

/** The float16 at `offset` of each block. */
function blockScales(where: string, bytes: Uint8Array, count: number, name: string, offset: number): Float32Array {
  const halves = Uint16Array.from({ length: count }, (_, block) => {
    const at = block * BLOCK_BYTES + offset;
    return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
  });
  const scales = halfToFloat(where, halves);
  const bad = scales.findIndex((scale) => scale === 0 || !Number.isFinite(scale));
  if (bad >= 0) throw rangeError(`${where}: blocks`, `finite ${name}, not 0`, `${scales[bad]} in block ${bad}`);
  return scales;
}
