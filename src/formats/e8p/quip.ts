// The published layouts of QuIP# (Cornell-RelaxML/quip-sharp): indices of layers to codes in the order of the matrix.
import { checkLength, typeError } from "../../lib/check.ts";
import { e8pCode, isOdd, parity } from "./tables.ts";

/** Names of the codebooks, and the numbers that checkpoints have for them. */
export const QUIP_IDS = { D4: 0, E8P12: 7, HI4B1C: 10, E8P12RVQ4B: 17, E8P12RVQ3B: 18 } as const;
export type QuipCodebook = keyof typeof QUIP_IDS;

export type QuipIndices =
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint8Array
  | Int8Array;

/** Columns that the layout of a codebook keeps together, and rows. */
export const QUIP_SHAPES: Readonly<Record<QuipCodebook, { readonly rows: number; readonly cols: number }>> = {
  D4: { rows: 1, cols: 4 },
  E8P12: { rows: 16, cols: 64 },
  HI4B1C: { rows: 1, cols: 8 },
  E8P12RVQ4B: { rows: 16, cols: 64 },
  E8P12RVQ3B: { rows: 16, cols: 64 },
};

/** 64-bit words as pairs of 32 bits, the low one first. */
function words64(where: string, indices: unknown, words: number, shape: string): Uint32Array {
  if (indices instanceof BigInt64Array || indices instanceof BigUint64Array) {
    checkLength(where, indices, words, shape);
    return new Uint32Array(indices.buffer, indices.byteOffset, 2 * words);
  }
  if (!(indices instanceof Int32Array || indices instanceof Uint32Array)) {
    throw typeError(where, "a BigInt64Array, or a Uint32Array of low and high halves", indices);
  }
  checkLength(where, indices, 2 * words, `2 halves of ${shape}`);
  return new Uint32Array(indices.buffer, indices.byteOffset, 2 * words);
}

/**
 * E8P: words of two rows by two codes, [rows / 16][cols / 64][8 pairs of rows][4 pairs of codes]. The low half of a word
 * has the absolute bytes, byte r + 2c that of row r and code c; bit j of the signs of that code is bit 4j + r + 2c of the
 * high half.
 *
 * @param halves pairs of 32 bits, in rows of `stride` words of which `skip` come before those that are read
 * @returns [rows, cols / 8]
 */
function e8pCodes(halves: Uint32Array, rows: number, cols: number, stride: number, skip: number): Uint16Array {
  const perRow = cols / 32;
  const units = cols / 8;
  const codes = new Uint16Array(rows * units);
  for (let i = 0; i < rows * perRow; i++) {
    const at = 2 * (Math.floor(i / perRow) * stride + skip + (i % perRow));
    const low = halves[at] as number;
    const high = halves[at + 1] as number;
    const block = Math.floor(i / 32);
    const row = 16 * Math.floor(block / (cols / 64)) + 2 * ((i >> 2) & 7);
    const unit = 8 * (block % (cols / 64)) + 2 * (i & 3);
    for (let code = 0; code < 4; code++) {
      let signs = 0;
      for (let j = 0; j < 8; j++) signs |= ((high >>> (4 * j + code)) & 1) << j;
      const absolute = (low >>> (8 * code)) & 255;
      codes[(row + (code & 1)) * units + unit + (code >> 1)] = (absolute << 8) | signs;
    }
  }
  return codes;
}

