// One region of packed weights, and its product.
import { formatOf } from "../kernels/formats.ts";
import type { Activation } from "../kernels/types.ts";
import { checkFinite } from "../lib/check.ts";
import type { Engine, Pass } from "../runtime/engine.ts";
import { ComplexProduct } from "./complex-product.ts";
import { type Core, TAKEN_OVER } from "./core.ts";
import { DenseProduct } from "./dense-product.ts";
import { UNIT_COLS } from "./layout.ts";
import type { Product, TokenSource } from "./passes.ts";
import { RealProduct } from "./product.ts";
import type { StoredCore, StoredRegion } from "./record.ts";
import type { Side } from "./side.ts";
import { DISPOSED, goneError, type MatrixSpec } from "./spec.ts";
import { wordBytes } from "./words.ts";

function productOf(engine: Engine, spec: MatrixSpec, side: Side | undefined): Product {
  if (spec.complex) return new ComplexProduct(engine, spec, side);
  const { layout } = formatOf(spec.format, spec.activation);
  return layout === "floats" ? new DenseProduct(engine, spec, side) : new RealProduct(engine, spec, side);
}

export class PackedCore implements Core {
  readonly engine: Engine;
  readonly label: string;
  readonly rows: number;
  readonly cols: number;
  readonly activation: Activation;
  readonly kernel: string;
  readonly gemmKernel: string;
  readonly bytes: number;
  readonly side: Side | undefined;
  readonly rowBlock = 1;
  gone: string | undefined;
  readonly #spec: MatrixSpec;
  readonly #product: Product;
  readonly #address: number;

  /** Takes over the region at `address`, which holds what spec.layout says, and that of the branches. */
  constructor(engine: Engine, spec: MatrixSpec, address: number, side?: Side) {
    this.engine = engine;
    this.#spec = spec;
    this.#product = productOf(engine, spec, side);
    this.#address = address;
    this.side = side;
    this.label = spec.label;
    this.rows = spec.rows;
    this.cols = spec.cols;
    this.activation = spec.activation;
    this.kernel = this.#product.kernel;
    this.gemmKernel = this.#product.gemmKernel;
    this.bytes = spec.layout.bytes + (side?.layout.bytes ?? 0);
  }

  /** Whether its tokens may come from linear memory (multiplyFrom). */
  get takesSources(): boolean {
    return !this.#spec.complex && !this.side;
  }

  writesLast(n: number): boolean {
    return n <= this.#product.passTokens(n);
  }

  multiply(where: string, x: Float32Array, n: number, y: Float32Array): void {
    if (n === 1) this.engine.compute(() => this.#begin(where, x, 1, y));
    else for (const begin of this.#passes(where, x, n, y)) this.engine.compute(begin);
  }

  async multiplyAsync(where: string, x: Float32Array, n: number, y: Float32Array): Promise<void> {
    for (const begin of this.#passes(where, x, n, y)) await this.engine.computeAsync(begin);
  }

  /** One token that is not in an array, to y [rows]. */
  multiplyFrom(where: string, source: TokenSource, y: Float32Array): void {
    this.engine.compute(() => this.#begin(where, source, 1, y));
  }

  multiplyAt(where: string, x: number, n: number, y: number): void {
    const { rows, cols } = this;
    const { arena } = this.engine;
    const step = this.#product.passTokens(n);
    for (let token = 0; token < n; token += step) {
      const tokens = Math.min(step, n - token);
      this.engine.compute(() => {
        const begin = (): Pass => {
          const xs = arena.floats.subarray(x / 4 + token * cols, x / 4 + (token + tokens) * cols);
          const ys = arena.floats.subarray(y / 4 + token * rows, y / 4 + (token + tokens) * rows);
          return this.#begin(where, xs, tokens, ys);
        };
        const { floats } = arena;
        let pass: Pass | undefined;
        try {
          pass = begin();
        } catch (error) {
          if (arena.floats === floats) throw error;
        }
        // Where scratch memory grew, the views of before are of nothing.
        return pass && arena.floats === floats ? pass : begin();
      });
    }
  }

  // What begins each pass.
  #passes(where: string, x: Float32Array, n: number, y: Float32Array): (() => Pass)[] {
    const { rows, cols } = this;
    const step = this.#product.passTokens(n);
    if (n <= step) return [() => this.#begin(where, x, n, y)];
    // One pass looks at its tokens before it computes; several should not compute much before they find a NaN.
    checkFinite(`${where}: x`, x);
    return Array.from({ length: Math.ceil(n / step) }, (_, i) => () => {
      const token = i * step;
      const tokens = Math.min(step, n - token);
      const xs = x.subarray(token * cols, (token + tokens) * cols);
      const ys = y.subarray(token * rows, (token + tokens) * rows);
      return this.#begin(where, xs, tokens, ys);
    });
  }

  #begin(where: string, x: Float32Array | TokenSource, n: number, y: Float32Array): Pass {
    if (this.gone !== undefined) throw goneError(where, this.label, this.rows, this.cols, this.gone);
    // A source comes only to a product that takes them.
    return this.#product.begin(where, this.#address, x as Float32Array, n, y);
  }

  readRows(ids: Uint32Array, out: Float32Array): void {
    const { columnOrder, layout, readRow, cols } = this.#spec;
    const { arena } = this.engine;
    const address = this.#address;
    const bytes = arena.bytes.subarray(address, address + layout.bytes);
    const floats = arena.floats.subarray(address / 4, (address + layout.bytes) / 4);
    const stored = columnOrder && new Float32Array(cols);
    for (const [i, row] of ids.entries()) {
      const line = out.subarray(i * cols, (i + 1) * cols);
      readRow(bytes, floats, row, stored ?? line);
      if (stored) for (let c = 0; c < cols; c++) line[columnOrder[c] as number] = stored[c] as number;
    }
  }

  packed(): Uint8Array {
    return this.engine.arena.bytes.slice(this.#address, this.#address + this.#spec.layout.bytes);
  }

  stored(): StoredCore {
    const { label, format, rows, cols, activation, layout, types, pulses, complex, columnOrder } = this.#spec;
    const { groupByteCols, planes, offsets, sharedScales, records, tableBytes } = layout;
    const branches = this.side?.stored();
    const regions: StoredRegion[] = [{ address: this.#address, bytes: layout.bytes }];
    if (columnOrder) regions.push(wordBytes(columnOrder));
    if (branches) regions.push(branches.region);
    return {
      record: {
        ...{ label, rows, cols, format, activation, group: groupByteCols * UNIT_COLS, planes },
        ...(offsets && { offsets }),
        ...(sharedScales && { sharedScales }),
        ...(records && { records }),
        ...(tableBytes > 0 && { tables: tableBytes }),
        ...(types !== undefined && { types }),
        ...(pulses !== undefined && { pulses }),
        ...(complex && { complex }),
        ...(columnOrder && { order: true }),
        ...(branches && { branches: branches.record }),
      },
      regions,
    };
  }

  extended(side: Side): Core {
    const core = new PackedCore(this.engine, this.#spec, this.#address, side);
    this.side?.release();
    this.gone = TAKEN_OVER;
    return core;
  }

  release(): void {
    this.engine.settle();
    this.gone = DISPOSED;
    this.engine.arena.release(this.#address);
    this.side?.release();
    this.#spec.shared?.release();
  }
}
