import type {
  BranchAdd,
  CombineDigits,
  ComplexGemm,
  ComplexGemv,
  FinishComplex,
  Gemm,
  Gemv,
  ModelExports,
  PrepareExports,
} from "../kernels/exports.ts";
import { candidates, exportOf, suitable } from "../kernels/registry.ts";
import type { Activation, FormatName, Kernel, Machine, Variant } from "../kernels/types.ts";
import { typeError } from "../lib/check.ts";
import { type Call, computeRows, type Exports, type Job } from "./job.ts";
import { dotOnce, type MachineExports } from "./machine.ts";
import { Arena, type Reserved } from "./memory.ts";
import type { Pool } from "./pool.ts";

/** Bytes of the unpacked tile, and of the sums of a token (assembly/dot/README.md). */
export const GEMM_TILE_BYTES = 16384;
export const GEMM_SUM_BYTES = 256;

// Workers of an engine that the collector finds, its matrices too, before dispose() was called.
const abandoned = /* @__PURE__ */ new FinalizationRegistry<Pool>((pool) => pool.dispose());

/** A product of some tokens: what is left once they are prepared in scratch memory, and what brings the result out of it. */
export interface Pass {
  readonly job: Job;
  finish(): void;
}

interface InFlight {
  readonly begin: () => Pass;
  readonly pass: Pass;
  resolve(): void;
  reject(reason: unknown): void;
}

/** One instance over one memory: what a `Lowbit` handle stands for. */
export class Engine implements Machine {
  readonly variant: Variant;
  readonly arena: Arena;
  readonly exports: PrepareExports;
  /** What dispose() of the handle ends besides its own workers: those of other binaries over this memory. */
  readonly ends: (() => void)[] = [];
  /** How bits are counted: by one instruction for a vector, or by an adder (assembly/popcount). */
  readonly popcnt: Machine["popcnt"];
  readonly #functions: Exports;
  readonly #places: ReadonlyMap<string, number>;
  #pool: Pool | undefined;
  #turn: Promise<void> = Promise.resolve();
  #inFlight: InFlight | undefined;
  #scratch = 0;
  #scratchBytes = 0;

  /** @param memory shared if the module imports a shared one */
  constructor(module: WebAssembly.Module, variant: Variant, memory: Reserved) {
    this.variant = variant;
    this.arena = new Arena(memory);
    const instance = new WebAssembly.Instance(module, { env: { memory: this.arena.memory } });
    this.exports = instance.exports as unknown as PrepareExports;
    this.#functions = Object.values(instance.exports) as unknown as Exports;
    this.#places = new Map(Object.keys(instance.exports).map((name, i) => [name, i]));
    const popcnt = instance.exports.popcnt_native as ((zero: number) => number) | undefined;
    this.popcnt = popcnt?.(0) === 1 ? "native" : "sliced";
  }

  /** Threads that may take part in a job. */
  get threads(): number {
    return this.#pool?.threads ?? 1;
  }

