// The branches beside a quantised matrix: checking what callers give, and writing it as the kernels read it.
// Layouts: assembly/branch/README.md.
import {
  checkChoice,
  checkFinite,
  checkFloats,
  checkLength,
  checkOptions,
  rangeError,
  typeError,
} from "../lib/check.ts";

/** Single weights beside the dense ones, as CSR (compressed sparse rows). */
export interface SparseBranch {
  /** Row pointers [rows + 1]: the entries of row r are rows[r] .. rows[r + 1] - 1. The first is 0, the last their number. */
  readonly rows: Uint32Array;
  /** Column of each entry, ascending within a row. */
  readonly cols: Uint32Array;
  /** Value of each entry. */
  readonly values: Float32Array;
  /**
   * "add" (default): a value is added to the dense weight at its place (SqueezeLLM, Kim et al. 2023).
   * "replace": it stands in its place, as if the dense weight were 0 (SpQR, Dettmers et al. 2023).
   */
  readonly mode?: "add" | "replace";
}

/**
 * What is added to a quantised matrix W0: W = W0 · diag(colScale) + a · b + sparse, and y = W x + bias.
 * All of it is float32 and sees x as it is given, not its rounded form.
 */
export interface Branches {
  /**
   * Low-rank correction: a [rows, rank], b [rank, cols], row-major (LQER, Zhang et al. 2024; SVDQuant, Li et al. 2024;
   * FBQuant, Liu et al. 2025).
   */
  readonly lowRank?: { readonly a: Float32Array; readonly b: Float32Array };
  readonly sparse?: SparseBranch;
  /** [rows] */
  readonly bias?: Float32Array;
  /** [cols]: multiplies x before W0 does, the other branches not. */
  readonly colScale?: Float32Array;
}

/** Checks everything that a caller gave; `where` is the function's name. */
export function checkBranches(where: string, options: unknown, rows: number, cols: number): Branches {
  checkOptions(`${where}: branches`, options);
  const { lowRank, sparse, bias, colScale } = options as Branches;
  if (lowRank !== undefined) checkLowRank(`${where}: lowRank`, lowRank, rows, cols);
  if (sparse !== undefined) checkSparse(`${where}: sparse`, sparse, rows, cols);
  if (bias !== undefined) checkFinite(`${where}: bias`, checkFloats(`${where}: bias`, bias, rows, `rows ${rows}`));
  if (colScale !== undefined) {
    checkFinite(`${where}: colScale`, checkFloats(`${where}: colScale`, colScale, cols, `cols ${cols}`));
  }
  return options as Branches;
}

function checkLowRank(where: string, lowRank: unknown, rows: number, cols: number): void {
  checkOptions(where, lowRank);
  const { a, b } = lowRank as { a: unknown; b: unknown };
  if (!(a instanceof Float32Array)) throw typeError(`${where}: a`, "a Float32Array", a);
  const rank = a.length / rows;
  if (rank === 0 || !Number.isInteger(rank)) {
    throw rangeError(`${where}: a`, `a length that is a multiple of ${rows} (rows x rank)`, String(a.length));
  }
  checkFloats(`${where}: b`, b, rank * cols, `rank ${rank} of a x cols ${cols}`);
  checkFinite(`${where}: a`, a);
  checkFinite(`${where}: b`, b as Float32Array);
}

function checkSparse(where: string, sparse: unknown, rows: number, cols: number): void {
  checkOptions(where, sparse);
  const { rows: pointers, cols: columns, values, mode } = sparse as { [K in keyof SparseBranch]: unknown };
  if (mode !== undefined) checkChoice(`${where}: mode`, mode, ["add", "replace"]);
  if (!(pointers instanceof Uint32Array)) throw typeError(`${where}: rows`, "a Uint32Array", pointers);
  if (!(columns instanceof Uint32Array)) throw typeError(`${where}: cols`, "a Uint32Array", columns);
  checkLength(`${where}: rows`, pointers, rows + 1, `rows ${rows} + 1`);
  checkFinite(`${where}: values`, checkFloats(`${where}: values`, values, columns.length, "that of cols"));
  if (pointers[0] !== 0) throw rangeError(`${where}: rows`, "0 at index 0", String(pointers[0]));
  for (let r = 1; r <= rows; r++) {
    const [before, end] = [pointers[r - 1] as number, pointers[r] as number];
    if (end < before) {
      throw rangeError(`${where}: rows`, "row pointers that do not decrease", `${end} after ${before} at index ${r}`);
    }
  }
  if (pointers[rows] !== columns.length) {
    throw rangeError(`${where}: rows`, `${columns.length} (length of cols) at the end`, String(pointers[rows]));
  }
  for (let r = 0; r < rows; r++) {
    for (let i = pointers[r] as number, before = -1; i < (pointers[r + 1] as number); i++) {
      const col = columns[i] as number;
      if (col <= before || col >= cols) {
        const got = `${col}${before < 0 ? "" : ` after ${before}`} at index ${i}`;
        throw rangeError(`${where}: cols`, `ascending columns below ${cols} in each row`, got);
      }
      before = col;
    }
  }
}

/**
 * `sparse` with values to add: in mode "replace" what leads from the dense weight to the value,
 * fround(value - dequantizedAt(row, col) · colScale[col]).
 * @throws RangeError where that leaves the float32 range
 */
export function toAdded(
  where: string,
  sparse: SparseBranch,
  dequantizedAt: (row: number, col: number) => number,
  colScale?: Float32Array,
): SparseBranch {
  const { rows, cols, values, mode } = sparse;
  if (mode !== "replace") return sparse;
  const deltas = new Float32Array(values.length);
  for (let r = 0; r + 1 < rows.length; r++) {
    for (let i = rows[r] as number; i < (rows[r + 1] as number); i++) {
      const col = cols[i] as number;
      const scale = colScale === undefined ? 1 : (colScale[col] as number);
      deltas[i] = (values[i] as number) - dequantizedAt(r, col) * scale;
    }
  }
  checkFinite(`${where}: sparse: values: less the dense weights`, deltas);
  return { rows, cols, values: deltas };
}

/**
 * Turns W0 into W = W0 · diag(colScale) + a · b + sparse, in float64 rounded once.
 * @param w [rows, cols], changed in place
 * @param branches the sparse one in mode "add"
 */
export function addBranches(w: Float32Array, branches: Branches, rows: number, cols: number): void {
  const { lowRank, sparse, colScale } = branches;
  const rank = lowRank === undefined ? 0 : lowRank.a.length / rows;
  const line = new Float64Array(cols);
  for (let r = 0; r < rows; r++) {
    const target = w.subarray(r * cols, (r + 1) * cols);
    line.set(target);
    if (colScale) for (let c = 0; c < cols; c++) line[c] = (line[c] as number) * (colScale[c] as number);
    for (let j = 0; j < rank; j++) {
      const factor = lowRank?.a[r * rank + j] as number;
      const b = lowRank?.b.subarray(j * cols, (j + 1) * cols) as Float32Array;
      for (let c = 0; c < cols; c++) line[c] = (line[c] as number) + factor * (b[c] as number);
    }
    if (sparse) {
      for (let i = sparse.rows[r] as number; i < (sparse.rows[r + 1] as number); i++) {
        const c = sparse.cols[i] as number;
        line[c] = (line[c] as number) + (sparse.values[i] as number);
      }
    }
    target.set(line);
  }
}
