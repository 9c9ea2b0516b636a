import { checkFinite, checkFloats, checkInteger } from "./check.ts";
import { type Engine, GEMM_SUM_BYTES, GEMM_TILE_BYTES, PANEL_BYTES } from "./engine.ts";
import {
  type Activation,
  BYTE_COLS,
  type FormatName,
  type Kernel,
  LUT8_BLOCK,
  PLANES,
  STRIP_ROWS,
  TABLE_BYTES,
  TILE_ROWS,
} from "./registry.ts";

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
  /** [rows, cols] row-major: what the kernels multiply by. */
  dequantize(): Float32Array;
  /** Gives the memory back. Doing it twice is harmless; using the matrix afterwards throws. */
  dispose(): void;
  [Symbol.dispose](): void;
}

/** Shape of a packed matrix. */
export interface Shape {
  readonly format: FormatName;
  readonly rows: number;
  readonly cols: number;
  /** Columns that share a scale; a multiple of 8, or all of them. */
  readonly groupSize: number;
  readonly activation: Activation;
}

// Tokens of one pass: more bring little, and their sums and results must stay near the processor.
const PANEL_TOKENS = 128;
const LOOKUP_TOKENS = 8;
// Tables of all tokens of a lookup pass: beyond this they push each other out of a second-level cache.
const LOOKUP_TABLE_BYTES = 262144;
// Weights that stay in a second-level cache while several tokens pass over them.
const LOOKUP_TILE_BYTES = 131072;

const align = (bytes: number): number => Math.ceil(bytes / 64) * 64;
const floatBits = /* @__PURE__ */ new Float32Array(1);
const intBits = /* @__PURE__ */ new Uint32Array(floatBits.buffer);

// Weights that the collector finds before dispose() does. A backstop only: nothing says when, or whether, it runs.
const abandoned = /* @__PURE__ */ new FinalizationRegistry<() => void>((release) => release());

export class PlaneMatrix implements Matrix {
  readonly format: FormatName;
  readonly rows: number;
  readonly cols: number;
  readonly byteLength: number;
  readonly activation: Activation;
  readonly kernel: string;
  readonly gemmKernel: string;
  readonly #engine: Engine;
  readonly #gemm: Kernel | undefined;
  readonly #panelTokens: number;
  readonly #layout: PlaneLayout;
  #address: number;

