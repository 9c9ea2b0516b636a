import type { Activation } from "../kernels/types.ts";
import { checkInteger } from "../lib/check.ts";
import { type ComplexArray, checkApart, checkComplex, checkFiniteComplex } from "../lib/complex-array.ts";
import type { Core } from "./core.ts";
import { checkIds, checkStill, coreOf, defineReadOnly, type PackedMatrix } from "./packed.ts";
import { goneError, type Ids, type Matrix } from "./spec.ts";

/** Which factor of y = W x is conjugated: neither, y = W conj(x) ("x", iFairy's layers), y = conj(W) x ("w"). */
export type Conjugate = "none" | "x" | "w";

/** A packed matrix [rows, cols] of complex weights in linear memory. */
export interface ComplexMatrix
  extends Omit<Matrix, "gemv" | "gemm" | "gemvAsync" | "gemmAsync" | "dequantize" | "dequantizeRows" | "with"> {
  readonly conjugate: Conjugate;
  /** Stored bits per complex weight, scales and padding included. */
  readonly bitsPerWeight: number;
  /**
   * y = W x, W conj(x) or conj(W) x, as `conjugate` says.
   * @param x re and im [cols]
   * @param out re and im [rows], written and returned; new arrays without it
   * @throws TypeError, RangeError for a wrong x or out, NaN or Infinity in x, or a disposed matrix
   */
  gemv(x: ComplexArray, out?: ComplexArray): ComplexArray;
  /**
   * n tokens at once: token i of the result is gemv of token i of x, bit for bit.
   * @param x re and im [n, cols] row-major
   * @param out re and im [n, rows] row-major
   * @throws as gemv
   */
  gemm(x: ComplexArray, n: number, out?: ComplexArray): ComplexArray;
  /** gemv and gemm by the workers of `init({ threads })`, as those of Matrix are. */
  gemvAsync(x: ComplexArray, out?: ComplexArray): Promise<ComplexArray>;
  gemmAsync(x: ComplexArray, n: number, out?: ComplexArray): Promise<ComplexArray>;
  /** W, re and im [rows, cols] row-major: not conjugated. */
  dequantize(): ComplexArray;
  /** Rows of `dequantize()`, as those of Matrix: re and im [n, cols]. */
  dequantizeRows(ids: Ids, out?: ComplexArray): ComplexArray;
}

let inner: (matrix: HalvesMatrix) => PackedMatrix;
/** The matrix of [Re; Im]. */
export const halvesOf = (matrix: HalvesMatrix): PackedMatrix => inner(matrix);

/** Complex arrays in front of a matrix of [Re; Im]. */
export class HalvesMatrix implements ComplexMatrix {
  declare readonly format: string;
  declare readonly rows: number;
  declare readonly cols: number;
  declare readonly conjugate: Conjugate;
  declare readonly bitsPerWeight: number;
  declare readonly byteLength: number;
  declare readonly activation: Activation;
  declare readonly kernel: string;
  declare readonly gemmKernel: string;
  declare readonly dispose: () => void;
  readonly #matrix: PackedMatrix;
  readonly #shape: { readonly label: string; readonly rows: number; readonly cols: number };
  readonly #conjugate: Conjugate;
  // What the matrix itself would say of it names the shape of [Re; Im].
  #disposed = false;

  /** @param matrix [2 rows, 2 cols], of one complex plane */
  constructor(matrix: PackedMatrix, conjugate: Conjugate) {
    const { format, byteLength, activation, kernel, gemmKernel } = matrix;
    const rows = matrix.rows / 2;
    const cols = matrix.cols / 2;
    this.#matrix = matrix;
    this.#shape = { label: format, rows, cols };
    this.#conjugate = conjugate;
    defineReadOnly(this, {
      ...{ format, rows, cols, conjugate, bitsPerWeight: (8 * byteLength) / (rows * cols), byteLength },
      ...{ activation, kernel, gemmKernel, dispose: () => this.#dispose() },
    });
  }

  gemv(x: ComplexArray, out?: ComplexArray): ComplexArray {
    return this.#multiply("gemv", x, 1, out);
  }

  gemm(x: ComplexArray, n: number, out?: ComplexArray): ComplexArray {
    return this.#multiply("gemm", x, n, out);
  }

  gemvAsync(x: ComplexArray, out?: ComplexArray): Promise<ComplexArray> {
    return this.#multiplyAsync("gemvAsync", x, 1, out);
  }

  gemmAsync(x: ComplexArray, n: number, out?: ComplexArray): Promise<ComplexArray> {
    return this.#multiplyAsync("gemmAsync", x, n, out);
  }

  dequantize(): ComplexArray {
    const { label, rows } = this.#shape;
    this.#core(`${label}.dequantize`);
    return this.#read(
      `${label}.dequantize`,
      Uint32Array.from({ length: rows }, (_, row) => row),
    );
  }

