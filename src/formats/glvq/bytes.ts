// Codes of 2 bits, four neighbouring columns a byte, the bytes of 16 rows together; assembly/vq/README.md has the drawing.
import { STRIP_ROWS } from "../../kernels/types.ts";
import { type Layout, UNIT_COLS } from "../../matrix/layout.ts";
import type { CodeWriter } from "../shared/words.ts";

const BYTE_COLS = 4;

/** Offset of the first byte of a row; the next is STRIP_ROWS further. */
function rowAt(row: number, { byteCols }: Layout): number {
  const inStrip = row % STRIP_ROWS;
  return ((row - inStrip) * byteCols * UNIT_COLS) / BYTE_COLS + inStrip;
}

export function writeVectors(bytes: Uint8Array, rows: number, layout: Layout, writeRow: CodeWriter): void {
  const codes = new Uint8Array(layout.byteCols * UNIT_COLS);
  for (let row = 0; row < layout.paddedRows; row++) {
    codes.fill(0);
    if (row < rows) writeRow(row, codes);
    let at = rowAt(row, layout);
    for (let c = 0; c < codes.length; c += BYTE_COLS, at += STRIP_ROWS) {
      let byte = 0;
      for (let k = BYTE_COLS - 1; k >= 0; k--) byte = (byte << 2) | (codes[c + k] as number);
      bytes[at] = byte;
    }
  }
}

/** A row as nibbles, each the codes of two columns, padding included. */
export function readNibbles(bytes: Uint8Array, row: number, layout: Layout, nibbles: Uint8Array): void {
  for (let i = 0, at = rowAt(row, layout); i < nibbles.length; i += 2, at += STRIP_ROWS) {
    const byte = bytes[at] as number;
    nibbles[i] = byte & 15;
    nibbles[i + 1] = byte >> 4;
  }
}
