// Runs under qemu: calls every gemv and gemm kernel of the registry once, with marks for plugin.c around it, and writes
// what belongs to which mark as JSON to the file that is its argument.

import { readFileSync, writeFileSync } from "node:fs";
import { initSync } from "lowbit";
import type { Variant } from "../../src/kernels/types.ts";
import { benchFormats } from "../formats/index.ts";
import { makeRandom } from "../random.ts";
import { COLS, countedKernels, type Marked, ROWS, TOKENS } from "./marks.ts";

const MARK = 0x7f000000;

function mark(i: number): void {
  try {
    process.kill(MARK + i, 0);
  } catch {
    // There is no such process: that is the mark.
  }
}

/** The mark of the kernels that are called; 0 where they are not to be counted. */
let current = 0;

/** Exports whose kernels are surrounded by marks: what prepares for them stays outside. */
function marked(exports: WebAssembly.Exports): WebAssembly.Exports {
  const wrap = (f: (...args: unknown[]) => unknown) => {
    return (...args: unknown[]): unknown => {
      if (current === 0) return f(...args);
      mark(0);
      const result = f(...args);
      mark(current);
      return result;
    };
  };
  const entries = Object.entries(exports).map(([name, value]) => [
    name,
    /^gem[mv]_/.test(name) ? wrap(value as never) : value,
  ]);
  return Object.fromEntries(entries);
}

const { Instance } = WebAssembly;
WebAssembly.Instance = class {
  readonly exports: WebAssembly.Exports;
  constructor(module: WebAssembly.Module, imports: WebAssembly.Imports) {
    this.exports = marked(new Instance(module, imports).exports);
  }
} as typeof Instance;

const random = makeRandom(1);
const x = Float32Array.from({ length: TOKENS * COLS }, () => random.gaussian());
const y = new Float32Array(TOKENS * ROWS);
const names = new RegExp(process.argv[3] ?? "");
const all: Marked[] = [];

function count(variant: Variant): void {
  // Without a promise: nothing would keep the process alive while code is compiled.
  const lb = initSync(readFileSync(new URL(import.meta.resolve(`lowbit/wasm/${variant}.wasm`))));
  for (const kernel of countedKernels(variant).filter(({ name }) => names.test(name))) {
    // The first of a format that has its name, not one of another that runs its kernels: groups where it has no others.
    const own = benchFormats.filter((one) => one.format === kernel.format);
    const format = own.find(({ label }) => label.startsWith(kernel.format)) ?? own[0];
    if (!format) throw new Error(`no weights of ${kernel.format} in bench/formats`);
    const { activation, name } = kernel;
    const matrix = format.make(ROWS, COLS).pack(lb, { activation, kernel: name });
    all.push({ kernel: name, variant, weights: format.label });
    current = all.length;
    if (kernel.op === "gemm") matrix.gemm(x, TOKENS, y);
    else matrix.gemv(x.subarray(0, COLS), y.subarray(0, ROWS));
    current = 0;
    matrix.dispose();
  }
}

count("simd");
count("relaxed");
writeFileSync(process.argv[2] as string, JSON.stringify(all));
