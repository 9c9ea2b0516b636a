// What a matrix is: types only.
import type { Activation, FormatName } from "../kernels/types.ts";
import type { SharedTable } from "../runtime/tables.ts";
import type { Branches } from "./branches.ts";
import type { Layout } from "./layout.ts";

/** Conjugation of a plane, as `ComplexSpec.kinds` has it. */
export const KINDS = { none: 0, x: 1, w: 2 } as const;

/** How plane i is conjugated. */
export function conjugateOf(kinds: number, i: number): keyof typeof KINDS {
  const kind = (kinds >> (2 * i)) & 3;
  return kind === KINDS.x ? "x" : kind === KINDS.w ? "w" : "none";
}

/** Row numbers. */
export type Ids = ArrayLike<number> | ArrayLike<bigint>;

/**
 * A packed weight matrix [rows, cols] in linear memory. Its properties cannot be assigned, and it belongs to its instance:
 * structuredClone() and postMessage() refuse it.
 *
 * Arrays are float32 of any realm, of whatever class. `out` may overlap x in any way.
 */
export interface Matrix {
  readonly format: string;
  readonly rows: number;
  readonly cols: number;
  /** Stored bits per weight, scales and padding included. */
  readonly bitsPerWeight: number;
  /** Stored bytes, scales and padding included. There is no second copy. Tables that matrices share do not count. */
  readonly byteLength: number;
  /** How activations are treated: see docs/numerics.md. */
  readonly activation: Activation;
  /** The kernel that `gemv` runs. */
  readonly kernel: string;
  /** The kernel that `gemm` runs for many tokens; for a few it runs that of `gemv` once a token. */
  readonly gemmKernel: string;
  /**
   * y = W x.
   * @param x [cols]
   * @param out [rows], written and returned; a new array without it
   * @throws TypeError, RangeError for a wrong x or out, NaN or Infinity in x, or a disposed matrix
   */
  gemv(x: Float32Array, out?: Float32Array): Float32Array;
  /**
   * n tokens at once: row i of the result is gemv of row i of x, bit for bit.
   * @param x [n, cols] row-major
   * @param out [n, rows] row-major
   * @throws as gemv
   */
  gemm(x: Float32Array, n: number, out?: Float32Array): Float32Array;
  /**
   * gemv by the workers of `init({ threads })`, while this thread goes on: for pages, whose main thread should not be held
   * up. Without workers, or where the work is too little for them, it is computed here. x is copied at once, and
   * `out` is written when all is done; calls take turns, and a synchronous call in between completes the one that is under
   * way.
   * @throws as gemv, as a rejection
   */
  gemvAsync(x: Float32Array, out?: Float32Array): Promise<Float32Array>;
  /** gemm likewise. */
  gemmAsync(x: Float32Array, n: number, out?: Float32Array): Promise<Float32Array>;
  /** [rows, cols] row-major: what the kernels multiply by, branches included (bias is none of it). */
  dequantize(): Float32Array;
  /**
   * Rows of `dequantize()`, bit for bit the same: the embeddings of tokens. Of formats that rotate the rows (QuIP#'s and
   * EXL3's, pvq) all rows of a block of the rotation have to be read for one of them.
   * @param ids [n] row numbers: integers, in a list or an array of integers
   * @param out [n, cols] row-major, written and returned; a new array without it
   * @throws TypeError, RangeError for a wrong argument, or a disposed matrix
   */
  dequantizeRows(ids: Ids, out?: Float32Array): Float32Array;
  /**
   * W · diag(colScale) + a · b + sparse, and bias, computed together: y is written once. The result takes the weights over
   * (there is no second copy), and this matrix counts as disposed; if the call fails it is as before. Branches may be
   * added one by one.
   * @throws TypeError, RangeError for shapes that do not fit, NaN or Infinity, columns that do not ascend in a row, a branch
   * that is there already; OutOfMemoryError
   */
  with(branches: Branches): Matrix;
  /** Gives the memory back. Doing it twice is harmless; using the matrix afterwards throws. */
  dispose(): void;
  [Symbol.dispose](): void;
}

/** Complex planes as a real matrix of [Re; Im]. */
export interface ComplexSpec {
  /** How each plane is conjugated, 2 bits a plane: KINDS of complex-product.ts. */
  readonly kinds: number;
  /** int8: whether Re x and Im x of a token have one scale. */
  readonly oneScale: boolean;
}

/** What a matrix is, once its arguments are checked. */
export interface MatrixSpec {
  /** `matrix.format`: what the format is called in public. */
  readonly label: string;
  readonly format: FormatName;
  readonly rows: number;
  readonly cols: number;
  readonly activation: Activation;
  readonly layout: Layout;
  /** Column i of the stored weights is column columnOrder[i] of the matrix. */
  readonly columnOrder?: Uint32Array | undefined;
  /** Bits and encodings of both operands, for bit planes (typesArgument of quantize/bitplane.ts). */
  readonly types?: number | undefined;
  /** Of a pyramid (pvq): Σ |y| of a vector. */
  readonly pulses?: number | undefined;
  /** Of complex planes, whose layout has half of these rows and columns. */
  readonly complex?: ComplexSpec | undefined;
  /** A table that kernels read, and that other matrices may, too. */
  readonly shared?: SharedTable | undefined;
  /** A kernel of the registry, by name, in place of the one that would be chosen. */
  readonly kernel?: string | undefined;
  /**
   * The weights of one row as the kernels see them.
   * @param bytes the stored bytes
   * @param floats the same as float32
   * @param out [cols], in the order of the stored columns
   */
  readonly readRow: (bytes: Uint8Array, floats: Float32Array, row: number, out: Float32Array) => void;
}

/** What of a matrix says how its bytes are read: the same whoever wrote them, so that files need nothing else. */
export type Stored = Omit<MatrixSpec, "label" | "columnOrder" | "shared" | "kernel" | "readRow">;

/** How the weights of a stored format are read, one row at a time. */
export type Reader = (stored: Stored) => MatrixSpec["readRow"];

/** A matrix that is used after it is gone. */
export function goneError(where: string, label: string, rows: number, cols: number, how = DISPOSED): TypeError {
  return new TypeError(`${where}: this ${label} matrix (${rows} x ${cols}) ${how}`);
}

export const DISPOSED = "was disposed";
