// Codes of 2 to 8 bits in words, a strip of 16 rows at a time; assembly/dot/README.md and assembly/codebook/README.md have
// the drawings. A code of 3, 5 or 6 bits is split into fields of 2 or 4 bits and the bits above them.
import { STRIP_ROWS } from "../../kernels/types.ts";
import { type Layout, UNIT_COLS } from "../../matrix/layout.ts";
import type { Target } from "../../matrix/make.ts";
import type { Engine } from "../../runtime/engine.ts";

/** Fields of `bits` bits that hold the bits from `shift` on, of `words` words in a chunk. */
interface Part {
  readonly bits: number;
  readonly shift: number;
  readonly words: number;
}

const PARTS: Readonly<Record<number, readonly Part[]>> = {
  2: [{ bits: 2, shift: 0, words: 1 }],
  3: [
    { bits: 2, shift: 0, words: 2 },
    { bits: 1, shift: 2, words: 1 },
  ],
  4: [{ bits: 4, shift: 0, words: 1 }],
  5: [
    { bits: 4, shift: 0, words: 4 },
    { bits: 1, shift: 4, words: 1 },
  ],
  6: [
    { bits: 4, shift: 0, words: 2 },
    { bits: 2, shift: 4, words: 1 },
  ],
  8: [{ bits: 8, shift: 0, words: 2 }],
};

/** How a word is built: of 4 bytes, each row in a lane of a vector; or of 16, a whole vector of one row. */
export interface Words {
  readonly bits: number;
  readonly wordBytes: 4 | 16;
}

// Of 8-bit codes those of odd columns are stored less 128.
const flip = (bits: number, column: number): number => (bits === 8 && column & 1 ? 0x80 : 0);

/** Writes the codes of one row, 0..2^bits - 1. `out` has room for all columns and more, and is zero where it is not written. */
export type CodeWriter = (row: number, out: Uint8Array) => void;

/**
 * Writes the codes of rows first to first + rows - 1, at most 16, from address `to` on, `stride` bytes a row: of every strip the same
 * columns; others are zero. It may not allocate.
 */
export type StripWriter = (engine: Engine, first: number, rows: number, to: number, stride: number) => void;

/** Bytes between rows of codes: a line of a cache more than they have, so that those of a strip do not compete for its places. */
const strideOf = (cols: number): number => Math.ceil(cols / 64) * 64 + 64;

/** Field j of byte i of a word is column wordBytes · j + i of the columns of the word. */
export function writeWords(
  { engine, address }: Target,
  rows: number,
  { bits, wordBytes }: Words,
  { byteCols, paddedRows }: Layout,
  writeStrip: StripWriter,
): void {
  const cols = byteCols * UNIT_COLS;
  const stride = strideOf(cols);
  const stripBytes = STRIP_ROWS * byteCols * bits;
  engine.arena.lend(STRIP_ROWS * stride, (codes) => {
    for (let first = 0; first < paddedRows; first += STRIP_ROWS) {
      const height = Math.min(STRIP_ROWS, rows - first);
      if (first === 0 || height < STRIP_ROWS) engine.arena.bytes.fill(0, codes, codes + STRIP_ROWS * stride);
      writeStrip(engine, first, height, codes, stride);
      const to = address + (first / STRIP_ROWS) * stripBytes;
      engine.exports.pack_words(codes, stride, to, cols, bits, wordBytes === 16 ? 1 : 0);
    }
  });
}

/** A strip row by row. */
export function byRow(writeRow: CodeWriter): StripWriter {
  return ({ arena }, first, rows, to, stride) => {
    for (let row = 0, at = to; row < rows; row++, at += stride) {
      writeRow(first + row, arena.bytes.fill(0, at, at + stride).subarray(at, at + stride));
    }
  };
}

/** The codes of a row, padding included. */
export function readWords(bytes: Uint8Array, row: number, words: Words, layout: Layout, codes: Uint8Array): void {
  const { bits, wordBytes } = words;
  const chunk = chunkOf(words);
  codes.fill(0);
  let from = rowAt(row, words, layout, chunk);
  for (let c = 0; c < codes.length; c += chunk.cols, from += chunk.step) {
    for (const { at, col, bits: width, shift } of chunk.words) {
      const mask = (1 << width) - 1;
      for (let i = 0; i < wordBytes; i++) {
        const byte = (bytes[from + at + i] as number) ^ flip(bits, i);
        for (let j = 0, k = c + col + i; j < 8; j += width, k += wordBytes) {
          codes[k] = (codes[k] as number) | (((byte >> j) & mask) << shift);
        }
      }
    }
  }
}

/** The words of one row in a chunk: offset in bytes, first column, field width and the shift of its bits in a code. */
interface Chunk {
  readonly words: readonly {
    readonly at: number;
    readonly col: number;
    readonly bits: number;
    readonly shift: number;
  }[];
  readonly cols: number;
  /** Bytes from a row's words in one chunk to those in the next. */
  readonly step: number;
}

// 4-byte words: [chunk][word][16 rows]; 16-byte words: [chunk][16 rows][word].
function chunkOf({ bits, wordBytes }: Words): Chunk {
  const wordStep = wordBytes === 4 ? wordBytes * STRIP_ROWS : wordBytes;
  const words = (PARTS[bits] as readonly Part[]).flatMap((part) =>
    Array.from({ length: part.words }, (_, word) => ({ ...part, col: (word * wordBytes * 8) / part.bits })),
  );
  return {
    words: words.map(({ bits: width, shift, col }, i) => ({ at: i * wordStep, col, bits: width, shift })),
    cols: (words.length * wordBytes * 8) / bits,
    step: words.length * wordBytes * STRIP_ROWS,
  };
}

/** Offset of a row's words in its first chunk. */
function rowAt(row: number, { bits, wordBytes }: Words, { byteCols }: Layout, { words }: Chunk): number {
  const inStrip = row % STRIP_ROWS;
  return (row - inStrip) * byteCols * bits + inStrip * wordBytes * (wordBytes === 4 ? 1 : words.length);
}
