// Entries of a table for gptq.
import type { IndexBits } from "../../kernels/types.ts";
import { checkFinite, checkFloatArray, checkFloats, checkInteger, rangeError } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, settleCopies } from "../../lib/options.ts";
import type { Quantizer } from "../../numeric/gptq.ts";
import { levelOf, setThresholds } from "../../numeric/levels.ts";
import { checkGroups, groupsOf } from "../../numeric/shape.ts";

export interface TableQuantizerOptions {
  readonly rows: number;
  readonly cols: number;
  readonly bits: IndexBits;
  /** [2^bits], or [rows, 2^bits] */
  readonly tables: FloatTensor;
  /** [rows, groups]. Default: 1 everywhere. */
  readonly scales?: FloatTensor;
  /** Columns that share a scale. Default, and -1: cols. */
  readonly groupSize?: number;
}

const NAMES: OptionNames<TableQuantizerOptions> = {
  rows: [],
  cols: [],
  bits: [],
  tables: [],
  scales: [],
  groupSize: ["group_size"],
};

/** Pass its codes on to `codebook.pack`, with the tables and scales that it was made with. */
export interface TableQuantizer extends Quantizer {
  /** [rows, cols] */
  readonly codes: Uint8Array;
}

/**
 * The nearest entry of a table, or of the table of each row, times a scale a group.
 *
 * @throws TypeError, RangeError for a wrong argument, NaN or Infinity
 */
export function tableQuantizer(given: TableQuantizerOptions): TableQuantizer {
  const where = "tableQuantizer";
  // Copies: the scales are still read when the caller goes on.
  const options = settleCopies(where, readOptions(where, given, NAMES));
  const shape = checkGroups(where, options);
  const { rows, cols, groupSize } = shape;
  const { bits, scales } = options;
  const size = 2 ** checkInteger(`${where}: bits`, bits, 2, 4);
  const tables = checkFloatArray(`${where}: tables`, options.tables);
  if (tables.length !== size && tables.length !== rows * size) {
    throw rangeError(`${where}: tables`, `length ${size} or ${rows * size} (rows ${rows})`, String(tables.length));
  }
  checkFinite(`${where}: tables`, tables);
  const groups = groupsOf(shape);
  if (scales !== undefined) {
    checkFloats(`${where}: scales`, scales, rows * groups, `rows ${rows} x groups ${groups}`);
    checkFinite(`${where}: scales`, scales);
  }
  const sorted = Array.from({ length: tables.length / size }, (_, i) =>
    sortTable(tables.subarray(i * size, (i + 1) * size)),
  );
  const codes = new Uint8Array(rows * cols);
  return {
    blockSize: 1,
    codes,
    encode(row, col, values, out) {
      const scale = scales ? (scales[row * groups + Math.floor(col / groupSize)] as number) : 1;
      const table = sorted[sorted.length === 1 ? 0 : row] as SortedTable;
      const place = levelOf(scale === 0 ? 0 : (values[0] as number) / scale, table.thresholds, size);
      codes[row * cols + col] = table.codes[place] as number;
      out[0] = scale * (table.levels[place] as number);
    },
  };
}

interface SortedTable {
  readonly levels: Float64Array;
  readonly codes: Uint8Array;
  readonly thresholds: Float64Array;
}

function sortTable(table: Float32Array): SortedTable {
  const codes = Uint8Array.from(table, (_, code) => code).sort(
    (a, b) => (table[a] as number) - (table[b] as number) || a - b,
  );
  const levels = Float64Array.from(codes, (code) => table[code] as number);
  const thresholds = new Float64Array(levels.length);
  setThresholds(thresholds, levels, levels.length);
  return { levels, codes, thresholds };
}
