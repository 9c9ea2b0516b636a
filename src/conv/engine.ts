// The binary of convolutions over the memory of an instance: an instance of its own, with workers of its own where there are
// threads, because the workers of `init` have their binary and never return to an event loop that could hand them another.
import { typeError } from "../lib/check.ts";
import { type Engine, engineOf } from "../runtime/engine.ts";
import type { Lowbit } from "../runtime/features.ts";
import { computeRows, type Exports, type Job } from "../runtime/job.ts";
import type { Arena } from "../runtime/memory.ts";
import type { Pool } from "../runtime/pool.ts";
import { type Operand, UNIT_ROWS } from "./record.ts";

/** What the binary exports. */
export interface ConvExports {
  conv_quantize(
    x: number,
    step: number,
    y: number,
    pitch: number,
    begin: number,
    end: number,
    channels: number,
    scale: number,
    zero: number,
    least: number,
    most: number,
    flip: number,
  ): void;
  conv_dequantize(
    x: number,
    pitch: number,
    y: number,
    step: number,
    begin: number,
    end: number,
    channels: number,
    scale: number,
    zero: number,
    flip: number,
  ): void;
  conv_absmax(x: number, step: number, begin: number, end: number, channels: number): number;
  conv_map_bytes(
    x: number,
    xPitch: number,
    y: number,
    yPitch: number,
    begin: number,
    end: number,
    channels: number,
    tables: number,
  ): void;
  conv_direct(record: number, begin: number, end: number, scratch: number): void;
  conv_depthwise(record: number, begin: number, end: number, scratch: number): void;
  conv_sfc4(record: number, begin: number, end: number, scratch: number): void;
  conv_sfc6(record: number, begin: number, end: number, scratch: number): void;
  conv_sfc7(record: number, begin: number, end: number, scratch: number): void;
}

/** Kernels of which a call is a range of units. */
export type UnitKernel = "conv_direct" | "conv_depthwise" | "conv_sfc4" | "conv_sfc6" | "conv_sfc7";

// Workers of an instance that the collector finds before anybody ended them.
const abandoned = /* @__PURE__ */ new FinalizationRegistry<Pool>((pool) => pool.dispose());

export class ConvEngine {
  readonly engine: Engine;
  readonly exports: ConvExports;
  readonly #functions: Exports;
  readonly #places: ReadonlyMap<string, number>;
  readonly #pool: Pool | undefined;
  #scratch = 0;
  #scratchBytes = 0;

  private constructor(engine: Engine, module: WebAssembly.Module, pool: Pool | undefined) {
    this.engine = engine;
    const instance = new WebAssembly.Instance(module, { env: { memory: engine.arena.memory } });
    this.exports = instance.exports as unknown as ConvExports;
    this.#functions = Object.values(instance.exports) as unknown as Exports;
    this.#places = new Map(Object.keys(instance.exports).map((name, i) => [name, i]));
    this.#pool = pool;
    if (pool) abandoned.register(this, pool);
  }

  /** @param pool whose workers have not been told anything yet */
  static async open(engine: Engine, module: WebAssembly.Module, pool: Pool | undefined): Promise<ConvEngine> {
    const made = new ConvEngine(engine, module, pool);
    await pool?.open(module, engine.arena, made.#functions);
    return made;
  }

  get arena(): Arena {
    return this.engine.arena;
  }

  /** Threads that take part in a call. */
  get threads(): number {
    return this.#pool && this.#pool.ended === undefined ? this.#pool.threads : 1;
  }

  /** Why there are none but the calling one any more, if there were. */
  get ended(): string | undefined {
    return this.#pool?.ended;
  }

  /** How activations meet weights of 8 bits here: as bytes where a machine takes operands of whole bytes, else as int16. */
  get operand(): Operand {
    const { dot } = this.engine;
    return dot === "u8" ? "unsigned" : dot === "s8" ? "signed" : "wide";
  }

  /** Memory for the length of one call, kept for the next. */
  scratch(bytes: number): number {
    if (bytes > this.#scratchBytes) {
      const address = this.arena.allocate(bytes);
      if (this.#scratchBytes > 0) this.arena.release(this.#scratch);
      this.#scratch = address;
      this.#scratchBytes = bytes;
    }
    return this.#scratch;
  }

  /** Makes room for what all threads need in run(), which then does not grow memory. */
  reserve(scratchBytes: number): void {
    this.scratch(scratchBytes * this.threads);
  }

  /** Calls a kernel for all of its units. */
  run(kernel: UnitKernel, record: number, units: number, scratchBytes: number, work: number): void {
    const scratch = this.scratch(scratchBytes * this.threads);
    const rows = units * UNIT_ROWS;
    const call = { export: this.#places.get(kernel) as number, args: [record, 0, 0, scratch], rowAt: 1, scratchAt: 3 };
    const job: Job = { calls: [call], rows, rowStep: rows, scratchBytes, work };
    if (!this.#pool) {
      computeRows(this.#functions, job, 0, rows);
      return;
    }
    if (this.#pool.run(job)) return;
    // A worker that was lost may still write to the region that it knew, which is therefore never given back.
    this.#scratchBytes = 0;
    call.args[3] = this.scratch(scratchBytes);
    computeRows(this.#functions, job, 0, rows);
  }

  /** All computes on the calling thread from now on. */
  endWorkers(): void {
    this.#pool?.dispose();
  }

  /** For one that was never attached. */
  dispose(): void {
    this.endWorkers();
    if (this.#scratchBytes > 0) this.arena.release(this.#scratch);
    this.#scratchBytes = 0;
  }
}

const engines = new WeakMap<Engine, ConvEngine>();

/** What `load` has made for an instance. */
export function convEngineOf(where: string, lb: Lowbit): ConvEngine {
  const found = engines.get(engineOf(where, lb));
  if (!found) throw typeError(`${where}: lb`, "what load() of lowbit/conv was called with", lb);
  return found;
}

export function findConvEngine(engine: Engine): ConvEngine | undefined {
  return engines.get(engine);
}

export function attachConvEngine(made: ConvEngine): void {
  engines.set(made.engine, made);
  made.engine.ends.push(() => made.endWorkers());
}
