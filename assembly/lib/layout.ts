// The tile layout that every plane kernel reads; assembly/lut/README.md has the drawing.

/** Rows of a full tile. The last tile of a matrix may be lower: a multiple of 16. */
export const TILE_ROWS: i32 = 64;

/** Height of the tile that starts at `row` (a multiple of TILE_ROWS) of a matrix of `paddedRows` rows. */
// @ts-ignore: decorator
@inline
export function tileHeight(row: i32, paddedRows: i32): i32 {
  return min(TILE_ROWS, paddedRows - row);
}
