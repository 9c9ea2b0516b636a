import type { Activation } from "../kernels/types.ts";
import { checkInteger } from "../lib/check.ts";
import { type ComplexArray, checkComplex, checkFiniteComplex } from "../lib/complex-array.ts";
import type { PackedMatrix } from "./packed.ts";
import { goneError, type Matrix } from "./spec.ts";

/** Which factor of y = W x is conjugated: neither, y = W conj(x) ("x", iFairy's layers), y = conj(W) x ("w"). */
export type Conjugate = "none" | "x" | "w";

/** A packed matrix [rows, cols] of complex weights in linear memory. */
export interface ComplexMatrix
  extends Omit<Matrix, "gemv" | "gemm" | "gemvAsync" | "gemmAsync" | "dequantize" | "with"> {
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
}

/** Complex arrays in front of a matrix of [Re; Im]. */
export class HalvesMatrix implements ComplexMatrix {
  readonly format: string;
  readonly rows: number;
  readonly cols: number;
  readonly conjugate: Conjugate;
  readonly bitsPerWeight: number;
  readonly byteLength: number;
  readonly activation: Activation;
  readonly kernel: string;
  readonly gemmKernel: string;
  readonly #matrix: PackedMatrix;
  // What the matrix itself would say of it names the shape of [Re; Im].
  #disposed = false;

  /** @param matrix [2 rows, 2 cols], of one complex plane */
  constructor(matrix: PackedMatrix, conjugate: Conjugate) {
    this.#matrix = matrix;
    this.conjugate = conjugate;
    this.format = matrix.format;
    this.rows = matrix.rows / 2;
    this.cols = matrix.cols / 2;
    this.byteLength = matrix.byteLength;
    this.bitsPerWeight = (8 * matrix.byteLength) / (this.rows * this.cols);
    this.activation = matrix.activation;
    this.kernel = matrix.kernel;
    this.gemmKernel = matrix.gemmKernel;
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
    this.#checkLive(`${this.format}.dequantize`);
    const { rows, cols } = this;
    const w = { re: new Float32Array(rows * cols), im: new Float32Array(rows * cols) };
    const read = this.#matrix.rowReader();
    const line = new Float32Array(2 * cols);
    for (let row = 0; row < rows; row++) {
      // Re y has Re w on Re x; Im y has Im w there, or its negative.
      read(row, line);
      w.re.set(line.subarray(0, cols), row * cols);
      read(rows + row, line);
      const sign = this.conjugate === "w" ? -1 : 1;
      for (let col = 0; col < cols; col++) w.im[row * cols + col] = sign * (line[col] as number);
    }
    return w;
  }

  /** A copy of the stored bytes. */
  packed(): Uint8Array {
    return this.#matrix.packed();
  }

  dispose(): void {
    this.#disposed = true;
    this.#matrix.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #multiply(op: Operation, x: ComplexArray, n: number, out: ComplexArray | undefined): ComplexArray {
    const joined = this.#join(op, x, n, out);
    try {
      const product = n === 1 ? this.#matrix.gemv(joined) : this.#matrix.gemm(joined, n);
      return this.#split(product, n, out);
    } catch (error) {
      throw this.#named(error, op, x);
    }
  }

  async #multiplyAsync(
    op: Operation,
    x: ComplexArray,
    n: number,
    out: ComplexArray | undefined,
  ): Promise<ComplexArray> {
    const joined = this.#join(op, x, n, out);
    try {
      const product = await (n === 1 ? this.#matrix.gemvAsync(joined) : this.#matrix.gemmAsync(joined, n));
      return this.#split(product, n, out);
    } catch (error) {
      throw this.#named(error, op, x);
    }
  }

  // Checks the arguments; the tokens as [Re x; Im x].
  #join(op: Operation, x: ComplexArray, n: number, out: ComplexArray | undefined): Float32Array {
    const where = `${this.format}.${op}`;
    this.#checkLive(where);
    const { rows, cols } = this;
    const many = op === "gemm" || op === "gemmAsync";
    if (many) checkInteger(`${where}: n`, n, 1, 2 ** 31 - 1);
    const tokens = many ? `n ${n} x ` : "";
    const { re, im } = checkComplex(`${where}: x`, x, n * cols, `${tokens}cols ${cols}`);
    if (out !== undefined) checkComplex(`${where}: out`, out, n * rows, `${tokens}rows ${rows}`);
    const joined = new Float32Array(2 * n * cols);
    for (let token = 0; token < n; token++) {
      joined.set(re.subarray(token * cols, (token + 1) * cols), 2 * token * cols);
      joined.set(im.subarray(token * cols, (token + 1) * cols), (2 * token + 1) * cols);
    }
    return joined;
  }

  #split(product: Float32Array, n: number, out: ComplexArray | undefined): ComplexArray {
    const { rows } = this;
    const y = out ?? { re: new Float32Array(n * rows), im: new Float32Array(n * rows) };
    for (let token = 0; token < n; token++) {
      y.re.set(product.subarray(2 * token * rows, (2 * token + 1) * rows), token * rows);
      y.im.set(product.subarray((2 * token + 1) * rows, 2 * (token + 1) * rows), token * rows);
    }
    return y;
  }

  #checkLive(where: string): void {
    if (this.#disposed) throw goneError(where, this);
  }

  // The matrix would name an index of the joined arrays.
  #named(error: unknown, op: Operation, x: ComplexArray): unknown {
    if (!(error instanceof RangeError)) return error;
    try {
      checkFiniteComplex(`${this.format}.${op}: x`, x);
    } catch (named) {
      return named;
    }
    return error;
  }
}

type Operation = "gemv" | "gemm" | "gemvAsync" | "gemmAsync";
