// Sign planes in tiles of 64 rows; assembly/lut/README.md has the drawing.
import { TILE_ROWS } from "../../kernels/types.ts";
import type { Layout } from "../../matrix/layout.ts";

/**
 * Writes the sign bytes of one row: [byteCols][2] for ternary, [planes][byteCols] otherwise. `out` is zero where it is
 * not written.
 */
export type RowWriter = (row: number, out: Uint8Array) => void;

/**
 * How the planes of a matrix lie: side by side (ternary: two bytes a row and byte column, because one addition joins
 * them) or one after the other in each tile (binary, bcq), where the 16 rows of a vector are permuted so that sums in its
 * 32-bit lanes come out in order.
 */
export interface Planes {
  readonly count: number;
  readonly together: boolean;
}

/** Where row i of 16 is in a vector of a separate plane: its byte. Even bytes of even 16-bit lanes are rows 0..3, … */
const LANES = /* @__PURE__ */ Array.from(
  { length: 16 },
  (_, row) => 4 * (row & 3) + ([0, 2, 1, 3][row >> 2] as number),
);

/** Offset of the first byte of a row in plane 0, and the distances to its next byte column and to its next plane. */
function rowPlace(
  row: number,
  { count, together }: Planes,
  layout: Layout,
): [offset: number, col: number, plane: number] {
  const { paddedRows, byteCols } = layout;
  const first = row - (row % TILE_ROWS);
  const height = Math.min(TILE_ROWS, paddedRows - first);
  const tile = first * byteCols * count;
  if (together) return [tile + (row - first) * count, height * count, 1];
  const inTile = row - first;
  return [tile + inTile - (inTile & 15) + (LANES[inTile & 15] as number), height, height * byteCols];
}

// A tile at a time: its rows first, then the bytes in about the order in which they are stored, because writing every row
// to its scattered places would miss the cache at each byte.
export function writePlanes(
  bytes: Uint8Array,
  rows: number,
  planes: Planes,
  layout: Layout,
  writeRow: RowWriter,
): void {
  const { byteCols, paddedRows } = layout;
  const { count, together } = planes;
  const lineBytes = byteCols * count;
  const lines = new Uint8Array(Math.min(TILE_ROWS, paddedRows) * lineBytes);
  bytes.fill(0);
  for (let tile = 0; tile < rows; tile += TILE_ROWS) {
    const height = Math.min(TILE_ROWS, rows - tile);
    lines.fill(0);
    for (let i = 0; i < height; i++) writeRow(tile + i, lines.subarray(i * lineBytes, (i + 1) * lineBytes));
    const places = Array.from({ length: height }, (_, i) => rowPlace(tile + i, planes, layout));
    const [, colStep, planeStep] = places[0] as [number, number, number];
    for (let plane = 0; plane < count; plane++) {
      for (let c = 0; c < byteCols; c++) {
        const from = together ? c * count + plane : plane * byteCols + c;
        const to = c * colStep + plane * planeStep;
        for (let i = 0; i < height; i++) {
          bytes[(places[i] as [number, number, number])[0] + to] = lines[i * lineBytes + from] as number;
        }
      }
    }
  }
}

/** The bytes of one plane of a row: bit j of byte b is the sign of column 8b + j. */
export function readPlane(
  bytes: Uint8Array,
  row: number,
  plane: number,
  planes: Planes,
  layout: Layout,
  out: Uint8Array,
): void {
  const [offset, colStep, planeStep] = rowPlace(row, planes, layout);
  for (let c = 0, at = offset + plane * planeStep; c < layout.byteCols; c++, at += colStep)
    out[c] = bytes[at] as number;
}
