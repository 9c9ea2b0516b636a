// Declarations name Symbol.dispose, which the default libraries of TypeScript lack.
/// <reference lib="esnext.disposable" preserve="true" />
import { addBranches, type Branches } from "./branches.ts";
import { checkFinite, checkGemm, checkGemv } from "./check.ts";
import { ComplexProduct } from "./complex-product.ts";
import type { Engine, Pass } from "./engine.ts";
import type { Layout } from "./layouts/layout.ts";
import { type Product, RealProduct, type TokenSource } from "./product.ts";
import type { Activation, FormatName } from "./registry.ts";
import type { SharedTable } from "./shared.ts";
import { extendSide, type Side, type WeightReader } from "./side.ts";

/** A packed weight matrix [rows, cols] in linear memory. */
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
   * up. Without workers, or where the work is too little for them, it is computed here. x is copied at once; calls take
   * turns, and a synchronous call in between completes the one that is under way.
   * @throws as gemv, as a rejection
   */
  gemvAsync(x: Float32Array, out?: Float32Array): Promise<Float32Array>;
  /** gemm likewise. */
  gemmAsync(x: Float32Array, n: number, out?: Float32Array): Promise<Float32Array>;
  /** [rows, cols] row-major: what the kernels multiply by, branches included (bias is none of it). */
  dequantize(): Float32Array;
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

/** A matrix that is used after it is gone. */
export function goneError(
  where: string,
  { format, rows, cols }: Pick<Matrix, "format" | "rows" | "cols">,
  how = DISPOSED,
): TypeError {
  return new TypeError(`${where}: this ${format} matrix (${rows} x ${cols}) ${how}`);
}

const DISPOSED = "was disposed";

// Weights that the collector finds before dispose() does. A backstop only: nothing says when, or whether, it runs.
const abandoned = /* @__PURE__ */ new FinalizationRegistry<() => void>((release) => release());

export class PackedMatrix implements Matrix {
  readonly format: string;
  readonly rows: number;
  readonly cols: number;
  readonly byteLength: number;
  readonly activation: Activation;
  readonly kernel: string;
  readonly gemmKernel: string;
  readonly #engine: Engine;
  readonly #spec: MatrixSpec;
  readonly #product: Product;
  readonly #side: Side | undefined;
  #address: number;
  #gone = DISPOSED;

  /** Takes over the region at `address`, which holds what spec.layout says, and that of the branches. */
  constructor(engine: Engine, spec: MatrixSpec, address: number, side?: Side) {
    this.#engine = engine;
    this.#spec = spec;
    this.#product = spec.complex ? new ComplexProduct(engine, spec, side) : new RealProduct(engine, spec, side);
    this.format = spec.label;
    this.activation = spec.activation;
    this.rows = spec.rows;
    this.cols = spec.cols;
    this.byteLength = spec.layout.bytes + (side?.layout.bytes ?? 0);
    this.#address = address;
    this.#side = side;
    this.kernel = this.#product.kernel;
    this.gemmKernel = this.#product.gemmKernel;
    const { arena } = engine;
    const release = (): void => {
      arena.release(address);
      side?.release();
      spec.shared?.release();
    };
    abandoned.register(this, release, this);
  }

  get bitsPerWeight(): number {
    return (this.byteLength * 8) / (this.rows * this.cols);
  }

  gemv(x: Float32Array, out?: Float32Array): Float32Array {
    const where = `${this.format}.gemv`;
    this.#live(where);
    checkGemv(where, this, x, out);
    const y = out ?? new Float32Array(this.rows);
    this.#engine.compute(() => this.#product.begin(where, this.#live(where), x, 1, y));
    return y;
  }

