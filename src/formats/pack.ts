// What every format of bit planes does to become a matrix.
import {
  checkChoice,
  checkFinite,
  checkInteger,
  checkOptions,
  MAX_COLS,
  MAX_ROWS,
  rangeError,
  typeError,
} from "../check.ts";
import { engineOf } from "../engine.ts";
import { type Matrix, type PlaneLayout, PlaneMatrix, planeLayout, type Shape } from "../matrix.ts";
import { ACTIVATIONS, type Activation, candidates, type FormatName, TILE_ROWS } from "../registry.ts";

/** Options that every format takes. */
export interface CommonOptions {
  readonly rows: number;
  readonly cols: number;
  /** Columns that share a scale: a multiple of 8, or at least cols. Default: all columns of a row. */
  readonly groupSize?: number;
  /** How activations are treated (docs/numerics.md). Default "int8". */
  readonly activation?: Activation;
  /** A kernel of the registry, by name, in place of the one that would be chosen. */
  readonly kernel?: string;
}

/** Checks the shape options of a call. */
export function checkShape(where: string, format: FormatName, options: CommonOptions): Shape {
  checkOptions(`${where}: options`, options);
  const rows = checkInteger(`${where}: rows`, options.rows, 1, MAX_ROWS);
  const cols = checkInteger(`${where}: cols`, options.cols, 1, MAX_COLS);
  const activation = options.activation === undefined ? "int8" : options.activation;
  checkChoice(`${where}: activation`, activation, ACTIVATIONS);
  let groupSize = cols;
  if (options.groupSize !== undefined) {
    groupSize = checkInteger(`${where}: groupSize`, options.groupSize, 1, MAX_COLS);
    if (groupSize < cols && groupSize % 8 !== 0) {
      const near = Math.max(8, Math.round(groupSize / 8) * 8);
      throw rangeError(
        `${where}: groupSize`,
        `a multiple of 8, or cols (${cols}) or more`,
        `${groupSize} (${near} works)`,
      );
    }
    groupSize = Math.min(groupSize, cols);
  }
  return { format, rows, cols, groupSize, activation };
}

/** Checks scales: length 1 (matrix), rows (row), or rows x groups (group); finite. */
export function checkScales(where: string, value: unknown, { rows, cols, groupSize }: Shape): Float32Array {
  if (!(value instanceof Float32Array)) throw typeError(where, "a Float32Array", value);
  const groups = Math.ceil(cols / groupSize);
  if (value.length !== 1 && value.length !== rows && value.length !== rows * groups) {
    const lengths = groups === 1 ? `1 or ${rows}` : `1, ${rows} or ${rows * groups}`;
    throw rangeError(where, `length ${lengths} (rows ${rows}, groups of a row ${groups})`, String(value.length));
  }
  checkFinite(where, value);
  return value;
}

/** Writes the plane bytes of one row: [byteCols][planes]. `out` is zero where it is not written. */
export type RowWriter = (row: number, out: Uint8Array) => void;

/**
 * Allocates and fills a matrix. A writer that throws leaves memory as it was.
 * @param scales [1], [rows] or [rows, groups], checked
 */
export function makeMatrix(
  where: string,
  lb: unknown,
  shape: Shape,
  kernel: string | undefined,
  scales: Float32Array,
  writeRow: RowWriter,
): Matrix {
  const engine = engineOf(where, lb);
  if (kernel !== undefined) {
    const { format, activation } = shape;
    const names = (["gemv", "gemm"] as const)
      .flatMap((op) => candidates(op, format, activation, engine.variant))
      .map((row) => row.name);
    checkChoice(`${where}: kernel`, kernel, names);
  }
  const layout = planeLayout(shape);
  const { arena } = engine;
  const address = arena.allocate(layout.bytes);
  try {
    const bytes = arena.bytes.subarray(address, address + layout.planeBytes);
    writePlanes(bytes, shape.rows, layout, writeRow);
    const floats = arena.floats.subarray((address + layout.planeBytes) / 4, (address + layout.bytes) / 4);
    writeScales(floats, scales, shape.rows, layout);
    return new PlaneMatrix(engine, shape, layout, address, kernel);
  } catch (error) {
    arena.release(address);
    throw error;
  }
}

// A tile at a time: its rows first, then the bytes in the order in which they are stored, because writing every row to
// its scattered places would miss the cache at each byte.
function writePlanes(bytes: Uint8Array, rows: number, layout: PlaneLayout, writeRow: RowWriter): void {
  const { planes, byteCols, paddedRows } = layout;
  const lineBytes = byteCols * planes;
  const lines = new Uint8Array(Math.min(TILE_ROWS, paddedRows) * lineBytes);
  for (let tile = 0, to = 0; tile < paddedRows; tile += TILE_ROWS) {
    const height = Math.min(TILE_ROWS, paddedRows - tile);
    lines.fill(0);
    for (let i = 0; i < height && tile + i < rows; i++) {
      writeRow(tile + i, lines.subarray(i * lineBytes, (i + 1) * lineBytes));
    }
    for (let c = 0; c < lineBytes; c += planes) {
      for (let from = c; from < height * lineBytes; from += lineBytes) {
        bytes[to++] = lines[from] as number;
        if (planes === 2) bytes[to++] = lines[from + 1] as number;
      }
    }
  }
}

function writeScales(
  floats: Float32Array,
  scales: Float32Array,
  rows: number,
  { groups, paddedRows }: PlaneLayout,
): void {
  floats.fill(0);
  for (let group = 0; group < groups; group++) {
    for (let row = 0; row < rows; row++) {
      const index = scales.length === 1 ? 0 : scales.length === rows ? row : row * groups + group;
      floats[group * paddedRows + row] = scales[index] as number;
    }
  }
}

/** Mean of |w| over each group of each row, in float64; refuses NaN and Infinity. */
export function absoluteMeans(where: string, w: Float32Array, { rows, cols, groupSize }: Shape): Float64Array {
  const groups = Math.ceil(cols / groupSize);
  const means = new Float64Array(rows * groups);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let group = 0; group < groups; group++) {
      const size = Math.min(groupSize, cols - group * groupSize);
      let sum = 0;
      for (let i = 0; i < size; i++) sum += Math.abs(w[at++] as number);
      // A sum of finite float32 values is finite in float64, so one test covers the group.
      if (!Number.isFinite(sum)) {
        const index = w.findIndex((v) => !Number.isFinite(v));
        throw rangeError(where, "finite weights", `${w[index]} at index ${index}`);
      }
      means[row * groups + group] = sum / size;
    }
  }
  return means;
}
