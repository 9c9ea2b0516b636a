// What the formats of codes in words share: uniform and codebook.
import { formatOf } from "../../kernels/formats.ts";
import type { Activation, FormatName } from "../../kernels/types.ts";
import { readGroupValues, tablesAt, UNIT_COLS } from "../../matrix/layout.ts";
import { type Content, makeMatrix } from "../../matrix/make.ts";
import type { Matrix, Reader, Stored } from "../../matrix/spec.ts";
import { byRow, type CodeWriter, readWords, type StripWriter, type Words, writeWords } from "./words.ts";

type WordContent = Pick<
  Content,
  "label" | "format" | "shape" | "scales" | "offsets" | "records" | "tables" | "columnOrder"
> & {
  /** The codes, row by row or a strip at a time. */
  readonly writeRow: CodeWriter | { readonly strip: StripWriter };
  readonly reader: Reader;
};

/** What a code of a row stands for, before it is scaled; `tables` are the stored ones. */
export type Level = (code: number, row: number, tables: Uint8Array) => number;

export function makeWords(where: string, lb: unknown, content: WordContent): Matrix {
  const { format, shape, writeRow } = content;
  const words = wordsOf(format, shape.activation);
  const writeStrip = typeof writeRow === "function" ? byRow(writeRow) : writeRow.strip;
  return makeMatrix(where, lb, {
    ...content,
    write: (_, layout, target) => writeWords(target, shape.rows, words, layout, writeStrip),
  });
}

/** w = scale · level(code) + offset. */
export function wordReader(levelOf: (stored: Stored) => Level): Reader {
  return (stored) => {
    const { layout } = stored;
    const words = wordsOf(stored.format, stored.activation);
    const level = levelOf(stored);
    const codes = new Uint8Array(layout.byteCols * UNIT_COLS);
    return (bytes, floats, row, out) => {
      readWords(bytes, row, words, layout, codes);
      const tables = bytes.subarray(tablesAt(layout));
      for (let col = 0; col < out.length; col++) out[col] = level(codes[col] as number, row, tables);
      readGroupValues(floats, row, layout, out);
    };
  };
}

function wordsOf(format: FormatName, activation: Activation): Words {
  const { bits, layout } = formatOf(format, activation);
  return { bits, wordBytes: layout === "rowWords" ? 16 : 4 };
}
