// Matrices of E8P and E81B codes as the kernels multiply them, without rotations: w = scale · entry.
import { readGroupValues } from "../../matrix/layout.ts";
import { makeMatrix } from "../../matrix/make.ts";
import type { Shape } from "../../matrix/shape.ts";
import type { Matrix, Reader } from "../../matrix/spec.ts";
import { inverse, readCodes, storedE8p, storedE81b, writeCodes } from "./bytes.ts";
import { E8_COLS, e8pEntries, e81bEntries } from "./tables.ts";

export interface LatticeContent {
  readonly label: string;
  readonly shape: Shape;
  /** Published codes [rows, ceil(cols / 8)], checked. */
  readonly codes: ArrayLike<number>;
  /** What codebook entries (4w of E8P, 2w of E81B) are multiplied by: [1], [rows] or [rows, groups], checked. */
  readonly scales: Float32Array;
}

interface Code {
  readonly size: 1 | 2;
  readonly stored: () => Uint16Array;
  readonly entries: () => Int8Array;
}

const CODES: Readonly<Record<"e8p" | "e81b", Code>> = {
  e8p: { size: 2, stored: storedE8p, entries: e8pEntries },
  e81b: { size: 1, stored: storedE81b, entries: e81bEntries },
};

export function makeLattice(where: string, lb: unknown, format: "e8p" | "e81b", content: LatticeContent): Matrix {
  const { label, shape, codes, scales } = content;
  const { size, stored } = CODES[format];
  const units = Math.ceil(shape.cols / E8_COLS);
  return makeMatrix(where, lb, {
    label,
    format,
    shape,
    scales: [scales],
    write: (bytes, layout) =>
      writeCodes(bytes, shape.rows, size, layout, stored(), (row, out) => {
        for (let unit = 0; unit < units; unit++) out[unit] = codes[row * units + unit] as number;
      }),
    reader: latticeReader,
  });
}

export const latticeReader: Reader = ({ format, layout }) => {
  const { size, stored, entries } = CODES[format as "e8p" | "e81b"];
  const line = new Uint16Array(layout.byteCols);
  const published = inverse(stored());
  const table = entries();
  return (bytes, floats, row, out) => {
    readCodes(bytes, row, size, layout, line);
    for (let col = 0; col < out.length; col++) {
      const code = published[line[col >> 3] as number] as number;
      out[col] = table[E8_COLS * code + (col & 7)] as number;
    }
    readGroupValues(floats, row, layout, out);
  };
};
