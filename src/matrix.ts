import {
  addBranches,
  type Branches,
  type BranchLayout,
  branchAddresses,
  branchLayout,
  checkBranches,
  lowRankFloats,
  readBranches,
  toAdded,
  writeBranches,
} from "./branches.ts";
import { checkFinite, checkFloats, checkInteger, rangeError } from "./check.ts";
import { type Engine, GEMM_SUM_BYTES, GEMM_TILE_BYTES } from "./engine.ts";
import { type Layout, offsetsAt, scalesAt, tablesAt, UNIT_COLS } from "./layouts/layout.ts";
import { align, type Factors, factorsOf, prepare, prepareBits, quantize, type Slot, slotOf } from "./prepare.ts";
import { type Activation, type Format, type FormatName, formats, isWide, type Kernel, TILE_ROWS } from "./registry.ts";

/** A packed weight matrix [rows, cols] in linear memory. */
export interface Matrix {
  readonly format: string;
  readonly rows: number;
  readonly cols: number;
  /** Stored bits per weight, scales and padding included. */
  readonly bitsPerWeight: number;
  /** Stored bytes, scales and padding included. There is no second copy. */
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

// Tokens of one pass: more bring little, and their sums and results must stay near the processor.
const PANEL_TOKENS = 128;
const FEW_TOKENS = 8;
// What all tokens of a pass are prepared to: beyond this it does not stay in a second-level cache.
const FEW_BYTES = 262144;
// Weights that stay in a second-level cache while several tokens pass over them.
const TILE_BYTES = 131072;
// Rows of y between the weights and the branches.
const BRANCH_ROWS = 1024;
// Result rows, then the working space of the kernels, which for lut8 is 16 bytes a row.
const Y_BYTES: Readonly<Record<Activation, number>> = { int8: 8, lut8: 20, f32: 8, bits: 8 };

// Weights that the collector finds before dispose() does. A backstop only: nothing says when, or whether, it runs.
const abandoned = /* @__PURE__ */ new FinalizationRegistry<() => void>((release) => release());

/** Branches in linear memory. */
interface Side {
  readonly address: number;
  readonly layout: BranchLayout;
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
  readonly #format: Format;
  readonly #slot: Slot;
  readonly #gemv: Kernel;
  readonly #gemm: Kernel | undefined;
  readonly #panelTokens: number;
  readonly #side: Side | undefined;
  #address: number;
  #gone = "was disposed";

