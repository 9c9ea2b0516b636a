import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

type PackedGemv = (
  w: number,
  x: number,
  scales: number,
  xScale: number,
  y: number,
  rows: number,
  byteCols: number,
) => void;

interface Exports {
  readonly binary: PackedGemv;
  readonly ternary: PackedGemv;
  readonly codes: (
    w: number,
    zero: number,
    x: number,
    scales: number,
    xScale: number,
    y: number,
    rows: number,
    cols: number,
  ) => void;
  readonly read: (ptr: number, bytes: number) => number;
}

export interface GemvInput {
  /** Weights on the packed tile layout. */
  readonly tiles: Uint8Array;
  readonly planes: 1 | 2;
  /** [8 * byteCols], int8. */
  readonly x: Int8Array;
  readonly xScale: number;
  /** [rows] */
  readonly scales: Float32Array;
  /** A multiple of 16. */
  readonly rows: number;
}

export interface CodesInput {
  /** [rows, cols] */
  readonly codes: Uint8Array;
  readonly zero: number;
  /** [cols], int8. */
  readonly x: Int8Array;
  readonly xScale: number;
  /** [rows] */
  readonly scales: Float32Array;
}

/** Call `run`, then read `y`, a view that only lives until the next call on the module that allocates. */
export interface Gemv {
  readonly run: () => void;
  readonly y: () => Float32Array;
}

const READ_STEP = 128;
const PAGE = 65536;

/** bench/assembly/baseline.ts, compiled here and now, with a linear memory of its own. */
export class YardstickModule {
  readonly #memory: WebAssembly.Memory;
  readonly #exports: Exports;
  #top = 0;

  private constructor(memory: WebAssembly.Memory, exports: Exports) {
    this.#memory = memory;
    this.#exports = exports;
  }

  static async compile(): Promise<YardstickModule> {
    // In a process of its own: imported here, the compiler would go through the TypeScript loader, which takes 10 s.
    const require = createRequire(import.meta.url);
    const asc = join(dirname(require.resolve("assemblyscript/package.json")), "bin", "asc.js");
    const file = join(import.meta.dirname, "..", "build", "baseline.wasm");
    mkdirSync(dirname(file), { recursive: true });
    const flags = "-O3 --runtime stub --importMemory --noAssert --enable simd --outFile ../build/baseline.wasm";
    execFileSync(process.execPath, [asc, "assembly/baseline.ts", ...flags.split(" ")], { cwd: import.meta.dirname });
    const memory = new WebAssembly.Memory({ initial: 1 });
    const { instance } = await WebAssembly.instantiate(readFileSync(file), { env: { memory } });
    return new YardstickModule(memory, instance.exports as unknown as Exports);
  }

  /** Where what is made next will be. */
  get top(): number {
    return this.#top;
  }

  /** Gives back the memory of everything made since `top` was this. */
  reset(top = 0): void {
    this.#top = top;
  }

  /** One scalar GEMV on packed planes. */
  gemv(input: GemvInput): Gemv {
    const { planes, xScale, rows } = input;
    const w = this.#store(input.tiles);
    const x = this.#store(input.x);
    const scales = this.#store(input.scales);
    const y = this.#allocate(rows * 4);
    const kernel = planes === 1 ? this.#exports.binary : this.#exports.ternary;
    const byteCols = input.x.length / 8;
    return {
      run: () => kernel(w, x, scales, xScale, y, rows, byteCols),
      y: () => new Float32Array(this.#memory.buffer, y, rows),
    };
  }

  /** One scalar GEMV on a byte a weight. */
  codes({ codes, zero, x, xScale, scales }: CodesInput): Gemv {
    const [rows, cols] = [scales.length, x.length];
    const w = this.#store(codes);
    const q = this.#store(x);
    const s = this.#store(scales);
    const y = this.#allocate(rows * 4);
    return {
      run: () => this.#exports.codes(w, zero, q, s, xScale, y, rows, cols),
      y: () => new Float32Array(this.#memory.buffer, y, rows),
    };
  }

  /** Reads `bytes` bytes, rounded up, of memory of its own. */
  read(bytes: number): () => number {
    const size = Math.ceil(bytes / READ_STEP) * READ_STEP;
    const start = this.#allocate(size);
    // Memory never written is one page of zeros over and over, which sits in the first cache.
    new Uint8Array(this.#memory.buffer, start, size).fill(0x5a);
    return () => this.#exports.read(start, size);
  }

  #store(data: Uint8Array | Int8Array | Float32Array): number {
    const start = this.#allocate(data.byteLength);
    new Uint8Array(this.#memory.buffer, start, data.byteLength).set(
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    );
    return start;
  }

  #allocate(bytes: number): number {
    const start = this.#top;
    this.#top = Math.ceil((start + bytes) / 64) * 64;
    const missing = this.#top - this.#memory.buffer.byteLength;
    if (missing > 0) this.#memory.grow(Math.ceil(missing / PAGE));
    return start;
  }
}
