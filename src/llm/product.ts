// Products between addresses of linear memory.
import { PackedMatrix } from "../matrix/packed.ts";
import type { Matrix } from "../matrix/spec.ts";
import type { Engine } from "../runtime/engine.ts";

/**
 * y = W x for n tokens. x: address of float32 [n][cols], y: of [n][rows]; they do not overlap. A matrix that is made of others
 * meets copies.
 */
export type Product = (x: number, n: number, y: number) => void;

export function productOf(engine: Engine, matrix: Matrix): Product {
  if (matrix instanceof PackedMatrix) return (x, n, y) => matrix.multiply(x, n, y);
  const { cols } = matrix;
  return (x, n, y) => {
    const out = matrix.gemm(engine.arena.floats.slice(x / 4, x / 4 + n * cols), n);
    engine.arena.floats.set(out, y / 4);
  };
}

/** Reads a row of a matrix to an address. */
export type RowReader = (row: number, to: number) => void;

/** Rows of a matrix as float32, read one at a time. */
export function rowReaderOf(engine: Engine, matrix: Matrix): RowReader {
  if (!(matrix instanceof PackedMatrix)) {
    const all = matrix.dequantize();
    return (row, to) => engine.arena.floats.set(all.subarray(row * matrix.cols, (row + 1) * matrix.cols), to / 4);
  }
  let { buffer } = engine.arena.memory;
  let read = matrix.rowReader();
  return (row, to) => {
    // Readers hold views, which end where memory grows.
    if (engine.arena.memory.buffer !== buffer) {
      buffer = engine.arena.memory.buffer;
      read = matrix.rowReader();
    }
    read(row, engine.arena.floats.subarray(to / 4, to / 4 + matrix.cols));
  };
}
