import { padRows, rowUnit } from "./layout.ts";

/** One word of a chunk: `fieldBits` bits of the code from bit `shift` up, for `columns` columns from column `start`. */
interface Word {
  fieldBits: number;
  shift: number;
  start: number;
  columns: number;
}

const word = (fieldBits: number, shift: number, start: number, columns: number): Word => ({
  fieldBits,
  shift,
  start,
  columns,
});

/** The words of a chunk of 32-bit words, in stored order. */
const chunks: Record<number, readonly Word[]> = {
  2: [word(2, 0, 0, 16)],
  3: [word(2, 0, 0, 16), word(2, 0, 16, 16), word(1, 2, 0, 32)],
  4: [word(4, 0, 0, 8)],
  5: [word(4, 0, 0, 8), word(4, 0, 8, 8), word(4, 0, 16, 8), word(4, 0, 24, 8), word(1, 4, 0, 32)],
  6: [word(4, 0, 0, 8), word(4, 0, 8, 8), word(2, 4, 0, 16)],
  8: [word(8, 0, 0, 4), word(8, 0, 4, 4)],
};

/** Columns of a chunk of 32-bit words. */
export function wordChunk(bits: number): number {
  return Math.max(...(chunks[bits] as readonly Word[]).map(({ start, columns }) => start + columns));
}

/** Columns of a chunk of 128-bit words: the same fields, in four times as many bytes. */
export function rowTableChunk(bits: number): number {
  return wordChunk(bits) * 4;
}

/** The code of a row and column; 0 in the padding. */
function codeAt(codes: Uint8Array, rows: number, cols: number, row: number, column: number): number {
  return row < rows && column < cols ? (codes[row * cols + column] as number) : 0;
}

/**
 * Strips of 16 rows [strip][chunk][word][16 rows] of 32-bit words. Field j (the lowest first) of byte i of a word is its
 * column 4 j + i. Codes of 8 bits are stored less 128 in odd columns. Padding codes are 0.
 */
export function wordBytes(codes: Uint8Array, rows: number, cols: number, bits: number): Uint8Array {
  const words = chunks[bits] as readonly Word[];
  const chunk = wordChunk(bits);
  const bytes: number[] = [];
  for (let strip = 0; strip < padRows(rows); strip += rowUnit) {
    for (let start = 0; start < cols; start += chunk) {
      for (const w of words) {
        for (let row = strip; row < strip + rowUnit; row++) {
          for (let i = 0; i < 4; i++) bytes.push(byteOf(codes, rows, cols, bits, w, row, start, i, 4));
        }
      }
    }
  }
  return Uint8Array.from(bytes);
}

/**
 * Strips of 16 rows [strip][chunk][16 rows][word] of 128-bit words, for 2, 3 and 4 bits. Field j of byte i of a word is
 * its column 16 j + i. Padding codes are 0.
 */
export function rowTableBytes(codes: Uint8Array, rows: number, cols: number, bits: number): Uint8Array {
  const words = chunks[bits] as readonly Word[];
  const chunk = rowTableChunk(bits);
  const bytes: number[] = [];
  for (let strip = 0; strip < padRows(rows); strip += rowUnit) {
    for (let start = 0; start < cols; start += chunk) {
      for (let row = strip; row < strip + rowUnit; row++) {
        for (const w of words) {
          const wide = { ...w, start: w.start * 4, columns: w.columns * 4 };
          for (let i = 0; i < 16; i++) bytes.push(byteOf(codes, rows, cols, bits, wide, row, start, i, 16));
        }
      }
    }
  }
  return Uint8Array.from(bytes);
}

/** Byte i of a word of `width` bytes: field j is column width·j + i of the word. */
function byteOf(
  codes: Uint8Array,
  rows: number,
  cols: number,
  bits: number,
  w: Word,
  row: number,
  chunkStart: number,
  i: number,
  width: number,
): number {
  let byte = 0;
  for (let j = 0; j < w.columns / width; j++) {
    const code = codeAt(codes, rows, cols, row, chunkStart + w.start + width * j + i);
    const stored = bits === 8 && i % 2 === 1 ? (code + 128) % 256 : code;
    byte |= ((stored >> w.shift) & (2 ** w.fieldBits - 1)) << (j * w.fieldBits);
  }
  return byte;
}
