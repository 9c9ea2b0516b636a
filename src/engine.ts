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
  /** Which dot product gemm uses: timed on this machine where there is a choice. */
  readonly dot: "i16" | "i32";
  #scratch = 0;
  #scratchBytes = 0;

  constructor(module: WebAssembly.Module, variant: Variant) {
    this.variant = variant;
    this.arena = new Arena();
    this.exports = typedExports(new WebAssembly.Instance(module, { env: { memory: this.arena.memory } }));
    this.dot = variant === "relaxed" && this.#fasterWith32() ? "i32" : "i16";
  }

  /** The kernel for a job: the forced one, or the first of the registry, or for gemm the one timed to be faster. */
  kernel(op: Kernel["op"], format: FormatName, activation: Activation, forced?: string): Kernel | undefined {
    const rows = candidates(op, format, activation, this.variant);
    const named = rows.find((row) => row.name === forced);
    return named ?? rows.find((row) => row.name.endsWith("_i32") === (this.dot === "i32")) ?? rows[0];
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

  // The relaxed 32-bit dot product is one instruction on some machines and five on others; nothing says which, so run
  // both on a small tile and look. A clock that stands still (edge workers) leaves the 16-bit one.
  #fasterWith32(): boolean {
    const rows = 64;
    const byteCols = 64;
    const tokens = 8;
    const weights = 0;
    const scales = weights + rows * byteCols;
    const panel = scales + rows * 4;
    const sums = panel + tokens * byteCols * PANEL_BYTES.relaxed;
    const factors = sums + tokens * 4;
    const y = factors + tokens * 4;
    const scratch = y + tokens * rows * 4;
    const bytes = scratch + GEMM_TILE_BYTES + tokens * GEMM_SUM_BYTES;
    const base = this.arena.allocate(bytes);
    const time = (name: string): number => {
      const run = this.exports.gemm(name);
      const start = performance.now();
      for (let i = 0; i < 8; i++) {
        run(
          base + weights,
          base + scales,
          base + panel,
          base + sums,
          base + factors,
          base + y,
          base + scratch,
          0,
          rows,
          rows,
          byteCols,
          byteCols,
          tokens,
        );
      }
      return performance.now() - start;
    };
    let best16 = Number.POSITIVE_INFINITY;
    let best32 = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 4; round++) {
      best16 = Math.min(best16, time("gemm_binary_int8_16x2"));
      best32 = Math.min(best32, time("gemm_binary_int8_16x2_i32"));
    }
    this.arena.release(base);
    return best32 < 0.9 * best16;
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
