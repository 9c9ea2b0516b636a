// Branches as the kernels read them: assembly/branch/README.md.
import { STRIP_ROWS } from "../kernels/types.ts";
import { checkFinite, rangeError } from "../lib/check.ts";
import type { Branches, SparseBranch } from "./branches.ts";
import { UNIT_COLS } from "./layout.ts";
import type { BranchesRecord } from "./record.ts";

/** Rows that are sorted together, rows of a group, and steps of a block (assembly/branch/README.md). */
const WINDOW_ROWS = 64;
const GROUP_ROWS = 4;
const BLOCK_STEPS = 2;
/** Rows of a strip of a, and rows of b that are stored together. */
const A_ROWS = 32;
const B_RANKS = 4;

/** Where the packed branches are: byte offsets in their region, undefined for one that is not there. */
export interface BranchLayout {
  readonly rows: number;
  readonly cols: number;
  readonly paddedRows: number;
  /** Units of 8 columns of b and colScale. */
  readonly byteCols: number;
  readonly rank: number;
  /** Bytes of a column index of the sparse branch. */
  readonly colBytes: 2 | 4;
  readonly bias: number | undefined;
  readonly colScale: number | undefined;
  readonly a: number | undefined;
  readonly b: number | undefined;
  readonly sparse: number | undefined;
  /** Of the whole region. */
  readonly bytes: number;
}

/** The region that checked branches need; its address must be a multiple of 16. */
export function branchLayout(branches: Branches, rows: number, cols: number): BranchLayout {
  const { bias, colScale, lowRank, sparse } = branches;
  return placeBranches(rows, cols, {
    bias: bias !== undefined,
    colScale: colScale !== undefined,
    rank: lowRank === undefined ? 0 : lowRank.a.length / rows,
    sparse:
      sparse &&
      ((start, stepBytes) => {
        const { steps } = rowGroups(sparse.rows, paddedTo(rows));
        return start + steps.reduce((sum, n) => sum + n, 0) * stepBytes;
      }),
  });
}

/** The region that a file says there is. Its bytes are those of the record, or the record is wrong. */
export function recordedLayout(record: BranchesRecord, rows: number, cols: number): BranchLayout {
  const { bias = false, colScale = false, rank = 0, sparse = false } = record;
  const without = placeBranches(rows, cols, { bias, colScale, rank, sparse: undefined });
  // The sparse branch, whose size no shape tells, is last.
  return sparse
    ? placeBranches(rows, cols, { bias, colScale, rank, sparse: () => record.bytes - without.bytes })
    : without;
}

interface Present {
  readonly bias: boolean;
  readonly colScale: boolean;
  readonly rank: number;
  /** Its bytes: the streams begin at `start` and have `stepBytes` a step. */
  readonly sparse: ((start: number, stepBytes: number) => number) | undefined;
}

function placeBranches(rows: number, cols: number, { bias, colScale, rank, sparse }: Present): BranchLayout {
  const paddedRows = paddedTo(rows);
  const byteCols = Math.ceil(cols / UNIT_COLS);
  const colBytes = cols <= 65536 ? 2 : 4;
  let bytes = 0;
  const place = (present: boolean, size: () => number): number | undefined => {
    if (!present) return undefined;
    const at = bytes;
    bytes = align16(bytes + size());
    return at;
  };
  const offsets = {
    bias: place(bias, () => paddedRows * 4),
    colScale: place(colScale, () => byteCols * UNIT_COLS * 4),
    a: place(rank > 0, () => paddedRows * rank * 4),
    b: place(rank > 0, () => Math.ceil(rank / B_RANKS) * B_RANKS * byteCols * UNIT_COLS * 4),
    sparse: place(sparse !== undefined, () => sparse?.(streamStart(paddedRows), stepBytes(colBytes)) ?? 0),
  };
  return { rows, cols, paddedRows, byteCols, rank, colBytes, ...offsets, bytes };
}

function paddedTo(rows: number): number {
  return Math.ceil(rows / STRIP_ROWS) * STRIP_ROWS;
}

/** The arguments that kernels take for packed branches at `base`: 0 for one that is not there. */
export function branchAddresses(
  layout: BranchLayout,
  base: number,
): Record<"bias" | "colScale" | "a" | "b" | "sparse", number> {
  const at = (offset: number | undefined): number => (offset === undefined ? 0 : base + offset);
  return {
    bias: at(layout.bias),
    colScale: at(layout.colScale),
    a: at(layout.a),
    b: at(layout.b),
    sparse: at(layout.sparse),
  };
}

/** Floats of t, what prepare_lowrank writes. */
export function lowRankFloats(layout: BranchLayout): number {
  return Math.ceil(layout.rank / B_RANKS) * B_RANKS;
}