  /** Takes over the region at `address`, which holds the planes and scales of PlaneLayout. */
  constructor(engine: Engine, shape: Shape, layout: PlaneLayout, address: number, forced?: string) {
    const { format, activation } = shape;
    this.#engine = engine;
    this.format = format;
    this.activation = activation;
    this.rows = shape.rows;
    this.cols = shape.cols;
    this.byteLength = layout.bytes;
    this.#layout = layout;
    this.#address = address;
    this.kernel = (engine.kernel("gemv", format, activation, forced) as Kernel).name;
    this.#gemm = engine.kernel("gemm", format, activation, forced);
    this.#panelTokens = this.#gemm?.fromTokens ?? Number.POSITIVE_INFINITY;
    if (forced !== undefined) this.#panelTokens = forced === this.#gemm?.name ? 2 : Number.POSITIVE_INFINITY;
    this.gemmKernel = Number.isFinite(this.#panelTokens) ? (this.#gemm as Kernel).name : this.kernel;
    const { arena } = engine;
    abandoned.register(this, () => arena.release(address), this);
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
    this.#lookup(where, address, x, 1, y);
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
    const step = panel ? PANEL_TOKENS : this.#lookupTokens();
    // One pass looks at its tokens before it writes; several must not find NaN in the middle of `out`.
    if (n > step) checkFinite(`${where}: x`, x);
    const y = out ?? new Float32Array(n * rows);
    for (let token = 0; token < n; token += step) {
      const tokens = Math.min(step, n - token);
      const xs = x.subarray(token * cols, (token + tokens) * cols);
      const ys = y.subarray(token * rows, (token + tokens) * rows);
      if (panel) this.#panel(where, address, xs, tokens, ys);
      else this.#lookup(where, address, xs, tokens, ys);
    }
    return y;
  }

  dequantize(): Float32Array {
    const address = this.#live(`${this.format}.dequantize`);
    const { rows, cols } = this;
    const { planes, byteCols, groupByteCols, paddedRows, planeBytes } = this.#layout;
    const bytes = this.#engine.arena.bytes.subarray(address, address + planeBytes);
    const floats = this.#engine.arena.floats;
    const scales = (address + planeBytes) / 4;
    const w = new Float32Array(rows * cols);
    for (let row = 0; row < rows; row++) {
      const { offset, stride } = rowPlace(row, paddedRows, byteCols, planes);
      for (let col = 0; col < cols; col++) {
        const c = col >> 3;
        const bit = col & 7;
        let at = offset + c * stride;
        let sum = ((bytes[at] as number) >> bit) & 1;
        if (planes === 2) sum += ((bytes[++at] as number) >> bit) & 1;
        const group = Math.floor(c / groupByteCols);
        const scale = floats[scales + group * paddedRows + row] as number;
        w[row * cols + col] = (planes === 2 ? sum - 1 : 2 * sum - 1) * scale;
      }
    }
    return w;
  }

  /** A copy of the stored bytes: the planes in tiles, then the scales. */
  packed(): Uint8Array {
    const address = this.#live(`${this.format}.packed`);
    return this.#engine.arena.bytes.slice(address, address + this.byteLength);
  }

  dispose(): void {
    if (this.#address === 0) return;
    abandoned.unregister(this);
    this.#engine.arena.release(this.#address);
    this.#address = 0;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #live(where: string): number {
    if (this.#address === 0) {
      throw new TypeError(`${where}: this ${this.format} matrix (${this.rows} x ${this.cols}) was disposed`);
    }
    return this.#address;
  }

  // Copies one token to `at`, padded with zeros, and returns max |x|.
  #load(where: string, at: number, x: Float32Array, token: number, scratchBefore: number): number {
    const { cols } = this;
    const floats = this.#engine.arena.floats;
    const start = at / 4;
    const padded = this.#layout.byteCols * BYTE_COLS;
    floats.set(cols === x.length ? x : x.subarray(token * cols, (token + 1) * cols), start);
    if (padded > cols) floats.fill(0, start + cols, start + padded);
    const largest = this.#engine.exports.absmax(at, padded);
    if (!Number.isFinite(largest)) {
      this.#engine.shrinkScratch(scratchBefore);
      checkFinite(`${where}: x`, x);
    }
    return largest;
  }

  #lookupTokens(): number {
    const tableBytes = this.#layout.byteCols * TABLE_BYTES[this.activation];
    return Math.max(1, Math.min(LOOKUP_TOKENS, Math.floor(LOOKUP_TABLE_BYTES / tableBytes)));
  }

