// From activations to results: copy in, prepare, kernel, finish, copy out.
import { formatOf } from "../kernels/formats.ts";
import { kindNumber } from "../kernels/kinds.ts";
import { type Activation, type Format, type Kernel, TILE_ROWS } from "../kernels/types.ts";
import { type Engine, GEMM_SUM_BYTES, GEMM_TILE_BYTES, type Pass } from "../runtime/engine.ts";
import type { Base, Call } from "../runtime/job.ts";
import { align, type Factors, factorsOf, prepare, prepareBits, quantize, type Slot, slotOf } from "./activations.ts";
import { offsetsAt, scalesAt, tablesAt, UNIT_COLS } from "./layout.ts";
import {
  type Choice,
  cachedRows,
  checkLargest,
  chooseKernels,
  copyResults,
  fewTokens,
  PANEL_TOKENS,
  type Product,
  type TokenSource,
} from "./passes.ts";
import { RECORD_KINDS } from "./scale-records.ts";
import type { Side } from "./side.ts";
import type { MatrixSpec } from "./spec.ts";

// Rows of y between the weights and the branches.
const BRANCH_ROWS = 1024;
// Result rows, then the working space of the kernels: sums of lut8, 16 bytes a row; runs and what was rounded off of f32.
const Y_BYTES: Readonly<Record<Activation, number>> = { int8: 8, lut8: 20, f32: 12, bits: 8 };

/** y = W x. */
export class RealProduct implements Product {
  readonly kernel: string;
  readonly gemmKernel: string;
  readonly #engine: Engine;
  readonly #spec: MatrixSpec;
  readonly #side: Side | undefined;
  readonly #format: Format;
  readonly #slot: Slot;
  readonly #choice: Choice;

  constructor(engine: Engine, spec: MatrixSpec, side: Side | undefined) {
    const { format, activation, layout, types } = spec;
    this.#engine = engine;
    this.#spec = spec;
    this.#side = side;
    this.#format = formatOf(format, activation);
    this.#choice = chooseKernels(engine, spec);
    this.#slot = slotOf(this.#format, this.#choice.gemv, engine.variant, layout, types);
    this.kernel = this.#choice.kernel;
    this.gemmKernel = this.#choice.gemmKernel;
  }

  passTokens(n: number): number {
    return n >= this.#choice.fromTokens ? PANEL_TOKENS : fewTokens(this.#slot.passes * this.#slot.bytes);
  }

  // Both ways give the same bits, so the last pass of many may be one of a few.
  begin(where: string, address: number, x: Float32Array | TokenSource, tokens: number, y: Float32Array): Pass {
    if (tokens >= this.#choice.fromTokens) return this.#many(where, address, x, tokens, y);
    return this.#few(where, address, x, tokens, y);
  }

  // Bytes of the space that #load takes.
  #loadBytes(x: Float32Array | TokenSource): number {
    const tokens = 2 * align(this.#spec.layout.byteCols * UNIT_COLS * 4);
    return x instanceof Float32Array ? tokens : Math.max(tokens, x.scratchBytes);
  }

  // Copies one token to `at` as the weights meet it, padded with zeros, and returns where it is and max |x|. For branches it
  // is at `side` as it was given.
  #load(
    where: string,
    at: number,
    side: number,
    x: Float32Array | TokenSource,
    token: number,
    n: number,
    scratchBefore: number,
  ): [at: number, largest: number] {
    const { columnOrder, layout, cols } = this.#spec;
    const { exports, arena } = this.#engine;
    const { floats } = arena;
    const padded = layout.byteCols * UNIT_COLS;
    if (!(x instanceof Float32Array)) {
      const loaded = x.load(at);
      if (padded > cols) floats.fill(0, loaded / 4 + cols, loaded / 4 + padded);
      const largest = exports.absmax(loaded, padded);
      if (Number.isFinite(largest)) return [loaded, largest];
      this.#engine.shrinkScratch(scratchBefore);
      throw x.refusal();
    }
    const start = at / 4;
    const given = n === 1 ? x : x.subarray(token * cols, (token + 1) * cols);
    // Where columns are reordered, the scaled x waits behind them.
    const waiting = columnOrder ? at + padded * 4 : at;
    this.#side?.load(given, side);
    const scaled = this.#side?.scale(side, waiting) ?? false;
    if (columnOrder) {
      const from = scaled ? floats : given;
      const first = scaled ? waiting / 4 : 0;
      for (let i = 0; i < cols; i++) floats[start + i] = from[first + (columnOrder[i] as number)] as number;
    } else if (!scaled) {
      floats.set(given, start);
    }
    if (padded > cols) floats.fill(0, start + cols, start + padded);
    const largest = exports.absmax(at, padded);
    checkLargest(this.#engine, where, largest, x, scratchBefore);
    return [at, largest];
  }

  // What a kernel gets besides its addresses: how many planes, or of which types, or where the table is.
  #extra(address: number): number {
    const { layout, types, shared } = this.#spec;
    if (types !== undefined) return types;
    if (shared) return shared.address;
    return layout.tableBytes > 0 ? address + tablesAt(layout) : layout.planes;
  }

