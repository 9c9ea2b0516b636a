import { typeError } from "./check.ts";
import { Arena } from "./memory.ts";
import { type Activation, candidates, type FormatName, type Kernel, type Variant } from "./registry.ts";

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

/** What both binaries export. */
export interface KernelExports {
  absmax(x: number, n: number): number;
  prepare_f32(x: number, tables: number, byteCols: number, p: number): void;
  prepare_panel(
    x0: number,
    x1: number,
    panel: number,
    sums: number,
    byteCols: number,
    groupByteCols: number,
    r0: number,
    r1: number,
  ): void;
  readonly prepareInt8: Readonly<Record<FormatName, PrepareInt8>>;
  readonly prepareLut8: Readonly<Record<FormatName, PrepareLut8>>;
  gemv(name: string): Gemv;
  gemm(name: string): Gemm;
}

function typedExports(instance: WebAssembly.Instance): KernelExports {
  const all = instance.exports;
  return {
    absmax: all.absmax as KernelExports["absmax"],
    prepare_f32: all.prepare_f32 as KernelExports["prepare_f32"],
    prepare_panel: all.prepare_panel as KernelExports["prepare_panel"],
    prepareInt8: {
      binary: all.prepare_binary_int8 as PrepareInt8,
      ternary: all.prepare_ternary_int8 as PrepareInt8,
    },
    prepareLut8: {
      binary: all.prepare_binary_lut8 as PrepareLut8,
      ternary: all.prepare_ternary_lut8 as PrepareLut8,
    },
    gemv: (name) => all[name] as Gemv,
    gemm: (name) => all[name] as Gemm,
  };
}

/** Bytes per token and byte column of the activation panel, and of the unpacked tile (assembly/dot/README.md). */
export const PANEL_BYTES: Readonly<Record<Variant, number>> = { relaxed: 8, simd: 16 };
export const GEMM_TILE_BYTES = 16384;
export const GEMM_SUM_BYTES = 256;

/** One instance over one memory: what a `Lowbit` handle stands for. */
export class Engine {
  readonly variant: Variant;
  readonly arena: Arena;
  readonly exports: KernelExports;
  /** Which dot product gemm uses: with 32-bit sums where that is one instruction (assembly/probe.ts). */
  readonly dot: "i16" | "i32";
  #scratch = 0;
  #scratchBytes = 0;

  constructor(module: WebAssembly.Module, variant: Variant) {
    this.variant = variant;
    this.arena = new Arena();
    const instance = new WebAssembly.Instance(module, { env: { memory: this.arena.memory } });
    this.exports = typedExports(instance);
    const dotBits = instance.exports.dot_bits as ((zero: number) => number) | undefined;
    this.dot = dotBits?.(0) === 32 ? "i32" : "i16";
  }

  /** The kernel for a job: the forced one, or the one of the registry that suits this machine. */
  kernel(op: Kernel["op"], format: FormatName, activation: Activation, forced?: string): Kernel | undefined {
    const rows = candidates(op, format, activation, this.variant);
    const named = rows.find((row) => row.name === forced);
    return named ?? rows.find((row) => row.dot === this.dot) ?? rows[0];
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
