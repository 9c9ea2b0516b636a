// Declarations name Symbol.dispose, which the default libraries of TypeScript lack.
/// <reference lib="esnext.disposable" preserve="true" />
import { formatOf } from "../kernels/formats.ts";
import type { Activation } from "../kernels/types.ts";
import { checkFinite, checkGemm, checkGemv } from "../lib/check.ts";
import type { Engine, Pass } from "../runtime/engine.ts";
import { addBranches, type Branches } from "./branches.ts";
import { ComplexProduct } from "./complex-product.ts";
import { DenseProduct } from "./dense-product.ts";
import type { Product, TokenSource } from "./passes.ts";
import { RealProduct } from "./product.ts";
import { extendSide, type Side, type WeightReader } from "./side.ts";
import { DISPOSED, goneError, type Matrix, type MatrixSpec } from "./spec.ts";

// Weights that the collector finds before dispose() does. A backstop only: nothing says when, or whether, it runs.
const abandoned = /* @__PURE__ */ new FinalizationRegistry<() => void>((release) => release());

function productOf(engine: Engine, spec: MatrixSpec, side: Side | undefined): Product {
  if (spec.complex) return new ComplexProduct(engine, spec, side);
  const { layout } = formatOf(spec.format, spec.activation);
  return layout === "floats" ? new DenseProduct(engine, spec, side) : new RealProduct(engine, spec, side);
}

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
    this.#product = productOf(engine, spec, side);
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

  /** gemm between addresses of linear memory: x [n, cols] and y [n, rows], float32, which do not overlap. */
  multiply(x: number, n: number, y: number): void {
    const where = `${this.format}.gemm`;
    const { rows, cols } = this;
    const { arena } = this.#engine;
    const step = this.#product.passTokens(n);
    for (let token = 0; token < n; token += step) {
      const tokens = Math.min(step, n - token);
      this.#engine.compute(() => {
        const begin = (): Pass => {
          const xs = arena.floats.subarray(x / 4 + token * cols, x / 4 + (token + tokens) * cols);
          const ys = arena.floats.subarray(y / 4 + token * rows, y / 4 + (token + tokens) * rows);
          return this.#product.begin(where, this.#live(where), xs, tokens, ys);
        };
        const { buffer } = arena.memory;
        let pass: Pass | undefined;
        try {
          pass = begin();
        } catch (error) {
          if (arena.memory.buffer === buffer) throw error;
        }
        // Where scratch memory grew, the views of before are of nothing.
        return pass && arena.memory.buffer === buffer ? pass : begin();
      });
    }
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