  gemm(x: Float32Array, n: number, out?: Float32Array): Float32Array {
    const where = `${this.format}.gemm`;
    this.#live(where);
    checkGemm(where, this, x, n, out);
    const y = out ?? new Float32Array(n * this.rows);
    for (const begin of this.#passes(where, x, n, y)) this.#engine.compute(begin);
    return y;
  }

  async gemvAsync(x: Float32Array, out?: Float32Array): Promise<Float32Array> {
    const where = `${this.format}.gemvAsync`;
    this.#live(where);
    checkGemv(where, this, x, out);
    const y = out ?? new Float32Array(this.rows);
    const kept = x.slice();
    await this.#engine.computeAsync(() => this.#product.begin(where, this.#live(where), kept, 1, y));
    return y;
  }

  async gemmAsync(x: Float32Array, n: number, out?: Float32Array): Promise<Float32Array> {
    const where = `${this.format}.gemmAsync`;
    this.#live(where);
    checkGemm(where, this, x, n, out);
    const y = out ?? new Float32Array(n * this.rows);
    for (const begin of this.#passes(where, x.slice(), n, y)) await this.#engine.computeAsync(begin);
    return y;
  }

  // What begins each pass of a gemm.
  #passes(where: string, x: Float32Array, n: number, y: Float32Array): (() => Pass)[] {
    const { rows, cols } = this;
    const step = this.#product.passTokens(n);
    // One pass looks at its tokens before it writes; several must not find NaN in the middle of `out`.
    if (n > step) checkFinite(`${where}: x`, x);
    return Array.from({ length: Math.ceil(n / step) }, (_, i) => () => {
      const token = i * step;
      const tokens = Math.min(step, n - token);
      const xs = x.subarray(token * cols, (token + tokens) * cols);
      const ys = y.subarray(token * rows, (token + tokens) * rows);
      return this.#product.begin(where, this.#live(where), xs, tokens, ys);
    });
  }

  /** gemv of a token that is not in an array, to y [rows]. Not of complex planes. */
  gemvFrom(source: TokenSource, y: Float32Array): void {
    const where = `${this.format}.gemv`;
    const product = this.#product as RealProduct;
    this.#engine.compute(() => product.begin(where, this.#live(where), source, 1, y));
  }

  dequantize(): Float32Array {
    const address = this.#live(`${this.format}.dequantize`);
    const { rows, cols } = this;
    const w = new Float32Array(rows * cols);
    const readRow = this.#rowReader(address);
    for (let row = 0; row < rows; row++) readRow(row, w.subarray(row * cols, (row + 1) * cols));
    const branches = this.#side?.read();
    if (branches) addBranches(w, branches, rows, cols);
    return w;
  }

  with(added: Branches): Matrix {
    const where = `${this.format}.with`;
    const address = this.#live(where);
    this.#engine.settle();
    const side = extendSide(
      where,
      this.#engine,
      [this.rows, this.cols],
      this.#side,
      added,
      this.#weightReader(address),
    );
    const matrix = new PackedMatrix(this.#engine, this.#spec, address, side);
    this.#side?.release();
    abandoned.unregister(this);
    this.#address = 0;
    this.#gone = "was taken over by with()";
    return matrix;
  }

  /** Reads the weights, without branches, a row at a time. */
  rowReader(): (row: number, out: Float32Array) => void {
    return this.#rowReader(this.#live(`${this.format}.dequantize`));
  }

  /** A copy of the stored bytes, branches not included. */
  packed(): Uint8Array {
    const address = this.#live(`${this.format}.packed`);
    return this.#engine.arena.bytes.slice(address, address + this.#spec.layout.bytes);
  }

  dispose(): void {
    if (this.#address === 0) return;
    this.#engine.settle();
    abandoned.unregister(this);
    this.#engine.arena.release(this.#address);
    this.#side?.release();
    this.#spec.shared?.release();
    this.#address = 0;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  // Reads a row of the weights, without branches, in the order of the matrix's columns.
  #rowReader(address: number): (row: number, out: Float32Array) => void {
    const { columnOrder, layout, readRow } = this.#spec;
    const { arena } = this.#engine;
    const bytes = arena.bytes.subarray(address, address + layout.bytes);
    const floats = arena.floats.subarray(address / 4, (address + layout.bytes) / 4);
    const stored = columnOrder && new Float32Array(this.cols);
    return (row, out) => {
      readRow(bytes, floats, row, stored ?? out);
      if (stored) for (let i = 0; i < stored.length; i++) out[columnOrder[i] as number] = stored[i] as number;
    };
  }

  // One weight at a time, row after row.
  #weightReader(address: number): WeightReader {
    const readRow = this.#rowReader(address);
    const line = new Float32Array(this.cols);
    let last = -1;
    return (row, col) => {
      if (row !== last) readRow(row, line);
      last = row;
      return line[col] as number;
    };
  }

  #live(where: string): number {
    if (this.#address === 0) {
      throw goneError(where, this, this.#gone);
    }
    return this.#address;
  }
}
