import type { Weights } from "./weights.ts";

/** Rows of a tile; the last one may have 16, 32 or 48. */
export const tileRows = 64;

/** Rows are padded to a multiple of this. */
export const rowUnit = 16;

export function padRows(rows: number): number {
  return Math.ceil(rows / rowUnit) * rowUnit;
}

/** The rows of 16 in the order in which their bytes of a lone plane follow each other. */
export const laneRows: readonly number[] = [0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15];

/**
 * The stored bytes: tiles of 64 rows, one after the other; within a tile [byte of 8 columns][row][plane], where rows of
 * a lone plane are in the order of laneRows. Bit j of the byte of byte column b is the sign of column 8 b + j; padding
 * rows and columns are clear.
 */
export function tileBytes(codes: Int8Array, rows: number, cols: number, planes: 1 | 2): Uint8Array {
  const padded = padRows(rows);
  const byteCols = Math.ceil(cols / 8);
  const bytes = new Uint8Array(padded * byteCols * planes);
  let at = 0;
  for (let first = 0; first < padded; first += tileRows) {
    const height = Math.min(tileRows, padded - first);
    for (let byteCol = 0; byteCol < byteCols; byteCol++) {
      for (let i = 0; i < height; i++) {
        const row = first + (planes === 1 ? i - (i % 16) + (laneRows[i % 16] as number) : i);
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

/** The stored scales of formats of planes: [tile][groups][rows of the tile], so that those of a tile are read in order. */
export function tileScales(weights: Pick<Weights, "rows" | "groups" | "scales">): Float32Array {
  return scalesInTiles(weights, tileRows);
}

/** The stored scales of other formats, and all offsets: [strip of 16 rows][groups][16 rows]. */
export function stripScales(weights: Pick<Weights, "rows" | "groups" | "scales">): Float32Array {
  return scalesInTiles(weights, rowUnit);
}

function scalesInTiles(weights: Pick<Weights, "rows" | "groups" | "scales">, height: number): Float32Array {
  const { rows, groups, scales } = weights;
  const padded = padRows(rows);
  const out = new Float32Array(groups * padded);
  let at = 0;
  for (let first = 0; first < padded; first += height) {
    for (let g = 0; g < groups; g++) {
      for (let row = first; row < Math.min(first + height, padded); row++) {
        if (row < rows) out[at] = scales[row * groups + g] as number;
        at++;
      }
    }
  }
  return out;
}

/** The stored bytes of matrices of signs that follow one another in each tile: [plane][byte of 8 columns][row of 16s]. */
export function signPlaneBytes(planes: readonly Int8Array[], rows: number, cols: number): Uint8Array {
  const padded = padRows(rows);
  const byteCols = Math.ceil(cols / 8);
  const bytes = new Uint8Array(padded * byteCols * planes.length);
  let at = 0;
  for (let first = 0; first < padded; first += tileRows) {
    const height = Math.min(tileRows, padded - first);
    for (const signs of planes) {
      for (let byteCol = 0; byteCol < byteCols; byteCol++) {
        for (let i = 0; i < height; i++) {
          const row = first + i - (i % 16) + (laneRows[i % 16] as number);
          bytes[at++] = signByte(signs, rows, cols, 1, row, byteCol, 0);
        }
      }
    }
  }
  return bytes;
}
