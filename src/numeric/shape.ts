// What the quantisers share: the shape and the check of their input, and when they hand over.
import { checkFinite, checkFloats, checkInteger, MAX_COLS, MAX_ROWS } from "../lib/check.ts";

/** The group size of published configurations (GPTQ, AWQ) that stands for all columns of a row. */
export const WHOLE_ROW = -1;

/** Checks rows, cols and groupSize: cols if it is not given or -1. */
export function checkGroups(where: string, options: { rows: number; cols: number; groupSize?: number }): GroupShape {
  const rows = checkInteger(`${where}: rows`, options.rows, 1, MAX_ROWS);
  const cols = checkInteger(`${where}: cols`, options.cols, 1, MAX_COLS);
  const { groupSize = WHOLE_ROW } = options;
  return {
    rows,
    cols,
    groupSize: groupSize === WHOLE_ROW ? cols : checkInteger(`${where}: groupSize`, groupSize, 1, MAX_COLS),
  };
}

/** A row-major matrix, checked by the caller. */
export interface MatrixShape {
  readonly rows: number;
  readonly cols: number;
}

/** Columns in groups that share their parameters; the last group of a row may be shorter. */
export interface GroupShape extends MatrixShape {
  /** A multiple of 8, or at least cols. */
  readonly groupSize: number;
}

/**
 * Weights between two yields of a generator, at least: a few milliseconds at 50 to 500 ns a weight. A row, or a group of
 * a row, is never interrupted.
 */
export const STEP_WEIGHTS = 8192;

export function groupsOf({ cols, groupSize }: Pick<GroupShape, "cols" | "groupSize">): number {
  return Math.ceil(cols / groupSize);
}

/** Refuses a wrong type or length. */
export function checkWeightArray(where: string, w: unknown, { rows, cols }: MatrixShape): Float32Array {
  return checkFloats(`${where}: w`, w, rows * cols, `rows ${rows} x cols ${cols}`);
}

/** Refuses a wrong type or length, and NaN and Infinity with their index. */
export function checkWeights(where: string, w: unknown, shape: MatrixShape): Float32Array {
  const values = checkWeightArray(where, w, shape);
  checkFinite(`${where}: w`, values, "finite weights");
  return values;
}
