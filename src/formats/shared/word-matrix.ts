// What the formats of codes in words share: uniform and codebook.
import { formatOf } from "../../kernels/formats.ts";
import { readGroupValues, tablesAt, UNIT_COLS } from "../../matrix/layout.ts";
import { type Content, makeMatrix } from "../../matrix/make.ts";
import type { Matrix } from "../../matrix/spec.ts";
import { type CodeWriter, readWords, type Words, writeWords } from "./words.ts";

type WordContent = Pick<
  Content,
  "label" | "format" | "shape" | "scales" | "offsets" | "records" | "tables" | "columnOrder"
> & {
  readonly writeRow: CodeWriter;
  /** What a code of a row stands for, before it is scaled; `tables` are the stored ones. */
  readonly level: (code: number, row: number, tables: Uint8Array) => number;
};

/** w = scale · level(code) + offset. */
export function makeWords(where: string, lb: unknown, content: WordContent): Matrix {
  const { format, shape, writeRow, level } = content;
  const { bits, layout: kind } = formatOf(format, shape.activation);
  const words: Words = { bits, wordBytes: kind === "rowWords" ? 16 : 4 };
  return makeMatrix(where, lb, {
    ...content,
    write: (bytes, layout) => writeWords(bytes, shape.rows, words, layout, writeRow),
    reader: (layout) => {
      const codes = new Uint8Array(layout.byteCols * UNIT_COLS);
      return (bytes, floats, row, out) => {
        readWords(bytes, row, words, layout, codes);
        const tables = bytes.subarray(tablesAt(layout));
        for (let col = 0; col < out.length; col++) out[col] = level(codes[col] as number, row, tables);
        readGroupValues(floats, row, layout, out);
      };
    },
  });
}