  // Prepare, core and finish of a few tokens by table lookup. Tiles of weights meet every token while they are cached.
  #lookup(where: string, address: number, x: Float32Array, n: number, y: Float32Array): void {
    const { activation } = this;
    const { exports } = this.#engine;
    const { planes, byteCols, groupByteCols, groups, paddedRows, planeBytes } = this.#layout;
    const xBytes = align(byteCols * BYTE_COLS * 4);
    const tableBytes = align(byteCols * TABLE_BYTES[activation]);
    // A weight a block and a unit a segment, of which there are no more than blocks.
    const stepBytes = align(groups * Math.ceil(groupByteCols / LUT8_BLOCK) * 8);
    const yBytes = 2 * paddedRows * 4; // sums and working space
    const { scratchBytes } = this.#engine;
    const xs = this.#engine.scratch(xBytes + n * (tableBytes + stepBytes + yBytes));
    const tables = xs + xBytes;
    const steps = tables + n * tableBytes;
    const ys = steps + n * stepBytes;
    const factors: number[] = [];
    for (let token = 0; token < n; token++) {
      const largest = this.#load(where, xs, x, token, scratchBytes);
      const t = tables + token * tableBytes;
      if (activation === "int8") {
        exports.prepareInt8[this.format](xs, t, byteCols, largest === 0 ? 0 : 127 / largest);
        factors.push(largest / 127);
      } else {
        // A power of two that brings max |x| to 1..4, or at least above 2^-22: nothing overflows, and it is exact.
        floatBits[0] = largest;
        const exponent = Math.max(254 - ((intBits[0] as number) >>> 23), 1) - 127;
        if (activation === "lut8") {
          exports.prepareLut8[this.format](xs, t, steps + token * stepBytes, byteCols, groupByteCols, 2 ** exponent);
        } else {
          exports.prepare_f32(xs, t, byteCols, 2 ** exponent);
        }
        factors.push(2 ** -exponent / planes);
      }
    }
    const gemv = exports.gemv(this.kernel);
    const scales = address + planeBytes;
    const rowStep =
      n === 1 ? paddedRows : Math.max(1, Math.floor(LOOKUP_TILE_BYTES / (byteCols * planes * TILE_ROWS))) * TILE_ROWS;
    for (let row = 0; row < paddedRows; row += rowStep) {
      const end = Math.min(row + rowStep, paddedRows);
      for (let token = 0; token < n; token++) {
        gemv(
          address,
          scales,
          tables + token * tableBytes,
          steps + token * stepBytes,
          ys + token * yBytes,
          row,
          end,
          paddedRows,
          byteCols,
          groupByteCols,
          factors[token] as number,
        );
      }
    }
    this.#copyOut(ys, yBytes, n, y);
  }

  // The same for many tokens: activations to a panel, tiles of weights to codes, dot products.
  #panel(where: string, address: number, x: Float32Array, n: number, y: Float32Array): void {
    const { exports, arena, variant } = this.#engine;
    const { byteCols, groupByteCols, groups, paddedRows, planeBytes } = this.#layout;
    const even = n + (n & 1);
    const xBytes = align(byteCols * BYTE_COLS * 4);
    const panelBytes = byteCols * PANEL_BYTES[variant];
    const { scratchBytes } = this.#engine;
    const xs = this.#engine.scratch(
      2 * xBytes +
        even * panelBytes +
        align(even * groups * 4) +
        align(even * 4) +
        even * paddedRows * 4 +
        GEMM_TILE_BYTES +
        even * GEMM_SUM_BYTES,
    );
    const panel = xs + 2 * xBytes;
    const sums = panel + even * panelBytes;
    const factors = sums + align(even * groups * 4);
    const ys = factors + align(even * 4);
    const scratch = ys + even * paddedRows * 4;
    for (let token = 0; token < n; token += 2) {
      const first = this.#load(where, xs, x, token, scratchBytes);
      const odd = token + 1 === n;
      const second = odd ? 0 : this.#load(where, xs + xBytes, x, token + 1, scratchBytes);
      exports.prepare_panel(
        xs,
        odd ? xs : xs + xBytes,
        panel + token * panelBytes,
        sums + token * groups * 4,
        byteCols,
        groupByteCols,
        first === 0 ? 0 : 127 / first,
        second === 0 ? 0 : 127 / second,
      );
      arena.floats[factors / 4 + token] = first / 127;
      arena.floats[factors / 4 + token + 1] = second / 127;
    }
    exports.gemm((this.#gemm as Kernel).name)(
      address,
      address + planeBytes,
      panel,
      sums,
      factors,
      ys,
      scratch,
      0,
      paddedRows,
      paddedRows,
      byteCols,
      groupByteCols,
      even,
    );
    this.#copyOut(ys, paddedRows * 4, n, y);
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

/** Where things are in the stored bytes. */
export interface PlaneLayout {
  readonly planes: 1 | 2;
  readonly byteCols: number;
  readonly groupByteCols: number;
  readonly groups: number;
  readonly paddedRows: number;
  /** Bytes of the planes; the scales, float32 [groups, paddedRows], follow. */
  readonly planeBytes: number;
  readonly bytes: number;
}

export function planeLayout(shape: Shape): PlaneLayout {
  const planes = PLANES[shape.format];
  const byteCols = Math.ceil(shape.cols / BYTE_COLS);
  const groupByteCols = Math.min(byteCols, Math.ceil(shape.groupSize / BYTE_COLS));
  const groups = Math.ceil(byteCols / groupByteCols);
  const paddedRows = Math.ceil(shape.rows / STRIP_ROWS) * STRIP_ROWS;
  const planeBytes = paddedRows * byteCols * planes;
  return {
    planes,
    byteCols,
    groupByteCols,
    groups,
    paddedRows,
    planeBytes,
    bytes: planeBytes + paddedRows * groups * 4,
  };
}

/** Offset of the first byte of a row, and the distance to that of its next byte column. */
function rowPlace(
  row: number,
  paddedRows: number,
  byteCols: number,
  planes: number,
): { offset: number; stride: number } {
  const tile = row - (row % TILE_ROWS);
  const height = Math.min(TILE_ROWS, paddedRows - tile);
  return { offset: (tile * byteCols + row - tile) * planes, stride: height * planes };
}
