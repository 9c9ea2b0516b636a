import { typeError } from "./check.ts";
import { Arena } from "./memory.ts";
import { type Activation, candidates, exportOf, type FormatName, type Kernel, type Variant } from "./registry.ts";

type Gemv = (
  weights: number,
  scales: number,
  tables: number,
  steps: number,
  y: number,
  rowBegin: number,
  rowEnd: number,
  paddedRows: number,
  byteCols: number,
  groupByteCols: number,
  factor: number,
  offsets: number,
  sums: number,
  extra: number,
) => void;

type Gemm = (
  weights: number,
  scales: number,
  panel: number,
  sums: number,
  factors: number,
  y: number,
  scratch: number,
  rowBegin: number,
  rowEnd: number,
  paddedRows: number,
  byteCols: number,
  groupByteCols: number,
  n: number,
  offsets: number,
  floatSums: number,
  unpack: number,
  extra: number,
) => void;

type ComplexGemv = (
  weights: number,
  scales: number,
  tables: number,
  steps: number,
  y: number,
  rowBegin: number,
  rowEnd: number,
  paddedRows: number,
  byteCols: number,
  groupByteCols: number,
  part: number,
  shared: number,
  planes: number,
  kinds: number,
) => void;

type ComplexGemm = (
  weights: number,
  scales: number,
  panel: number,
  sums: number,
  y: number,
  scratch: number,
  rowBegin: number,
  rowEnd: number,
  paddedRows: number,
  byteCols: number,
  groupByteCols: number,
  n: number,
  shared: number,
  planes: number,
  kinds: number,
) => void;

type PrepareInt8 = (x: number, tables: number, byteCols: number, r: number) => void;
type PrepareLut8 = (
  x: number,
  tables: number,
  steps: number,
  byteCols: number,
  groupByteCols: number,
  p: number,
) => void;
type Pairs = (q0: number, q1: number, panel: number, byteCols: number) => void;

/** What both binaries export besides gemv and gemm. */
export interface PrepareExports {
  absmax(x: number, n: number): number;
  prepare_binary_int8: PrepareInt8;
  prepare_ternary_int8: PrepareInt8;
  prepare_binary_lut8: PrepareLut8;
  prepare_ternary_lut8: PrepareLut8;
  prepare_complex_lut8: PrepareLut8;
  prepare_f32(x: number, tables: number, byteCols: number, p: number): void;
  prepare_fixed(x: number, tables: number, byteCols: number, r: number): void;
  prepare_float_sums(x: number, sums: number, byteCols: number, groupByteCols: number, p: number): void;
  prepare_q8(x: number, q: number, byteCols: number, r: number): void;
  prepare_digits(x: number, q: number, stride: number, byteCols: number, r: number): void;
  prepare_sums(q: number, sums: number, floatSums: number, byteCols: number, groupByteCols: number): void;
  prepare_quads(q: number, panel: number, byteCols: number): void;
  prepare_wide(q: number, panel: number, byteCols: number): void;
  prepare_twice(q: number, panel: number, byteCols: number): void;
  prepare_lattice(q: number, tables: number, byteCols: number): void;
  prepare_bitplane_bits(
    x: number,
    planes: number,
    record: number,
    sums: number,
    cols: number,
    byteCols: number,
    groupByteCols: number,
    ratio: number,
    zero: number,
    types: number,
  ): void;
  abs_sum(x: number, n: number): number;
  least(x: number, n: number, sign: number): number;
  prepare_byte_pairs(
    q: number,
    panel: number,
    sums: number,
    floatSums: number,
    byteCols: number,
    groupByteCols: number,
  ): void;
  prepare_pairs: Pairs;
  prepare_wide_pairs: Pairs;
  prepare_scaled(x: number, colScale: number, scaled: number, byteCols: number): void;
  prepare_lowrank(x: number, b: number, t: number, rank: number, byteCols: number): void;
  branch_add(
    y: number,
    rowBegin: number,
    rowEnd: number,
    paddedRows: number,
    bias: number,
    t: number,
    a: number,
    rank: number,
    sparse: number,
    colBytes: number,
    x: number,
  ): void;
  finish_complex(
    y: number,
    paddedRows: number,
    row: number,
    end: number,
    fa: number,
    ga: number,
    fb: number,
    gb: number,
  ): void;
  combine_digits(y: number, stride: number, row: number, end: number, factor: number): void;
  transform_hadamard(x: number, n: number, size: number, factor: number): void;
  transform_signs(x: number, y: number, offsets: number, tables: number, k: number, cols: number): void;
  transform_product(a: number, b: number, y: number, rows: number, inner: number, cols: number): void;
}