/** Writes checked branches, the sparse one in mode "add", to `region` (layout.bytes bytes). */
export function writeBranches(region: Uint8Array, branches: Branches, layout: BranchLayout): void {
  region.fill(0);
  const { bias, colScale, lowRank, sparse } = branches;
  if (bias) floatsAt(region, layout.bias).set(bias);
  if (colScale) floatsAt(region, layout.colScale).set(colScale);
  if (lowRank) {
    const { rows, cols, rank } = layout;
    const a = floatsAt(region, layout.a);
    const b = floatsAt(region, layout.b);
    for (let j = 0; j < rank; j++) {
      for (let r = 0; r < rows; r++) a[placeOfA(layout, r, j)] = lowRank.a[r * rank + j] as number;
      for (let c = 0; c < cols; c++) b[placeOfB(layout, j, c)] = lowRank.b[j * cols + c] as number;
    }
  }
  if (sparse) writeSparse(region.subarray(layout.sparse), sparse, layout);
}

/** The branches back from their region. Sparse entries of value 0, which add nothing, are left out. */
export function readBranches(region: Uint8Array, layout: BranchLayout): Branches {
  const { rows, cols, rank } = layout;
  const branches: { -readonly [K in keyof Branches]: Branches[K] } = {};
  if (layout.bias !== undefined) branches.bias = floatsAt(region, layout.bias).slice(0, rows);
  if (layout.colScale !== undefined) branches.colScale = floatsAt(region, layout.colScale).slice(0, cols);
  if (rank > 0) {
    const packedA = floatsAt(region, layout.a);
    const packedB = floatsAt(region, layout.b);
    const a = new Float32Array(rows * rank);
    const b = new Float32Array(rank * cols);
    for (let j = 0; j < rank; j++) {
      for (let r = 0; r < rows; r++) a[r * rank + j] = packedA[placeOfA(layout, r, j)] as number;
      for (let c = 0; c < cols; c++) b[j * cols + c] = packedB[placeOfB(layout, j, c)] as number;
    }
    branches.lowRank = { a, b };
  }
  if (layout.sparse !== undefined) branches.sparse = readSparse(region.subarray(layout.sparse), layout);
  return branches;
}

/**
 * Refuses a region of which kernels would read what is not there, or whose numbers are not finite.
 *
 * @throws RangeError
 */
export function checkRegion(where: string, region: Uint8Array, layout: BranchLayout): void {
  const { cols, paddedRows, colBytes, sparse } = layout;
  checkFinite(`${where}: numbers`, floatsAt(region.subarray(0, sparse ?? region.length)));
  if (sparse === undefined) return;
  const stream = region.subarray(sparse);
  const data = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
  const fault = (what: string): never => {
    throw rangeError(`${where}: sparse`, "streams of entries in their order", what);
  };
  let at = streamStart(paddedRows);
  if (stream.length < at) fault("a branch that is too short");
  const headers = Math.ceil(paddedRows / WINDOW_ROWS) * 4;
  let seen = 0n;
  for (let g = 0; g < paddedRows / GROUP_ROWS; g++) {
    const first = g * GROUP_ROWS;
    if (first % WINDOW_ROWS === 0) {
      if (data.getUint32((first / WINDOW_ROWS) * 4, true) !== at) fault(`another offset of the rows from ${first} on`);
      seen = 0n;
    }
    const height = Math.min(WINDOW_ROWS, paddedRows - (first - (first % WINDOW_ROWS)));
    for (let lane = 0; lane < GROUP_ROWS; lane++) {
      const row = data.getUint8(headers + g * 8 + 4 + lane);
      if (row >= height || (seen >> BigInt(row)) & 1n) fault(`row ${row} at place ${lane} of group ${g}`);
      seen |= 1n << BigInt(row);
    }
    const bytes = data.getUint32(headers + g * 8, true);
    const steps = bytes / stepBytes(colBytes);
    if (steps % BLOCK_STEPS !== 0 || at + bytes > stream.length) fault(`${bytes} bytes of group ${g}`);
    for (let step = 0; step < steps; step++) {
      for (let lane = 0; lane < GROUP_ROWS; lane++) {
        const place = entryPlace(at, step, lane, colBytes);
        const col = colBytes === 2 ? data.getUint16(place.col, true) : data.getUint32(place.col, true);
        if (col >= cols) fault(`column ${col} of ${cols}`);
        if (!Number.isFinite(data.getFloat32(place.value, true))) fault("a value that is not finite");
      }
    }
    at += bytes;
  }
  if (align16(at) !== stream.length) fault(`${stream.length - at} bytes behind them`);
}

function align16(bytes: number): number {
  return Math.ceil(bytes / 16) * 16;
}

function floatsAt(region: Uint8Array, offset = 0): Float32Array {
  return new Float32Array(region.buffer, region.byteOffset + offset, Math.floor((region.byteLength - offset) / 4));
}

function placeOfA({ paddedRows, rank }: BranchLayout, row: number, j: number): number {
  const strip = row - (row % A_ROWS);
  return strip * rank + j * Math.min(A_ROWS, paddedRows - strip) + (row - strip);
}

function placeOfB({ byteCols }: BranchLayout, j: number, col: number): number {
  const unit = Math.floor(j / B_RANKS) * byteCols + Math.floor(col / UNIT_COLS);
  return (unit * B_RANKS + (j % B_RANKS)) * UNIT_COLS + (col % UNIT_COLS);
}