  /** Lets a pool compute from now on. */
  async attach(pool: Pool, module: WebAssembly.Module): Promise<void> {
    await pool.open(module, this.arena, this.#functions);
    this.#pool = pool;
    abandoned.register(this, pool);
  }

  /** How int8 is multiplied: what is fastest here, found out when it is first asked for. */
  get dot(): Machine["dot"] {
    return dotOnce(this.variant, this.exports as unknown as MachineExports);
  }

  /** The kernel for a job: the forced one, or the one of the registry that suits this machine. */
  kernel(op: Kernel["op"], format: FormatName, activation: Activation, forced?: string): Kernel | undefined {
    const rows = candidates(op, format, activation, this.variant);
    const named = rows.find((row) => row.name === forced);
    return named ?? suitable(rows, this);
  }

  // Calls of a job. Their first row and the one after the last are filled in when they are made.

  gemv(kernel: Kernel, ...args: Parameters<Gemv>): Call {
    return this.#call(exportOf(kernel), args, 5);
  }

  gemm(kernel: Kernel, ...args: Parameters<Gemm>): Call {
    return this.#call(exportOf(kernel), args, 7, 6);
  }

  expandScales(...args: Parameters<PrepareExports["expand_scales"]>): Call {
    return this.#call("expand_scales", args, 3);
  }

  complexGemv(kernel: Kernel, ...args: Parameters<ComplexGemv>): Call {
    return this.#call(exportOf(kernel), args, 5);
  }

  complexGemm(kernel: Kernel, ...args: Parameters<ComplexGemm>): Call {
    return this.#call(exportOf(kernel), args, 6, 5);
  }

  branchAdd(...args: Parameters<BranchAdd>): Call {
    return this.#call("branch_add", args, 1);
  }

  combineDigits(...args: Parameters<CombineDigits>): Call {
    return this.#call("combine_digits", args, 2);
  }

  finishComplex(...args: Parameters<FinishComplex>): Call {
    return this.#call("finish_complex", args, 2);
  }

  /** Attention of units, a KV head of a token each: as rows of a job a unit is a tile. */
  attend(...args: Parameters<ModelExports["model_attend"]>): Call {
    return this.#call("model_attend", args, 5, 4);
  }

  #call(name: string, args: number[], rowAt: number, scratchAt = -1): Call {
    return { export: this.#places.get(name) as number, args, rowAt, scratchAt };
  }

  /**
   * A pass from beginning to end.
   * @param begin checks and prepares its tokens; what it throws is thrown
   */
  compute(begin: () => Pass): void {
    this.#run(begin, this.guarded(begin));
  }

  /** What `body` returns; if it throws, scratch memory is what it was before. */
  guarded<T>(body: () => T): T {
    const before = this.#scratchBytes;
    try {
      return body();
    } catch (error) {
      this.shrinkScratch(before);
      throw error;
    }
  }

  #run(begin: () => Pass, pass: Pass): void {
    const { job } = pass;
    if (!this.#pool) computeRows(this.#functions, job, 0, job.rows);
    this.#finish(begin, pass, this.#pool?.run(job) ?? true);
  }

  // A worker that was lost may still write to the region that it knew, which is therefore never given back.
  #finish(begin: () => Pass, pass: Pass, complete: boolean): void {
    if (complete) {
      pass.finish();
      return;
    }
    this.#scratch = 0;
    this.#scratchBytes = 0;
    this.#run(begin, begin());
  }

  /**
   * The same by the workers alone, while this thread does something else; here, when there are none or it is not worth it.
   * Passes take turns in the order of the calls. One that is under way is completed first when a pass, a rotation, or
   * dispose() comes in between: they need the same memory.
   */
  computeAsync(begin: () => Pass): Promise<void> {
    const done = this.#turn.then(() => this.#start(begin));
    this.#turn = done.catch(() => {});
    return done;
  }

  #start(begin: () => Pass): Promise<void> | void {
    const pool = this.#pool;
    if (!pool) return this.compute(begin);
    this.settle();
    const pass = this.guarded(begin);
    return new Promise((resolve, reject) => {
      this.#inFlight = { begin, pass, resolve, reject };
      if (pool.start(pass.job, (complete) => this.#land(complete))) return;
      this.#inFlight = undefined;
      this.#run(begin, pass);
      resolve();
    });
  }

  #land(complete: boolean): void {
    const { begin, pass, resolve, reject } = this.#inFlight as InFlight;
    this.#inFlight = undefined;
    try {
      this.#finish(begin, pass, complete);
      resolve();
    } catch (error) {
      reject(error);
    }
  }

  /** Completes the pass of computeAsync() that is under way, if one is. */
  settle(): void {
    if (this.#inFlight) this.#pool?.join();
  }

  get scratchBytes(): number {
    return this.#scratchBytes;
  }

  /** An address with at least `bytes` bytes for the length of one call, kept for the next. */
  scratch(bytes: number): number {
    this.settle();
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
    if (bytes >= this.#scratchBytes) return;
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
