// Products between addresses of linear memory.
import { rangeError } from "../lib/check.ts";
import { type Core, dequantizeRows } from "../matrix/core.ts";
import { coreOf } from "../matrix/packed.ts";
import type { Matrix } from "../matrix/spec.ts";
import type { Engine } from "../runtime/engine.ts";

/**
 * y = W x for n tokens. x: address of float32 [n][cols], y: of [n][rows]; they do not overlap. A matrix that is made of others
 * meets copies.
 */
export type Product = (x: number, n: number, y: number) => void;

export function productOf(engine: Engine, matrix: Matrix): Product {
  const core = coreIn(engine, matrix);
  const where = `${core.label}.gemm`;
  return (x, n, y) => core.multiplyAt(where, x, n, y);
}

/** Reads a row of a matrix to an address. */
export type RowReader = (row: number, to: number) => void;

/** Rows of a matrix as float32, read one at a time: at once, where a row cannot be had without many others. */
export function rowReaderOf(engine: Engine, matrix: Matrix): RowReader {
  const { cols } = matrix;
  const core = coreIn(engine, matrix);
  if (core.rowBlock > 1) {
    const all = matrix.dequantize();
    return (row, to) => engine.arena.floats.set(all.subarray(row * cols, (row + 1) * cols), to / 4);
  }
  const id = new Uint32Array(1);
  const line = new Float32Array(cols);
  return (row, to) => {
    coreOf("decoder", matrix);
    id[0] = row;
    dequantizeRows(core, id, line);
    engine.arena.floats.set(line, to / 4);
  };
}

// Addresses are those of one instance.
function coreIn(engine: Engine, matrix: Matrix): Core {
  const core = coreOf("decoder", matrix);
  if (core.engine !== engine) {
    throw rangeError("decoder: matrix", "one of the decoder's own instance", `a ${core.label} of another`);
  }
  return core;
}
