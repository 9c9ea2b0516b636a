// What is behind a matrix: weights in memory, how they are multiplied, read and given back. The arguments that it takes are
// checked already, and nothing of it is public.
import type { Activation } from "../kernels/types.ts";
import type { Engine } from "../runtime/engine.ts";
import { addBranches } from "./branches.ts";
import type { StoredCore } from "./record.ts";
import type { Side, WeightReader } from "./side.ts";

export interface Core {
  readonly engine: Engine;
  /** `matrix.format` */
  readonly label: string;
  readonly rows: number;
  readonly cols: number;
  readonly activation: Activation;
  readonly kernel: string;
  readonly gemmKernel: string;
  /** Stored bytes, branches included. */
  readonly bytes: number;
  /** Branches beside the weights. */
  readonly side: Side | undefined;
  /** Neighbouring rows that can only be read together: readRows of one costs as much as of all of them. */
  readonly rowBlock: number;
  /** Why it cannot be used any more. */
  readonly gone: string | undefined;
  /** Whether a product of n tokens writes y when all of x has been read, and nothing can fail any more. */
  writesLast(n: number): boolean;
  /**
   * @param where what errors begin with
   * @param x [n, cols]; of one token possibly an array of the caller's, of which nothing is called
   * @param y [n, rows], likewise up to SHORT rows
   * @throws RangeError for NaN and Infinity; OutOfMemoryError
   */
  multiply(where: string, x: Float32Array, n: number, y: Float32Array): void;
  /** The same by workers: x and y are ours. Throws where it has gone in the meantime. */
  multiplyAsync(where: string, x: Float32Array, n: number, y: Float32Array): Promise<void>;
  /** x and y are addresses of float32 [n, cols] and [n, rows], which do not overlap. */
  multiplyAt(where: string, x: number, n: number, y: number): void;
  /** Weights, without branches: row ids[i] of them to row i of out, [ids.length, cols]. */
  readRows(ids: Uint32Array, out: Float32Array): void;
  /** A copy of the stored bytes, branches not included. */
  packed(): Uint8Array;
  /** What a file says of it, and where its bytes are, branches included. */
  stored(): StoredCore;
  /** The same weights with other branches. This one is gone, and its branches are given back. */
  extended(side: Side): Core;
  /** Gives all memory back. To be called once. */
  release(): void;
}

export const TAKEN_OVER = "was taken over by with()";

/** Rows as they are multiplied, branches included: bit for bit the same whichever rows are read with them. */
export function dequantizeRows(core: Core, ids: Uint32Array, out: Float32Array): void {
  core.readRows(ids, out);
  const branches = core.side?.read();
  if (branches) addBranches(out, branches, ids, core.rows, core.cols);
}

/** One weight at a time, row after row, without branches. */
export function weightReader(core: Core): WeightReader {
  const { cols, rows, rowBlock } = core;
  let first = 0;
  let end = 0;
  let lines = new Float32Array(0);
  return (row, col) => {
    if (row < first || row >= end) {
      first = row - (row % rowBlock);
      end = Math.min(first + rowBlock, rows);
      if (lines.length !== (end - first) * cols) lines = new Float32Array((end - first) * cols);
      core.readRows(
        Uint32Array.from({ length: end - first }, (_, i) => first + i),
        lines,
      );
    }
    return lines[(row - first) * cols + col] as number;
  };
}