/** Codes of E8P12, and of the residual where there is one: [rows, cols / 8] each. */
export function quipE8p(
  where: string,
  indices: unknown,
  codebook: "E8P12" | "E8P12RVQ3B" | "E8P12RVQ4B",
  rows: number,
  cols: number,
): { readonly main: Uint16Array; readonly residual: Uint16Array | undefined } {
  const main = cols / 32;
  const rest = codebook === "E8P12" ? 0 : codebook === "E8P12RVQ4B" ? main : cols / 64;
  const stride = main + rest;
  const halves = words64(where, indices, rows * stride, `rows ${rows} x ${stride} words of cols ${cols}`);
  const codes = e8pCodes(halves, rows, cols, stride, 0);
  if (codebook === "E8P12") return { main: codes, residual: undefined };
  if (codebook === "E8P12RVQ4B") return { main: codes, residual: e8pCodes(halves, rows, cols, stride, main) };
  // Byte b of a word of E81B has columns 8b … of its 64.
  const residual = new Uint16Array((rows * cols) / 8);
  for (let row = 0, to = 0; row < rows; row++) {
    for (let word = 0; word < rest; word++) {
      const at = 2 * (row * stride + main + word);
      for (let b = 0; b < 8; b++) residual[to++] = ((halves[at + (b >> 2)] as number) >>> (8 * (b & 3))) & 255;
    }
  }
  return { main: codes, residual };
}

/**
 * Row 254 of version 0 is row 248 once more, 045; 014 took its place in version 1 (QuIP# at commit 2ddaccf, where the
 * codebook is int16 less 32768).
 */
const REPEATED_ROW = { from: 254, to: 248 } as const;

let version0: Uint16Array | undefined;
/**
 * The code of version 1 for each of version 0: bits 8 to 15 are the row, bit 8 - k is set where column k is negative
 * (1 <= k < 8), column 0 is where the sum would be odd otherwise, and bit 0 says +¼ instead of -¼.
 */
function version0Codes(): Uint16Array {
  version0 ??= Uint16Array.from({ length: 65536 }, (_, code) => {
    const stored = code >> 8;
    const row = stored === REPEATED_ROW.from ? REPEATED_ROW.to : stored;
    let negative = 0;
    for (let col = 1; col < 8; col++) negative |= ((code >> (8 - col)) & 1) << col;
    if ((parity(negative) === 1) !== isOdd(row)) negative |= 1;
    return e8pCode(row, negative, (code & 1) === 0);
  });
  return version0;
}

/** Version 0 of E8P12, of the release of 2023-12-03: int16 [rows, cols / 8], the code less 32768. */
export function quipE8p0(where: string, indices: unknown, rows: number, cols: number): Uint16Array {
  if (!(indices instanceof Int16Array)) throw typeError(where, "an Int16Array (version 0)", indices);
  checkLength(where, indices, rows * (cols / 8), `rows ${rows} x ${cols / 8} codes of cols ${cols}`);
  const codes = version0Codes();
  return Uint16Array.from(indices, (index) => codes[index + 32768] as number);
}

/** Codes of D4, a byte for 4 columns. */
export function quipD4(where: string, indices: unknown, rows: number, cols: number): Uint8Array {
  if (!(indices instanceof Uint8Array || indices instanceof Int8Array)) throw typeError(where, "a Uint8Array", indices);
  checkLength(where, indices, (rows * cols) / 4, `rows ${rows} x ${cols / 4} codes of cols ${cols}`);
  return new Uint8Array(indices.buffer, indices.byteOffset, indices.length);
}

/** Columns of the nibbles of an int32 of HI4B1C, the highest nibble first. */
const HALF_INTEGER_COLS = [0, 2, 4, 6, 1, 3, 5, 7] as const;

/** Nibbles of HI4B1C, [rows, cols]. */
export function quipHalfIntegers(where: string, indices: unknown, rows: number, cols: number): Uint8Array {
  if (!(indices instanceof Int32Array || indices instanceof Uint32Array))
    throw typeError(where, "an Int32Array", indices);
  checkLength(where, indices, (rows * cols) / 8, `rows ${rows} x ${cols / 8} words of cols ${cols}`);
  const codes = new Uint8Array(rows * cols);
  for (const [i, word] of indices.entries()) {
    for (const [k, col] of HALF_INTEGER_COLS.entries()) codes[8 * i + col] = (word >>> (28 - 4 * k)) & 15;
  }
  return codes;
}
