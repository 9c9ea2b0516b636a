// Codes of 8 columns in tiles of 64 rows, their bytes apart; assembly/vq/README.md has the drawing.
import { TILE_ROWS } from "../../kernels/types.ts";
import type { Layout } from "../../matrix/layout.ts";
import { absoluteRows, E8_COLS, e81bEntries, negativeColumns, parity } from "./tables.ts";

/** Where row i of 16 is in a vector. */
const LANES = /* @__PURE__ */ Array.from({ length: 16 }, (_, row) => (row < 8 ? 2 * row : 2 * row - 15));

/** Published codes of one row. `out` is zero where it is not written. */
export type CodeRowWriter = (row: number, out: Uint16Array) => void;

/** Offset of the first byte of a code of a row in its first unit, and the distance to the next unit. */
function rowPlace(row: number, bytes: number, { paddedRows, byteCols }: Layout): [offset: number, unit: number] {
  const first = row - (row % TILE_ROWS);
  const inTile = row - first;
  const height = Math.min(TILE_ROWS, paddedRows - first);
  const strip = inTile - (inTile & 15);
  return [bytes * (first * byteCols + strip) + (LANES[inTile & 15] as number), bytes * height];
}

/** Writes codes of `size` bytes as `stored` gives them. */
export function writeCodes(
  bytes: Uint8Array,
  rows: number,
  size: 1 | 2,
  layout: Layout,
  stored: Uint16Array,
  writeRow: CodeRowWriter,
): void {
  const { byteCols, paddedRows } = layout;
  const codes = new Uint16Array(byteCols);
  for (let row = 0; row < paddedRows; row++) {
    codes.fill(0);
    if (row < rows) writeRow(row, codes);
    const [offset, step] = rowPlace(row, size, layout);
    for (let unit = 0, at = offset; unit < byteCols; unit++, at += step) {
      const code = stored[codes[unit] as number] as number;
      bytes[at] = code;
      if (size === 2) bytes[at + 16] = code >> 8;
    }
  }
}

/** The stored codes of a row, padding included. */
export function readCodes(bytes: Uint8Array, row: number, size: 1 | 2, layout: Layout, codes: Uint16Array): void {
  const [offset, step] = rowPlace(row, size, layout);
  for (let unit = 0, at = offset; unit < layout.byteCols; unit++, at += step) {
    codes[unit] = (bytes[at] as number) | (size === 2 ? (bytes[at + 16] as number) << 8 : 0);
  }
}

// Absolute rows without a 5/2 are stored as the mask of their 3/2. The 64 masks that none has are those of which both
// nibbles share a bit of these two tables, and then the sum of two others is 8 · (column of the 5/2) + (column of the 3/2,
// or the same if there is none). assembly/vq/decode.ts has them too; a test compares what both make of all codes.
const ESCAPE_LOW = [0, 0, 0, 4, 0, 1, 1, 1, 0, 1, 1, 1, 2, 17, 1, 8];
const ESCAPE_HIGH = [0, 8, 8, 8, 8, 8, 8, 11, 8, 8, 8, 15, 24, 15, 13, 15];
const PLACE_LOW = [0, 0, 0, 0, 0, 5, 10, 30, 0, 15, 20, 35, 25, 45, 40, 50];
const PLACE_HIGH = [0, 5, 6, 10, 7, 11, 12, 0, 9, -50, -22, 1, 13, 2, 3, 4];

/** The stored byte of each of the 256 absolute rows. */
function storedRows(): Uint8Array {
  const escapes = new Uint8Array(64);
  for (let byte = 0; byte < 256; byte++) {
    const low = byte & 15;
    const high = byte >> 4;
    if (((ESCAPE_LOW[low] as number) & (ESCAPE_HIGH[high] as number)) === 0) continue;
    escapes[(PLACE_LOW[low] as number) + (PLACE_HIGH[high] as number)] = byte;
  }
  const rows = absoluteRows();
  return Uint8Array.from({ length: 256 }, (_, row) => {
    const entries = Array.from(rows.subarray(row * E8_COLS, (row + 1) * E8_COLS));
    const five = entries.indexOf(5);
    if (five < 0) return entries.reduce((mask, v, col) => mask | (v > 1 ? 1 << col : 0), 0);
    const three = entries.indexOf(3);
    return escapes[8 * five + (three < 0 ? five : three)] as number;
  });
}

let e8p: Uint16Array | undefined;
/**
 * What is stored for each code of E8P: low byte the mask of negative columns, whose bit 0 is flipped where the shift is
 * -¼; high byte that of the absolute row.
 */
export function storedE8p(): Uint16Array {
  if (e8p) return e8p;
  const rows = storedRows();
  e8p = Uint16Array.from({ length: 65536 }, (_, code) => {
    return ((rows[code >> 8] as number) << 8) | (negativeColumns(code) ^ parity(code & 255));
  });
  return e8p;
}

let e81b: Uint16Array | undefined;
/**
 * What is stored for each code of E81B: of halves bit 7 and the signs of columns 0..6, set where positive; otherwise two
 * axes, as secondAxis of assembly/vq/decode.ts says.
 */
export function storedE81b(): Uint16Array {
  if (e81b) return e81b;
  const entries = e81bEntries();
  const axes = new Map<string, number>();
  for (let byte = 0; byte < 128; byte++) {
    const first = byte & 15;
    const second = byte === 15 ? 7 : (first + (byte >> 4)) & 15;
    const v = new Int8Array(E8_COLS);
    for (const axis of [first, second]) v[axis & 7] = (v[axis & 7] as number) + (axis < 8 ? 2 : -2);
    axes.set(v.join(), byte);
  }
  e81b = Uint16Array.from({ length: 256 }, (_, code) => {
    const v = entries.subarray(code * E8_COLS, (code + 1) * E8_COLS);
    if (((v[0] as number) & 1) === 0) return axes.get(v.join()) as number;
    return v.reduce((byte, x, col) => (col < 7 && x > 0 ? byte | (1 << col) : byte), 128);
  });
  return e81b;
}

/** For each stored code the published one. */
export function inverse(stored: Uint16Array): Uint16Array {
  const codes = new Uint16Array(stored.length);
  for (const [code, at] of stored.entries()) codes[at] = code;
  return codes;
}
