// Bit planes of codes, four rows at a time; assembly/popcount/README.md has the drawing.
import { type Layout, UNIT_COLS } from "../../matrix/layout.ts";

/** Columns of a word. */
const WORD_COLS = 32;
/** Rows that are stored together: a vector has a word of each. */
const QUAD_ROWS = 4;

const wordsOf = (layout: Layout): number => (layout.byteCols * UNIT_COLS) / WORD_COLS;

// The words of the four rows of which `row` is one, and where the first of its own is.
function quadOf(bytes: Uint8Array, row: number, bits: number, layout: Layout): [words: Uint32Array, first: number] {
  const length = wordsOf(layout) * bits * QUAD_ROWS;
  const start = bytes.byteOffset + Math.floor(row / QUAD_ROWS) * length * 4;
  return [new Uint32Array(bytes.buffer, start, length), row % QUAD_ROWS];
}

/**
 * Writes codes [rows, cols]: [4 rows][plane][word][row], uint32, bit i of a word is column i.
 * @param bytes the stored bytes, of which the weights are the first
 */
export function writeQuads(bytes: Uint8Array, codes: Uint8Array, rows: number, bits: number, layout: Layout): void {
  bytes.subarray(0, layout.weightBytes).fill(0);
  const cols = codes.length / rows;
  for (let row = 0; row < rows; row++) {
    const [words, first] = quadOf(bytes, row, bits, layout);
    const start = row * cols;
    for (let plane = 0; plane < bits; plane++) {
      let at = first + plane * wordsOf(layout) * QUAD_ROWS;
      for (let col = 0; col < cols; col += WORD_COLS, at += QUAD_ROWS) {
        const count = Math.min(WORD_COLS, cols - col);
        let word = 0;
        for (let i = 0; i < count; i++) word |= (((codes[start + col + i] as number) >> plane) & 1) << i;
        words[at] = word;
      }
    }
  }
}

/** The codes [cols] of a row. */
export function readQuads(bytes: Uint8Array, row: number, bits: number, layout: Layout, codes: Uint8Array): void {
  const [words, first] = quadOf(bytes, row, bits, layout);
  const planeWords = wordsOf(layout) * QUAD_ROWS;
  for (let col = 0; col < codes.length; col++) {
    const at = first + (col >> 5) * QUAD_ROWS;
    let u = 0;
    for (let plane = 0; plane < bits; plane++) {
      u |= (((words[at + plane * planeWords] as number) >>> (col & 31)) & 1) << plane;
    }
    codes[col] = u;
  }
}