  // Scales that are kept in records become float32 for a tile of rows at a time, in the working space of a thread.
  get #tileScaleBytes(): number {
    const { groups, records } = this.#spec.layout;
    return records ? align(TILE_ROWS * groups * 4 * (records.offsets ? 2 : 1) + 16) : 0;
  }

  /**
   * The call that does it, and the arguments of a kernel that are where it writes.
   * @param at the places of scales and offsets among the arguments of the kernel
   */
  #expand(
    address: number,
    space: number,
    at: readonly [scales: number, offsets: number],
  ): { readonly call: Call; readonly bases: readonly Base[] } | undefined {
    const { layout } = this.#spec;
    const { groups, records } = layout;
    if (!records) return undefined;
    const rowBytes = groups * 4;
    // Tiles are multiples of 256 bytes of scales from each other, so that an address is never 0, which would mean none.
    const scales = space + 16;
    const places = (first: number, second: number): Base[] => {
      const bases = [{ at: first, address: scales, rowBytes }];
      if (records.offsets) bases.push({ at: second, address: scales + TILE_ROWS * rowBytes, rowBytes });
      return bases;
    };
    const kind = RECORD_KINDS[records.kind];
    const packed = address + scalesAt(layout);
    const call = this.#engine.expandScales(packed, 0, 0, 0, 0, groups, records.groups, kind, records.factor);
    return { call: { ...call, bases: places(1, 2) }, bases: places(...at) };
  }

  // Prepare, core and finish of a few tokens, one after the other. Tiles of weights meet every token while cached.
  #few(where: string, address: number, x: Float32Array | TokenSource, n: number, y: Float32Array): Pass {
    const { format, activation, layout, types } = this.#spec;
    const { byteCols, groupByteCols, paddedRows, weightBytes } = layout;
    const slot = this.#slot;
    const { passes } = slot;
    const qBytes = byteCols * UNIT_COLS;
    const xBytes = this.#loadBytes(x);
    const yBytes = (Y_BYTES[activation] + (this.#format.workBytes ?? 0)) * paddedRows;
    const sideBytes = this.#side?.tokenBytes ?? 0;
    const { scratchBytes } = this.#engine;
    const threadBytes = this.#tileScaleBytes;
    const xs = this.#engine.scratch(
      xBytes +
        align(3 * qBytes) +
        n * passes * slot.bytes +
        align(n * (passes * yBytes + sideBytes)) +
        this.#engine.threads * threadBytes,
    );
    const qs = xs + xBytes;
    const slots = qs + align(3 * qBytes);
    const sides = slots + n * passes * slot.bytes;
    const ys = sides + n * sideBytes;
    const factors: Factors[] = [];
    for (let token = 0; token < n; token++) {
      const [loaded, largest] = this.#load(where, xs, sides + token * sideBytes, x, token, n, scratchBytes);
      const at = slots + token * passes * slot.bytes;
      factors.push(
        types === undefined
          ? prepare(this.#engine, format, activation, layout, slot, loaded, qs, at, largest)
          : prepareBits(this.#engine, types, this.#spec.cols, layout, slot, loaded, at, largest),
      );
    }
    const { gemv } = this.#choice;
    const scales = address + scalesAt(layout);
    const offsets = layout.offsets ? address + offsetsAt(layout) : 0;
    const extra = this.#extra(address);
    const space = sides + align(n * (passes * yBytes + sideBytes));
    const expanded = this.#expand(address, space, [1, 11]);
    const calls: Call[] = expanded ? [expanded.call] : [];
    for (let token = 0; token < n; token++) {
      const { passes: passFactors, together } = factors[token] as Factors;
      const y0 = ys + token * passes * yBytes;
      for (let pass = 0; pass < passes; pass++) {
        const at = slots + (token * passes + pass) * slot.bytes;
        const call = this.#engine.gemv(
          gemv,
          address,
          scales,
          at,
          at + slot.besideAt,
          y0 + pass * yBytes,
          0,
          0,
          paddedRows,
          byteCols,
          groupByteCols,
          passFactors[pass] as number,
          offsets,
          at + slot.sumsAt,
          extra,
        );
        calls.push(expanded ? { ...call, bases: expanded.bases } : call);
      }
      this.#endToken(calls, y0, yBytes, together, sides + token * sideBytes);
    }
    // Branches are added while the rows of y are in the first-level cache.
    const most = this.#side ? BRANCH_ROWS : paddedRows;
    const rowStep = expanded
      ? TILE_ROWS
      : n * passes === 1
        ? most
        : Math.min(cachedRows(weightBytes / paddedRows), most);
    const job = { calls, rows: paddedRows, rowStep, scratchBytes: threadBytes, work: paddedRows * qBytes * n * passes };
    return { job, finish: () => this.#copyOut(ys, passes * yBytes, n, y) };
  }

  // What follows when all passes of a token are in y: their sum, and the branches.
  #endToken(calls: Call[], y: number, yBytes: number, together: number, side: number): void {
    if (this.#slot.passes > 1) calls.push(this.#engine.combineDigits(y, yBytes, 0, 0, together));
    if (this.#side) calls.push(this.#side.call(y, side));
  }

  // The same for many tokens: activations to a panel, tiles of weights to codes, dot products.
  #many(where: string, address: number, x: Float32Array | TokenSource, n: number, y: Float32Array): Pass {
    const { exports, arena, variant } = this.#engine;
    const { layout } = this.#spec;
    const { byteCols, groupByteCols, groups, paddedRows } = layout;
    const kernel = this.#choice.gemm as Kernel;
    const { passes } = this.#slot;
    const count = n * passes;
    const even = count + (count & 1);
    const qBytes = byteCols * UNIT_COLS;
    const xBytes = this.#loadBytes(x);
    const wide = (this.#format.wide === true && kernel.operand !== "bytes") || variant === "simd";
    const panelBytes = qBytes * (wide ? 2 : 1);
    const sumBytes = align(even * groups * 4);
    const yBytes = paddedRows * 4;
    const sideBytes = this.#side?.tokenBytes ?? 0;
    const kernelBytes = align(GEMM_TILE_BYTES + even * GEMM_SUM_BYTES);
    const threadBytes = kernelBytes + this.#tileScaleBytes;
    const { scratchBytes } = this.#engine;
    const xs = this.#engine.scratch(
      xBytes +
        n * sideBytes +
        align(even * qBytes) +
        even * panelBytes +
        2 * sumBytes +
        align(even * 4) +
        even * yBytes +
        this.#engine.threads * threadBytes,
    );
    const sides = xs + xBytes;
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
      const [loaded, largest] = this.#load(where, xs, sides + token * sideBytes, x, token, n, scratchBytes);
      quantize(this.#engine, loaded, qs + token * passes * qBytes, qBytes, byteCols, passes, largest);
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
    const expanded = this.#expand(address, scratch + kernelBytes, [1, 13]);
    const gemm = this.#engine.gemm(
      kernel,
      address,
      address + scalesAt(layout),
      panel,
      sums,
      factors,
      ys,
      scratch,
      0,
      0,
      paddedRows,
      byteCols,
      groupByteCols,
      even,
      layout.offsets ? address + offsetsAt(layout) : 0,
      floatSums,
      kindNumber(this.#format.kind),
      this.#extra(address),
    );
    const calls: Call[] = expanded ? [expanded.call, { ...gemm, bases: expanded.bases }] : [gemm];
    for (let token = 0; token < n; token++) {
      const y0 = ys + token * passes * yBytes;
      this.#endToken(calls, y0, yBytes, together[token] as number, sides + token * sideBytes);
    }
    const rowStep = expanded ? TILE_ROWS : this.#side ? BRANCH_ROWS : paddedRows;
    const job = { calls, rows: paddedRows, rowStep, scratchBytes: threadBytes, work: paddedRows * qBytes * even };
    return { job, finish: () => this.#copyOut(ys, passes * yBytes, n, y) };
  }

  // The results of n tokens, `bytes` apart in linear memory, to [n, rows].
  #copyOut(from: number, bytes: number, n: number, y: Float32Array): void {
    const { rows } = this.#spec;
    const { floats } = this.#engine.arena;
    for (let token = 0; token < n; token++) {
      const start = (from + token * bytes) / 4;
      copyResults(floats, start, rows, y, token * rows);
    }
  }
}
