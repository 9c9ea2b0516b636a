// Weights into the coordinates in which a rotated format stores them.
import type { Steps } from "../lib/progress.ts";
import { type MatrixShape, STEP_WEIGHTS } from "../numeric/shape.ts";
import type { Engine } from "../runtime/engine.ts";
import { Plan, type Step } from "./steps.ts";

/** Columns that are transformed together, so that each row's cache line is read once. */
const TOGETHER = 16;

/**
 * A · W · Bᵀ in place, for orthogonal maps A of columns and B of rows that keep their length.
 *
 * @param w [rows, cols]
 */
export function* rotateWeights(
  where: string,
  engine: Engine,
  w: Float32Array,
  { rows, cols }: MatrixShape,
  columnSteps: readonly Step[],
  rowSteps: readonly Step[],
): Steps<void> {
  const forRows = new Plan(where, rowSteps, cols, cols);
  const forColumns = new Plan(where, columnSteps, rows, rows);
  const { arena } = engine;
  // Not the scratch region: between two steps others may use that.
  const work = Math.max(forRows.scratchBytes, forColumns.scratchBytes);
  const address = arena.allocate(work + forRows.parameterBytes + forColumns.parameterBytes);
  const rowNumbers = address + work;
  const columnNumbers = rowNumbers + forRows.parameterBytes;
  try {
    forRows.write(rowSteps, arena.floats, rowNumbers);
    forColumns.write(columnSteps, arena.floats, columnNumbers);
    const run = (plan: Plan, numbers: number, x: Float32Array): void => {
      arena.floats.set(x, address / 4);
      const at = plan.run(engine, numbers, address) / 4;
      x.set(arena.floats.subarray(at, at + x.length));
    };
    const stepRows = Math.max(1, Math.floor((8 * STEP_WEIGHTS) / cols));
    for (let row = 0; row < rows; row++) {
      run(forRows, rowNumbers, w.subarray(row * cols, (row + 1) * cols));
      if (row % stepRows === stepRows - 1) yield (row / rows) * 0.5;
    }
    const lines = new Float32Array(TOGETHER * rows);
    for (let col = 0; col < cols; col += TOGETHER) {
      const count = Math.min(TOGETHER, cols - col);
      for (let row = 0; row < rows; row++) {
        for (let c = 0; c < count; c++) lines[c * rows + row] = w[row * cols + col + c] as number;
      }
      for (let c = 0; c < count; c++) run(forColumns, columnNumbers, lines.subarray(c * rows, (c + 1) * rows));
      for (let row = 0; row < rows; row++) {
        for (let c = 0; c < count; c++) w[row * cols + col + c] = lines[c * rows + row] as number;
      }
      yield 0.5 + (col / cols) * 0.5;
    }
  } finally {
    arena.release(address);
  }
}
