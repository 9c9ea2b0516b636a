// The tile layout that every plane kernel reads; assembly/lut/README.md has the drawing.

/** Rows of a full tile. The last tile of a matrix may be lower: a multiple of 16. */
export const TILE_ROWS: i32 = 64;

/** Height of the tile that starts at `row` (a multiple of TILE_ROWS) of a matrix of `paddedRows` rows. */
// @ts-ignore: decorator
@inline
export function tileHeight(row: i32, paddedRows: i32): i32 {
  return min(TILE_ROWS, paddedRows - row);
}

// Scales are stored in the order in which gemv meets them, so that each of its loads walks through them once, from the first
// byte to the last: a processor fetches ahead of a load that does not jump. Kernels that sum a tile at a time have float32
// [tile][groups][height of the tile], those that sum a strip of 16 rows at a time [strip][groups][16 rows]. Offsets are
// [strip][groups][16 rows] everywhere (finish.ts).

/** Bytes of the scales or offsets of one group of a strip. */
export const STRIP_BYTES: usize = 64;

/** Offset in bytes of the first group of the tile that starts at `row`. */
// @ts-ignore: decorator
@inline
export function groupStart(row: i32, groups: i32): usize {
  return (<usize>row * <usize>groups) << 2;
}

/** The same of `row` where they are [strip][groups][16 rows]. */
// @ts-ignore: decorator
@inline
export function stripStart(row: i32, groups: i32): usize {
  return (<usize>(row & -16) * <usize>groups + <usize>(row & 15)) << 2;
}
