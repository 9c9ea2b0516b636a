// What the importers of published layouts share: checks of their tensors and of their shape.
import {
  checkArray,
  checkFinite,
  checkFloats,
  checkInteger,
  checkLength,
  MAX_COLS,
  MAX_ROWS,
  rangeError,
} from "../../lib/check.ts";
import { WHOLE_ROW } from "../../numeric/shape.ts";

export interface ImportShape {
  /** Outputs of the layer. */
  readonly rows: number;
  /** Inputs of the layer. */
  readonly cols: number;
  /** Columns that share a scale, or -1 for all of a row. The last group of a row may be shorter. */
  readonly groupSize: number;
}

/** Uniform codes as `uniform.pack` takes them: w[row, col] = scale · (code - zero). */
export interface ImportedUniform extends ImportShape {
  readonly bits: number;
  /** [rows, cols] */
  readonly codes: Uint8Array;
  /** [rows, groups] */
  readonly scales: Float32Array;
  /** [rows, groups] */
  readonly zeros: Float32Array;
  /** Whether every zero is 2^(bits - 1), so that `zeros` says nothing. */
  readonly symmetric: boolean;
}

/** Codes of a table: w[row, col] = scale · table[code]. */
export interface ImportedTable extends ImportShape {
  /** [rows, cols], from 0 to 15 */
  readonly codes: Uint8Array;
  /** [rows, groups] */
  readonly scales: Float32Array;
  readonly table: readonly number[];
}

/** Checks rows, cols and groupSize; -1, or more columns than there are, count as all of them. */
export function checkImportShape(where: string, shape: ImportShape): ImportShape & { groups: number } {
  const rows = checkInteger(`${where}: rows`, shape.rows, 1, MAX_ROWS);
  const cols = checkInteger(`${where}: cols`, shape.cols, 1, MAX_COLS);
  const given =
    shape.groupSize === WHOLE_ROW ? cols : checkInteger(`${where}: groupSize`, shape.groupSize, 1, MAX_COLS);
  const groupSize = Math.min(given, cols);
  return { rows, cols, groupSize, groups: Math.ceil(cols / groupSize) };
}

export function checkWords(where: string, value: unknown, length: number, shape: string): Int32Array | Uint32Array {
  const words = checkArray(where, value, ["Int32Array", "Uint32Array"], "an Int32Array");
  checkLength(where, words, length, shape);
  return words;
}

export function checkBytes(where: string, value: unknown, length: number, shape: string): Uint8Array {
  const bytes = checkArray(where, value, ["Uint8Array"]);
  checkLength(where, bytes, length, shape);
  return bytes;
}

/** Finite scales. */
export function checkScaleTensor(where: string, value: unknown, length: number, shape: string): Float32Array {
  const floats = checkFloats(where, value, length, shape);
  checkFinite(where, floats);
  return floats;
}

/** A number that must be a multiple of another. */
export function checkMultiple(where: string, value: number, of: number, why: string): void {
  if (value % of !== 0) throw rangeError(where, `a multiple of ${of} (${why})`, value);
}

/** [rows, groups] from [groups, rows]. */
export function transpose(from: Float32Array, rows: number, groups: number): Float32Array {
  const to = new Float32Array(rows * groups);
  for (let group = 0; group < groups; group++) {
    for (let row = 0; row < rows; row++) to[row * groups + group] = from[group * rows + row] as number;
  }
  return to;
}

export function isSymmetric(zeros: Float32Array, bits: number): boolean {
  return zeros.every((zero) => zero === 2 ** (bits - 1));
}

/** Number `index` of the fields that follow each other, lowest bits first, in the words at `start`, `start + stride`, … */
export function bitField(
  words: Int32Array | Uint32Array,
  start: number,
  stride: number,
  index: number,
  bits: number,
): number {
  const bit = index * bits;
  const at = start + (bit >>> 5) * stride;
  const shift = bit & 31;
  let value = (words[at] as number) >>> shift;
  if (shift + bits > 32) value |= (words[at + stride] as number) << (32 - shift);
  return value & ((1 << bits) - 1);
}
