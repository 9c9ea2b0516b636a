import type { Weights } from "./weights.ts";

/** Rows of a tile; the last one may have 16, 32 or 48. */
export const tileRows = 64;

/** Rows are padded to a multiple of this. */
export const rowUnit = 16;

export function padRows(rows: number): number {
  return Math.ceil(rows / rowUnit) * rowUnit;
}

/**
 * The stored bytes: tiles of 64 rows, one after the other; within a tile [byte of 8 columns][row][plane].
 * Bit j of the byte of byte column b is the sign of column 8 b + j; padding rows and columns are clear.
 */
export function tileBytes(codes: Int8Array, rows: number, cols: number, planes: 1 | 2): Uint8Array {
  const padded = padRows(rows);
  const byteCols = Math.ceil(cols / 8);
  const bytes = new Uint8Array(padded * byteCols * planes);
  let at = 0;
  for (let first = 0; first < padded; first += tileRows) {
    const height = Math.min(tileRows, padded - first);
    for (let byteCol = 0; byteCol < byteCols; byteCol++) {
      for (let row = first; row < first + height; row++) {
        for (let plane = 0; plane < planes; plane++) {
          bytes[at++] = signByte(codes, rows, cols, planes, row, byteCol, plane);
        }
      }
    }
  }
  return bytes;
}

function signByte(
  codes: Int8Array,
  rows: number,
  cols: number,
  planes: 1 | 2,
  row: number,
  byteCol: number,
  plane: number,
): number {
  let byte = 0;
  for (let j = 0; j < 8; j++) {
    const column = byteCol * 8 + j;
    if (row >= rows || column >= cols) continue;
    const code = codes[row * cols + column] as number;
    if (planes === 2 && plane === 0 ? code >= 0 : code > 0) byte |= 1 << j;
  }
  return byte;
}

/** The stored scales: [groups][padded rows], so that a kernel loads those of neighbouring rows at once. */
export function tileScales(weights: Weights): Float32Array {
  const { rows, groups, scales } = weights;
  const padded = padRows(rows);
  const out = new Float32Array(groups * padded);
  for (let g = 0; g < groups; g++) {
    for (let r = 0; r < rows; r++) out[g * padded + r] = scales[r * groups + g] as number;
  }
  return out;
}