  dequantizeRows(ids: Ids, out?: ComplexArray): ComplexArray {
    const { label, rows, cols } = this.#shape;
    const where = `${label}.dequantizeRows`;
    this.#core(where);
    const checked = checkIds(where, ids, rows);
    const to = checkOut(where, out, checked.length * cols, `ids ${checked.length} x cols ${cols}`);
    return writeOut(where, to, this.#read(where, checked), out);
  }

  [Symbol.dispose](): void {
    this.#dispose();
  }

  static {
    inner = (matrix) => matrix.#matrix;
  }

  #dispose(): void {
    this.#disposed = true;
    this.#matrix.dispose();
  }

  #read(where: string, ids: Uint32Array): ComplexArray {
    const { rows, cols } = this.#shape;
    const core = this.#core(where);
    const w = { re: new Float32Array(ids.length * cols), im: new Float32Array(ids.length * cols) };
    const line = new Float32Array(2 * cols);
    const sign = this.#conjugate === "w" ? -1 : 1;
    for (const [i, row] of ids.entries()) {
      // Re y has Re w on Re x; Im y has Im w there, or its negative.
      core.readRows(Uint32Array.of(row), line);
      w.re.set(line.subarray(0, cols), i * cols);
      core.readRows(Uint32Array.of(rows + row), line);
      for (let col = 0; col < cols; col++) w.im[i * cols + col] = sign * (line[col] as number);
    }
    return w;
  }

  #multiply(op: Operation, x: ComplexArray, n: number, out: ComplexArray | undefined): ComplexArray {
    const where = `${this.#shape.label}.${op}`;
    const { input, joined, to } = this.#join(op, x, n, out);
    const core = this.#core(where);
    const product = new Float32Array(2 * n * this.#shape.rows);
    try {
      core.multiply(where, joined, n, product);
    } catch (error) {
      throw named(where, error, input);
    }
    return writeOut(where, to, this.#split(product, n), out);
  }

  async #multiplyAsync(
    op: Operation,
    x: ComplexArray,
    n: number,
    out: ComplexArray | undefined,
  ): Promise<ComplexArray> {
    const where = `${this.#shape.label}.${op}`;
    const { input, joined, to } = this.#join(op, x, n, out);
    const core = this.#core(where);
    const product = new Float32Array(2 * n * this.#shape.rows);
    try {
      await core.multiplyAsync(where, joined, n, product);
    } catch (error) {
      this.#core(where);
      throw named(where, error, input);
    }
    return writeOut(where, to, this.#split(product, n), out);
  }

  // Checks the arguments, each read once; the tokens as [Re x; Im x], on memory of their own.
  #join(
    op: Operation,
    x: ComplexArray,
    n: number,
    out: ComplexArray | undefined,
  ): { input: ComplexArray; joined: Float32Array; to: ComplexArray | undefined } {
    const { label, rows, cols } = this.#shape;
    const where = `${label}.${op}`;
    this.#core(where);
    const many = op === "gemm" || op === "gemmAsync";
    if (many) checkInteger(`${where}: n`, n, 1, 2 ** 31 - 1);
    const tokens = many ? `n ${n} x ` : "";
    const { re, im } = checkComplex(`${where}: x`, x, n * cols, `${tokens}cols ${cols}`);
    const to = checkOut(where, out, n * rows, `${tokens}rows ${rows}`);
    const joined = new Float32Array(2 * n * cols);
    for (let token = 0; token < n; token++) {
      joined.set(re.subarray(token * cols, (token + 1) * cols), 2 * token * cols);
      joined.set(im.subarray(token * cols, (token + 1) * cols), (2 * token + 1) * cols);
    }
    return { input: { re, im }, joined, to };
  }

  // [n, 2 rows] as the parts of n tokens.
  #split(product: Float32Array, n: number): ComplexArray {
    const { rows } = this.#shape;
    const y = { re: new Float32Array(n * rows), im: new Float32Array(n * rows) };
    for (let token = 0; token < n; token++) {
      y.re.set(product.subarray(2 * token * rows, (2 * token + 1) * rows), token * rows);
      y.im.set(product.subarray((2 * token + 1) * rows, 2 * (token + 1) * rows), token * rows);
    }
    return y;
  }

  #core(where: string): Core {
    const { label, rows, cols } = this.#shape;
    if (this.#disposed) throw goneError(where, label, rows, cols);
    return coreOf(where, this.#matrix);
  }
}

function checkOut(where: string, out: unknown, length: number, shape: string): ComplexArray | undefined {
  if (out === undefined) return undefined;
  const checked = checkComplex(`${where}: out`, out, length, shape);
  checkApart(`${where}: out`, checked);
  return checked;
}

// y, or what the caller gave once it is written.
function writeOut(where: string, to: ComplexArray | undefined, y: ComplexArray, out?: ComplexArray): ComplexArray {
  if (!to) return y;
  checkStill(`${where}: out.re`, to.re, y.re.length);
  checkStill(`${where}: out.im`, to.im, y.im.length);
  to.re.set(y.re);
  to.im.set(y.im);
  return out as ComplexArray;
}

// The matrix would name an index of the joined arrays.
function named(where: string, error: unknown, x: ComplexArray): unknown {
  if (!(error instanceof RangeError)) return error;
  try {
    checkFiniteComplex(`${where}: x`, x);
  } catch (named) {
    return named;
  }
  return error;
}

type Operation = "gemv" | "gemm" | "gemvAsync" | "gemmAsync";