  /** Takes over the region at `address`, which holds what spec.layout says, and that of the branches. */
  constructor(engine: Engine, spec: MatrixSpec, address: number, side?: Side) {
    const { format, activation, layout, kernel: forced } = spec;
    this.#engine = engine;
    this.#spec = spec;
    this.#format = formats[format];
    this.#slot = slotOf(this.#format, activation, engine.variant, layout, spec.types);
    this.format = spec.label;
    this.activation = activation;
    this.rows = spec.rows;
    this.cols = spec.cols;
    this.byteLength = layout.bytes + (side?.layout.bytes ?? 0);
    this.#address = address;
    this.#side = side;
    this.#gemv = engine.kernel("gemv", format, activation, forced) as Kernel;
    this.kernel = this.#gemv.name;
    this.#gemm = engine.kernel("gemm", format, activation, forced);
    this.#panelTokens = this.#gemm?.fromTokens ?? Number.POSITIVE_INFINITY;
    if (forced !== undefined) this.#panelTokens = forced === this.#gemm?.name ? 2 : Number.POSITIVE_INFINITY;
    this.gemmKernel = Number.isFinite(this.#panelTokens) ? (this.#gemm as Kernel).name : this.kernel;
    const { arena } = engine;
    const release = (): void => {
      arena.release(address);
      if (side) arena.release(side.address);
    };
    abandoned.register(this, release, this);
  }

  get bitsPerWeight(): number {
    return (this.byteLength * 8) / (this.rows * this.cols);
  }

  gemv(x: Float32Array, out?: Float32Array): Float32Array {
    const where = `${this.format}.gemv`;
    const address = this.#live(where);
    const { rows } = this;
    checkFloats(`${where}: x`, x, this.cols, `cols ${this.cols}`);
    if (out !== undefined) checkFloats(`${where}: out`, out, rows, `rows ${rows}`);
    const y = out ?? new Float32Array(rows);
    this.#few(where, address, x, 1, y);
    return y;
  }

  gemm(x: Float32Array, n: number, out?: Float32Array): Float32Array {
    const where = `${this.format}.gemm`;
    const address = this.#live(where);
    const { rows, cols } = this;
    checkInteger(`${where}: n`, n, 1, 2 ** 31 - 1);
    checkFloats(`${where}: x`, x, n * cols, `n ${n} x cols ${cols}`);
    if (out !== undefined) checkFloats(`${where}: out`, out, n * rows, `n ${n} x rows ${rows}`);
    const panel = n >= this.#panelTokens;
    const step = panel ? PANEL_TOKENS : this.#fewTokens();
    // One pass looks at its tokens before it writes; several must not find NaN in the middle of `out`.
    if (n > step) checkFinite(`${where}: x`, x);
    const y = out ?? new Float32Array(n * rows);
    for (let token = 0; token < n; token += step) {
      const tokens = Math.min(step, n - token);
      const xs = x.subarray(token * cols, (token + tokens) * cols);
      const ys = y.subarray(token * rows, (token + tokens) * rows);
      if (panel) this.#many(where, address, xs, tokens, ys);
      else this.#few(where, address, xs, tokens, ys);
    }
    return y;
  }

  dequantize(): Float32Array {
    const address = this.#live(`${this.format}.dequantize`);
    const { rows, cols } = this;
    const w = new Float32Array(rows * cols);
    const readRow = this.#rowReader(address);
    for (let row = 0; row < rows; row++) readRow(row, w.subarray(row * cols, (row + 1) * cols));
    const branches = this.#branches();
    if (branches) addBranches(w, branches, rows, cols);
    return w;
  }

  with(added: Branches): Matrix {
    const where = `${this.format}.with`;
    const address = this.#live(where);
    const { rows, cols } = this;
    const { arena } = this.#engine;
    const checked = checkBranches(where, added, rows, cols);
    const before = this.#branches() ?? {};
    for (const name of ["lowRank", "sparse", "bias", "colScale"] as const) {
      if (checked[name] !== undefined && before[name] !== undefined) {
        throw rangeError(`${where}: ${name}`, "a branch that this matrix does not have", `a second ${name}`);
      }
    }
    const { sparse } = checked;
    const colScale = checked.colScale ?? before.colScale;
    const all: Branches = {
      ...before,
      ...checked,
      ...(sparse && { sparse: toAdded(where, sparse, this.#weightReader(address), colScale) }),
    };
    const layout = branchLayout(all, rows, cols);
    const side = { address: arena.allocate(layout.bytes), layout };
    writeBranches(arena.bytes.subarray(side.address, side.address + layout.bytes), all, layout);
    const matrix = new PackedMatrix(this.#engine, this.#spec, address, side);
    if (this.#side) arena.release(this.#side.address);
    abandoned.unregister(this);
    this.#address = 0;
    this.#gone = "was taken over by with()";
    return matrix;
  }

  /** A copy of the stored bytes, branches not included. */
  packed(): Uint8Array {
    const address = this.#live(`${this.format}.packed`);
    return this.#engine.arena.bytes.slice(address, address + this.#spec.layout.bytes);
  }

  dispose(): void {
    if (this.#address === 0) return;
    abandoned.unregister(this);
    this.#engine.arena.release(this.#address);
    if (this.#side) this.#engine.arena.release(this.#side.address);
    this.#address = 0;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #branches(): Branches | undefined {
    if (!this.#side) return undefined;
    const { address, layout } = this.#side;
    return readBranches(this.#engine.arena.bytes.subarray(address, address + layout.bytes), layout);
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
  #weightReader(address: number): (row: number, col: number) => number {
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
      throw new TypeError(`${where}: this ${this.format} matrix (${this.rows} x ${this.cols}) ${this.#gone}`);
    }
    return this.#address;
  }

  // Bytes of a token for its branches: x as it is, and what the low-rank branch makes of it.
  #sideBytes(): number {
    if (!this.#side) return 0;
    const { layout } = this.#side;
    return align(layout.byteCols * UNIT_COLS * 4) + align(lowRankFloats(layout) * 4);
  }

  // Copies one token to `at` as the weights meet it, padded with zeros, and returns max |x|. For branches it is at `side`
  // as it was given.
  #load(where: string, at: number, side: number, x: Float32Array, token: number, scratchBefore: number): number {
    const { cols } = this;
    const { columnOrder, layout } = this.#spec;
    const { exports, arena } = this.#engine;
    const { floats } = arena;
    const start = at / 4;
    const padded = layout.byteCols * UNIT_COLS;
    const given = cols === x.length ? x : x.subarray(token * cols, (token + 1) * cols);
    let from: Float32Array = given;
    let first = 0;
    if (this.#side) {
      const { byteCols, rank } = this.#side.layout;
      const { b, colScale } = branchAddresses(this.#side.layout, this.#side.address);
      floats.set(given, side / 4);
      floats.fill(0, side / 4 + cols, side / 4 + byteCols * UNIT_COLS);
      if (colScale !== 0) {
        // Where columns are reordered, the scaled x waits behind them.
        const scaled = columnOrder ? at + padded * 4 : at;
        exports.prepare_scaled(side, colScale, scaled, byteCols);
        from = floats;
        first = scaled / 4;
      }
      if (rank > 0) exports.prepare_lowrank(side, b, side + align(byteCols * UNIT_COLS * 4), rank, byteCols);
    }
    if (columnOrder) {
      for (let i = 0; i < cols; i++) floats[start + i] = from[first + (columnOrder[i] as number)] as number;
    } else if (from === given) {
      floats.set(given, start);
    }
    if (padded > cols) floats.fill(0, start + cols, start + padded);
    const largest = exports.absmax(at, padded);
    if (!Number.isFinite(largest)) {
      this.#engine.shrinkScratch(scratchBefore);
      checkFinite(`${where}: x`, x);
      throw rangeError(`${where}: x`, "numbers that stay finite when multiplied by colScale", String(largest));
    }
    return largest;
  }

  // Adds the branches to rows of one token's result.
  #addBranches(y: number, row: number, end: number, side: number): void {
    if (!this.#side) return;
    const { layout, address } = this.#side;
    const { bias, a, sparse } = branchAddresses(layout, address);
    const t = side + align(layout.byteCols * UNIT_COLS * 4);
    this.#engine.exports.branch_add(
      y,
      row,
      end,
      layout.paddedRows,
      bias,
      t,
      a,
      layout.rank,
      sparse,
      layout.colBytes,
      side,
    );
  }

  #fewTokens(): number {
    return Math.max(1, Math.min(FEW_TOKENS, Math.floor(FEW_BYTES / (this.#slot.passes * this.#slot.bytes))));
  }

  // What a kernel gets besides its addresses: how many planes, or of which types, or where the table is.
  #extra(address: number): number {
    const { layout, types } = this.#spec;
    if (types !== undefined) return types;
    return layout.tableBytes > 0 ? address + tablesAt(layout) : layout.planes;
  }

  // Prepare, core and finish of a few tokens, one after the other. Tiles of weights meet every token while cached.
  #few(where: string, address: number, x: Float32Array, n: number, y: Float32Array): void {
    const { format, activation, layout, types } = this.#spec;
    const { byteCols, groupByteCols, paddedRows, weightBytes } = layout;
    const slot = this.#slot;
    const { passes } = slot;
    const qBytes = byteCols * UNIT_COLS;
    const xBytes = align(qBytes * 4);
    const yBytes = Y_BYTES[activation] * paddedRows;
    const sideBytes = this.#sideBytes();
    const { scratchBytes } = this.#engine;
    const xs = this.#engine.scratch(2 * xBytes + align(3 * qBytes) + n * (passes * (slot.bytes + yBytes) + sideBytes));
    const qs = xs + 2 * xBytes;
    const slots = qs + align(3 * qBytes);
    const sides = slots + n * passes * slot.bytes;
    const ys = sides + n * sideBytes;
    const factors: Factors[] = [];
    for (let token = 0; token < n; token++) {
      const largest = this.#load(where, xs, sides + token * sideBytes, x, token, scratchBytes);
      const at = slots + token * passes * slot.bytes;
      factors.push(
        types === undefined
          ? prepare(this.#engine, format, activation, layout, slot, xs, qs, at, largest)
          : prepareBits(this.#engine, types, this.cols, layout, slot, xs, at, largest),
      );
    }
    const { exports } = this.#engine;
    const gemv = this.#engine.gemv(this.#gemv);
    const scales = address + scalesAt(layout);
    const offsets = layout.offsets ? address + offsetsAt(layout) : 0;
    const extra = this.#extra(address);
    const tileRows = Math.floor(TILE_BYTES / (weightBytes / paddedRows) / TILE_ROWS) * TILE_ROWS;
    // Branches are added while the rows of y are in the first-level cache.
    const most = this.#side ? BRANCH_ROWS : paddedRows;
    const rowStep = n * passes === 1 ? most : Math.max(TILE_ROWS, Math.min(tileRows, most));
    for (let row = 0; row < paddedRows; row += rowStep) {
      const end = Math.min(row + rowStep, paddedRows);
      for (let token = 0; token < n; token++) {
        const { passes: passFactors, together } = factors[token] as Factors;
        for (let pass = 0; pass < passes; pass++) {
          const i = token * passes + pass;
          const at = slots + i * slot.bytes;
          gemv(
            address,
            scales,
            at,
            at + slot.stepsAt,
            ys + i * yBytes,
            row,
            end,
            paddedRows,
            byteCols,
            groupByteCols,
            passFactors[pass] as number,
            offsets,
            at + slot.sumsAt,
            extra,
          );
        }
        const y0 = ys + token * passes * yBytes;
        if (passes > 1) exports.combine_digits(y0, yBytes, row, end, together);
        this.#addBranches(y0, row, end, sides + token * sideBytes);
      }
    }
    this.#copyOut(ys, passes * yBytes, n, y);
  }

  // The same for many tokens: activations to a panel, tiles of weights to codes, dot products.
  #many(where: string, address: number, x: Float32Array, n: number, y: Float32Array): void {
    const { exports, arena, variant } = this.#engine;
    const { layout } = this.#spec;
    const { byteCols, groupByteCols, groups, paddedRows } = layout;
    const { unpack } = this.#format;
    const kernel = this.#gemm as Kernel;
    const { passes } = this.#slot;
    const count = n * passes;
    const even = count + (count & 1);
    const qBytes = byteCols * UNIT_COLS;
    const xBytes = align(qBytes * 4);
    const wide = isWide(this.#format) || variant === "simd";
    const panelBytes = qBytes * (wide ? 2 : 1);
    const sumBytes = align(even * groups * 4);
    const yBytes = paddedRows * 4;
    const sideBytes = this.#sideBytes();
    const { scratchBytes } = this.#engine;
    const xs = this.#engine.scratch(
      2 * xBytes +
        n * sideBytes +
        align(even * qBytes) +
        even * panelBytes +
        2 * sumBytes +
        align(even * 4) +
        even * yBytes +
        GEMM_TILE_BYTES +
        even * GEMM_SUM_BYTES,
    );
    const sides = xs + 2 * xBytes;
    const qs = sides + n * sideBytes;
    const panel = qs + align(even * qBytes);
    const sums = panel + even * panelBytes;
    const floatSums = sums + sumBytes;
    const factors = floatSums + sumBytes;
    const ys = factors + align(even * 4);
    const scratch = ys + even * yBytes;
    const together: number[] = [];
    if (even > count) arena.bytes.fill(0, qs + count * qBytes, qs + even * qBytes);
    arena.floats[factors / 4 + even - 1] = 0;
    for (let token = 0; token < n; token++) {
      const largest = this.#load(where, xs, sides + token * sideBytes, x, token, scratchBytes);
      quantize(this.#engine, xs, qs + token * passes * qBytes, qBytes, byteCols, passes, largest);
      const factor = factorsOf(passes, largest);
      arena.floats.set(factor.passes, factors / 4 + token * passes);
      together.push(factor.together);
    }
    const pairs = wide ? exports.prepare_wide_pairs : exports.prepare_pairs;
    for (let i = 0; i < even; i++) {
      const q = qs + i * qBytes;
      exports.prepare_sums(q, sums + i * groups * 4, floatSums + i * groups * 4, byteCols, groupByteCols);
      if (i % 2 === 0) pairs(q, q + qBytes, panel + i * panelBytes, byteCols);
    }
    const gemm = this.#engine.gemm(kernel);
    const rowStep = this.#side ? BRANCH_ROWS : paddedRows;
    for (let row = 0; row < paddedRows; row += rowStep) {
      const end = Math.min(row + rowStep, paddedRows);
      gemm(
        address,
        address + scalesAt(layout),
        panel,
        sums,
        factors,
        ys,
        scratch,
        row,
        end,
        paddedRows,
        byteCols,
        groupByteCols,
        even,
        layout.offsets ? address + offsetsAt(layout) : 0,
        floatSums,
        unpack as number,
        this.#extra(address),
      );
      for (let token = 0; token < n; token++) {
        const y0 = ys + token * passes * yBytes;
        if (passes > 1) exports.combine_digits(y0, yBytes, row, end, together[token] as number);
        this.#addBranches(y0, row, end, sides + token * sideBytes);
      }
    }
    this.#copyOut(ys, passes * yBytes, n, y);
  }

  // The results of n tokens, `bytes` apart in linear memory, to [n, rows].
  #copyOut(from: number, bytes: number, n: number, y: Float32Array): void {
    const { rows } = this;
    const { floats } = this.#engine.arena;
    for (let token = 0; token < n; token++) {
      const start = (from + token * bytes) / 4;
      y.set(floats.subarray(start, start + rows), token * rows);
    }
  }
}