/** Bytes of one step: a column and a value for each of 4 rows. */
function stepBytes(colBytes: 2 | 4): number {
  return GROUP_ROWS * (colBytes + 4);
}

/** Offset of the first stream: offsets of windows and heads of groups come before. */
function streamStart(paddedRows: number): number {
  return align16(Math.ceil(paddedRows / WINDOW_ROWS) * 4 + (paddedRows / GROUP_ROWS) * 8);
}

/** Rows of each window with most entries first, four to a group, and the steps of each group. */
function rowGroups(pointers: Uint32Array, paddedRows: number): { order: Uint32Array; steps: Uint32Array } {
  const rows = pointers.length - 1;
  const count = (r: number): number => (r < rows ? (pointers[r + 1] as number) - (pointers[r] as number) : 0);
  const order = Uint32Array.from({ length: paddedRows }, (_, r) => r);
  for (let row = 0; row < paddedRows; row += WINDOW_ROWS) {
    order.subarray(row, row + WINDOW_ROWS).sort((p, q) => count(q) - count(p) || p - q);
  }
  const steps = Uint32Array.from(
    { length: paddedRows / GROUP_ROWS },
    (_, g) => Math.ceil(count(order[g * GROUP_ROWS] as number) / BLOCK_STEPS) * BLOCK_STEPS,
  );
  return { order, steps };
}

function writeSparse(region: Uint8Array, sparse: SparseBranch, { paddedRows, rows, colBytes }: BranchLayout): void {
  const { order, steps } = rowGroups(sparse.rows, paddedRows);
  const data = new DataView(region.buffer, region.byteOffset, region.byteLength);
  const headers = Math.ceil(paddedRows / WINDOW_ROWS) * 4;
  let at = streamStart(paddedRows);
  for (let g = 0; g < steps.length; g++) {
    const first = g * GROUP_ROWS;
    if (first % WINDOW_ROWS === 0) data.setUint32((first / WINDOW_ROWS) * 4, at, true);
    const bytes = (steps[g] as number) * stepBytes(colBytes);
    data.setUint32(headers + g * 8, bytes, true);
    for (let lane = 0; lane < GROUP_ROWS; lane++) {
      const row = order[first + lane] as number;
      data.setUint8(headers + g * 8 + 4 + lane, row % WINDOW_ROWS);
      if (row >= rows) continue;
      const start = sparse.rows[row] as number;
      for (let i = start; i < (sparse.rows[row + 1] as number); i++) {
        const { col, value } = entryPlace(at, i - start, lane, colBytes);
        if (colBytes === 2) data.setUint16(col, sparse.cols[i] as number, true);
        else data.setUint32(col, sparse.cols[i] as number, true);
        data.setFloat32(value, sparse.values[i] as number, true);
      }
    }
    at += bytes;
  }
}

function readSparse(region: Uint8Array, { paddedRows, rows, colBytes }: BranchLayout): SparseBranch {
  const data = new DataView(region.buffer, region.byteOffset, region.byteLength);
  const headers = Math.ceil(paddedRows / WINDOW_ROWS) * 4;
  const entries: { col: number; value: number }[][] = Array.from({ length: rows }, () => []);
  let at = streamStart(paddedRows);
  for (let g = 0; g < paddedRows / GROUP_ROWS; g++) {
    const bytes = data.getUint32(headers + g * 8, true);
    const window = g * GROUP_ROWS - ((g * GROUP_ROWS) % WINDOW_ROWS);
    for (let lane = 0; lane < GROUP_ROWS; lane++) {
      const row = window + data.getUint8(headers + g * 8 + 4 + lane);
      for (let step = 0; step < bytes / stepBytes(colBytes); step++) {
        const place = entryPlace(at, step, lane, colBytes);
        const value = data.getFloat32(place.value, true);
        if (value === 0) continue;
        const col = colBytes === 2 ? data.getUint16(place.col, true) : data.getUint32(place.col, true);
        entries[row]?.push({ col, value });
      }
    }
    at += bytes;
  }
  const flat = entries.flat();
  const pointers = new Uint32Array(rows + 1);
  entries.forEach((list, r) => {
    pointers[r + 1] = (pointers[r] as number) + list.length;
  });
  return {
    rows: pointers,
    cols: Uint32Array.from(flat, ({ col }) => col),
    values: Float32Array.from(flat, ({ value }) => value),
  };
}

/** Where step `step` of a row's lane is, in the stream at `at`: blocks of two steps, the columns before the values. */
function entryPlace(at: number, step: number, lane: number, colBytes: 2 | 4): { col: number; value: number } {
  const inBlock = (step % BLOCK_STEPS) * GROUP_ROWS + lane;
  const block = at + (step - (step % BLOCK_STEPS)) * stepBytes(colBytes);
  return {
    col: block + inBlock * colBytes,
    value: block + BLOCK_STEPS * GROUP_ROWS * colBytes + inBlock * 4,
  };
}