/** Bytes of the unpacked tile, and of the sums of a token (assembly/dot/README.md). */
export const GEMM_TILE_BYTES = 16384;
export const GEMM_SUM_BYTES = 256;

/** One instance over one memory: what a `Lowbit` handle stands for. */
export class Engine {
  readonly variant: Variant;
  readonly arena: Arena;
  readonly exports: PrepareExports;
  /** Which dot product gemm uses: with 32-bit sums where that is one instruction (assembly/probe.ts). */
  readonly dot: "i16" | "i32";
  /** How bits are counted: by one instruction for a vector, or by an adder (assembly/popcount). */
  readonly popcnt: "native" | "sliced";
  readonly #kernels: WebAssembly.Exports;
  #scratch = 0;
  #scratchBytes = 0;

  constructor(module: WebAssembly.Module, variant: Variant) {
    this.variant = variant;
    this.arena = new Arena();
    const instance = new WebAssembly.Instance(module, { env: { memory: this.arena.memory } });
    this.exports = instance.exports as unknown as PrepareExports;
    this.#kernels = instance.exports;
    const dotBits = instance.exports.dot_bits as ((zero: number) => number) | undefined;
    this.dot = dotBits?.(0) === 32 ? "i32" : "i16";
    const popcnt = instance.exports.popcnt_native as ((zero: number) => number) | undefined;
    this.popcnt = popcnt?.(0) === 1 ? "native" : "sliced";
  }

  /** The kernel for a job: the forced one, or the one of the registry that suits this machine. */
  kernel(op: Kernel["op"], format: FormatName, activation: Activation, forced?: string): Kernel | undefined {
    const rows = candidates(op, format, activation, this.variant);
    const named = rows.find((row) => row.name === forced);
    return named ?? rows.find((row) => row.dot === this.dot || row.popcnt === this.popcnt) ?? rows[0];
  }

  gemv(kernel: Kernel): Gemv {
    return this.#kernels[exportOf(kernel)] as Gemv;
  }

  gemm(kernel: Kernel): Gemm {
    return this.#kernels[exportOf(kernel)] as Gemm;
  }

  complexGemv(kernel: Kernel): ComplexGemv {
    return this.#kernels[exportOf(kernel)] as ComplexGemv;
  }

  complexGemm(kernel: Kernel): ComplexGemm {
    return this.#kernels[exportOf(kernel)] as ComplexGemm;
  }

  get scratchBytes(): number {
    return this.#scratchBytes;
  }

  /** An address with at least `bytes` bytes for the length of one call, kept for the next. */
  scratch(bytes: number): number {
    if (bytes > this.#scratchBytes) {
      const before = this.#scratchBytes;
      this.#resizeScratch(0);
      try {
        this.#resizeScratch(bytes);
      } catch (error) {
        // What was just released is still free: take it back, so that a failed call changes nothing.
        this.#resizeScratch(before);
        throw error;
      }
    }
    return this.#scratch;
  }

  /** Gives back what a call that failed had added to the scratch region. */
  shrinkScratch(bytes: number): void {
    if (bytes === this.#scratchBytes) return;
    this.#resizeScratch(0);
    this.#resizeScratch(bytes);
  }

  #resizeScratch(bytes: number): void {
    if (this.#scratchBytes > 0) this.arena.release(this.#scratch);
    this.#scratchBytes = 0;
    if (bytes > 0) this.#scratch = this.arena.allocate(bytes);
    this.#scratchBytes = bytes;
  }
}

const engines = new WeakMap<object, Engine>();

export function attachEngine(handle: object, engine: Engine): void {
  engines.set(handle, engine);
}

/** The engine behind the handle that a caller passed. */
export function engineOf(where: string, handle: unknown): Engine {
  const engine = typeof handle === "object" && handle !== null ? engines.get(handle) : undefined;
  if (!engine) throw typeError(`${where}: lb`, "what init() resolved to", handle);
  return engine;
}
