// The branches beside a quantised matrix: checking what callers give, and writing it as the kernels read it.
// Layouts: assembly/branch/README.md.
import { copyView, isSharedView } from "../lib/arrays.ts";
import { checkArray, checkChoice, checkFinite, checkFloats, checkLength, rangeError } from "../lib/check.ts";
import { type OptionNames, readOptions } from "../lib/options.ts";

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
  const { lowRank, sparse, bias, colScale } = readOptions(where, options, BRANCHES, "branches");
  // All is read before anything is checked: a getter may change what was checked.
  const pair = lowRank && readOptions(where, lowRank, LOW_RANK, "lowRank");
  const entries = sparse && readOptions(where, sparse, SPARSE, "sparse");
  return {
    ...(pair && { lowRank: checkLowRank(`${where}: lowRank`, pair, rows, cols) }),
    ...(entries && { sparse: checkSparse(`${where}: sparse`, entries, rows, cols) }),
    ...(bias !== undefined && { bias: checkNumbers(`${where}: bias`, bias, rows, `rows ${rows}`) }),
    ...(colScale !== undefined && { colScale: checkNumbers(`${where}: colScale`, colScale, cols, `cols ${cols}`) }),
  };
}

const BRANCHES: OptionNames<Branches> = { lowRank: [], sparse: [], bias: [], colScale: [] };
const LOW_RANK: OptionNames<NonNullable<Branches["lowRank"]>> = { a: [], b: [] };
const SPARSE: OptionNames<SparseBranch> = { rows: [], cols: [], values: [], mode: [] };

// Another thread may change what is in shared memory between the check and the use.
function ownArray<T extends Float32Array | Uint32Array>(array: T): T {
  return isSharedView(array) ? (copyView(array) as T) : array;
}

function checkNumbers(where: string, value: unknown, length: number, shape: string): Float32Array {
  const numbers = ownArray(checkFloats(where, value, length, shape));
  checkFinite(where, numbers);
  return numbers;
}

type LowRank = NonNullable<Branches["lowRank"]>;

function checkLowRank(where: string, lowRank: LowRank, rows: number, cols: number): LowRank {
  const a = ownArray(checkArray(`${where}: a`, lowRank.a, ["Float32Array"]));
  const rank = a.length / rows;
  if (rank === 0 || !Number.isInteger(rank)) {
    throw rangeError(`${where}: a`, `a length that is a multiple of ${rows} (rows x rank)`, String(a.length));
  }
  checkFinite(`${where}: a`, a);
  return { a, b: checkNumbers(`${where}: b`, lowRank.b, rank * cols, `rank ${rank} of a x cols ${cols}`) };
}

function checkSparse(where: string, sparse: SparseBranch, rows: number, cols: number): SparseBranch {
  const { mode = "add" } = sparse;
  checkChoice(`${where}: mode`, mode, ["add", "replace"]);
  const pointers = ownArray(checkArray(`${where}: rows`, sparse.rows, ["Uint32Array"]));
  const columns = ownArray(checkArray(`${where}: cols`, sparse.cols, ["Uint32Array"]));
  checkLength(`${where}: rows`, pointers, rows + 1, `rows ${rows} + 1`);
  const values = checkNumbers(`${where}: values`, sparse.values, columns.length, "that of cols");
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
  return { rows: pointers, cols: columns, values, mode };
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
 * Turns rows of W0 into those of W = W0 · diag(colScale) + a · b + sparse, in float64 rounded once.
 * @param w [ids.length, cols], changed in place
 * @param branches the sparse one in mode "add"
 * @param ids which rows of the matrix those of w are
 */
export function addBranches(w: Float32Array, branches: Branches, ids: Uint32Array, rows: number, cols: number): void {
  const { lowRank, sparse, colScale } = branches;
  const rank = lowRank === undefined ? 0 : lowRank.a.length / rows;
  const line = new Float64Array(cols);
  for (const [i, r] of ids.entries()) {
    const target = w.subarray(i * cols, (i + 1) * cols);
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
