// The tile layout that every plane kernel reads; assembly/lut/README.md has the drawing.

/** Rows of a full tile. The last tile of a matrix may be lower: a multiple of 16. */
export const TILE_ROWS: i32 = 64;

/** Height of the tile that starts at `row` (a multiple of TILE_ROWS) of a matrix of `paddedRows` rows. */
// @ts-ignore: decorator
@inline
export function tileHeight(row: i32, paddedRows: i32): i32 {
  return min(TILE_ROWS, paddedRows - row);
}

/**
 * Scales and offsets of a plane: float32 [tile][groups][height of the tile], so that those of a tile are read in order.
 * Offset in bytes of the first group of `row`, and the distance to its next group.
 */
// @ts-ignore: decorator
@inline
export function groupStart(row: i32, groups: i32): usize {
  const tile = row & -TILE_ROWS;
  return (<usize>tile * <usize>groups + <usize>(row - tile)) << 2;
}

// @ts-ignore: decorator
@inline
export function groupStride(row: i32, paddedRows: i32): usize {
  return <usize>tileHeight(row & -TILE_ROWS, paddedRows) << 2;
}
