// Companded vectors, back from memory.
import { readGroupValues, tablesAt, UNIT_COLS } from "../../matrix/layout.ts";
import type { Reader } from "../../matrix/spec.ts";
import { readNibbles } from "./bytes.ts";
import { decodeColumn, readTable, tableCount } from "./tables.ts";

export const vectorReader: Reader = ({ cols, layout }) => {
  const nibbles = new Uint8Array((layout.byteCols * UNIT_COLS) / 2);
  return (bytes, floats, row, out) => {
    readNibbles(bytes, row, layout, nibbles);
    const tables = bytes.subarray(tablesAt(layout), layout.bytes);
    // A group that is stored as several has one table.
    const groupCols = Math.ceil(layout.groups / tableCount(tables)) * layout.groupByteCols * UNIT_COLS;
    for (let first = 0; first < cols; first += groupCols) {
      const table = readTable(tables, first / groupCols);
      const { d } = table;
      const end = Math.min(first + groupCols, cols);
      for (let col = first; col < end; col++) {
        const vector = col - (col % d);
        out[col] = decodeColumn(table, col % d, nibbles.subarray(vector / 2, (vector + d) / 2));
      }
    }
    readGroupValues(floats, row, layout, out);
  };
};
