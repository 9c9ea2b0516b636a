// One module for every runtime: it imports lowbit as an application does and nothing else, and computes the same inputs, the
// same products and the same hashes everywhere. It is compiled to JavaScript once and run from beside an installed package.

import * as lowbit from "lowbit";
import { attend, rmsNorm, rope } from "lowbit/complex";
import * as conv from "lowbit/conv";
import { nearestE8 } from "lowbit/lattice";
import { hadamard, hadamardInverse } from "lowbit/transforms";
import { CASES, type Case, nameOf } from "./cases.ts";

/** Hashes by what was computed. */
export type Golden = Readonly<Record<string, string>>;

export interface Report {
  /** Of `init()`. */
  readonly features: lowbit.Features;
  /** Of `init({ threads: 2 })`. */
  readonly threaded: lowbit.Features;
  /** Whether matrices have gemvAsync, which was then run. */
  readonly gemvAsync: boolean;
  /** Binaries that computed everything. */
  readonly variants: readonly lowbit.Variant[];
  readonly kernels: number;
  readonly checks: number;
  /** Empty where everything is as it must be. */
  readonly failures: readonly string[];
}

type Options = Record<string, unknown>;
type Values = Float32Array | lowbit.ComplexArray;
/** What real and complex matrices have in common, with gemvAsync where the library has it. */
interface AnyMatrix {
  readonly kernel: string;
  gemv(x: Values): Values;
  gemm(x: Values, n: number): Values;
  gemvAsync?(x: Values): Promise<Values>;
  dequantize(): Values;
  dispose(): void;
}
type Quantize = (lb: lowbit.Lowbit, w: Values, options: Options) => AnyMatrix;

const ACTIVATIONS = ["int8", "lut8", "f32"] as const;
/** Enough for every gemm kernel that is chosen by the number of tokens. */
const TOKENS = 17;
const LARGE_TOKENS = 9;

const made = new Map<string, Float32Array>();

/**
 * Floats in [-1, 1) from integers only: xorshift32 (Marsaglia 2003), whose 32 bits are a multiple of 2^-31. The same array
 * for the same arguments.
 */
function floats(length: number, seed: number): Float32Array {
  const key = `${length} ${seed}`;
  const known = made.get(key);
  if (known) return known;
  const values = new Float32Array(length);
  let state = seed | 1;
  for (let i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    values[i] = state / 2 ** 31;
  }
  made.set(key, values);
  return values;
}

/** FNV-1a of the float32 bits, in hex. -0 counts as 0: the sign of a zero sum is no part of the contract. */
function hash(array: Values): string {
  const parts = array instanceof Float32Array ? [array] : [array.re, array.im];
  let h = 0x811c9dc5;
  for (const part of parts) {
    const bits = new Uint32Array(part.map((value) => value + 0).buffer);
    for (const word of bits) {
      for (let shift = 0; shift < 32; shift += 8) h = Math.imul(h ^ ((word >>> shift) & 0xff), 0x01000193);
    }
  }
  return (h >>> 0).toString(16).padStart(8, "0");
}

function input(isComplex: boolean, length: number, seed: number): Values {
  return isComplex ? { re: floats(length, seed), im: floats(length, seed + 2) } : floats(length, seed);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

class Run {
  readonly failures: string[] = [];
  readonly kernels = new Set<string>();
  /** What was computed: the golden file, when it is made. */
  readonly found: Record<string, string> = {};
  gemvAsync = false;
  checks = 0;
  readonly #golden: Golden | undefined;

  constructor(golden: Golden | undefined) {
    this.#golden = golden;
  }

  /** The hash of `array` is the golden one, or that of the first time where there is none. */
  same(name: string, array: Values, how: string): void {
    const got = hash(array);
    const expected = this.#golden ? this.#golden[name] : (this.found[name] ?? got);
    this.found[name] = got;
    this.check(got === expected, `${name} (${how}): expected ${expected}, got ${got}`);
  }

  check(passed: boolean, message: string): void {
    this.checks++;
    if (!passed) this.failures.push(message);
  }

  async throws(body: () => unknown, pattern: RegExp): Promise<void> {
    let got = "nothing";
    try {
      await body();
    } catch (error) {
      got = messageOf(error);
    }
    this.check(pattern.test(got), `expected an error like ${pattern}, got ${got}`);
  }
}

/** The kernels that an error about a wrong one names. */
function kernelsOf(make: (kernel: string) => AnyMatrix): string[] {
  try {
    make("none").dispose();
  } catch (error) {
    const names = /expected (.*), got "none"$/.exec(messageOf(error))?.[1];
    if (names) return [...names.matchAll(/"(\w+)"/g)].map((match) => match[1] as string);
    throw error;
  }
  throw new Error('kernel "none" was accepted');
}

async function runCase(run: Run, lb: lowbit.Lowbit, item: Case, how: string, everyKernel: boolean): Promise<void> {
  const { format, options = {}, shape: [rows, cols] = [70, 283] } = item;
  const { quantize } = (lowbit as unknown as Record<string, { quantize: Quantize }>)[format] as { quantize: Quantize };
  const isComplex = format === "complex";
  const w = input(isComplex, rows * cols, 1);
  const x = input(isComplex, cols, 3);
  const xs = input(isComplex, TOKENS * cols, 5);

  // bitplane has activation bits of its own and takes no activation.
  const activations = "activationBits" in options ? ["bits"] : ACTIVATIONS;
  for (const activation of activations) {
    const name = `${nameOf(item)}: ${activation}`;
    const make = (kernel?: string): AnyMatrix => {
      const chosen = { ...(activation !== "bits" && { activation }), ...(kernel !== undefined && { kernel }) };
      return quantize(lb, w, { rows, cols, ...options, ...chosen });
    };
    let first: AnyMatrix;
    try {
      first = make();
    } catch (error) {
      // A format without this contract says which it has.
      run.check(/: activation: expected /.test(messageOf(error)), `${name} (${how}): ${messageOf(error)}`);
      continue;
    }
    run.same(`${name} dequantize`, first.dequantize(), how);
    first.dispose();
    for (const kernel of everyKernel ? [undefined, ...kernelsOf(make)] : [undefined]) {
      const matrix = make(kernel);
      if (kernel !== undefined) run.kernels.add(kernel);
      const where = `${how}, ${kernel ?? matrix.kernel}`;
      run.same(`${name} gemv`, matrix.gemv(x), where);
      run.same(`${name} gemm`, matrix.gemm(xs, TOKENS), where);
      if (matrix.gemvAsync) {
        run.gemvAsync = true;
        run.same(`${name} gemv`, await matrix.gemvAsync(x), `${where}, gemvAsync`);
      }
      matrix.dispose();
    }
  }
}

/** Large enough that threads have something to do. */
async function runLarge(run: Run, lb: lowbit.Lowbit, how: string): Promise<void> {
  const [rows, cols] = [2048, 1024];
  const codes = new Uint8Array(rows * cols);
  const signs = new Int8Array(rows * cols);
  const values = floats(rows * cols, 7);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    codes[i] = Math.floor(8 * value) + 8;
    signs[i] = value < 0 ? -1 : 1;
  }
  const scales = Float32Array.of(0.125);
  const x = floats(cols, 9);
  const xs = floats(LARGE_TOKENS * cols, 11);
  const matrices = {
    "large uniform4": lowbit.uniform.pack(lb, { rows, cols, bits: 4, codes, scales }),
    "large binary": lowbit.binary.pack(lb, { rows, cols, signs, scales, activation: "lut8" }),
  };
  for (const [name, matrix] of Object.entries(matrices)) {
    const { gemvAsync } = matrix as unknown as AnyMatrix;
    run.same(`${name} gemv`, matrix.gemv(x), how);
    run.same(`${name} gemm`, matrix.gemm(xs, LARGE_TOKENS), how);
    if (gemvAsync) run.same(`${name} gemv`, await gemvAsync.call(matrix, x), `${how}, gemvAsync`);
    matrix.dispose();
  }
}

async function runErrors(run: Run, lb: lowbit.Lowbit): Promise<void> {
  const codes = new Int8Array(6);
  const options = { rows: 2, cols: 3, codes, scales: Float32Array.of(1) };
  const { used } = lb.memory;
  await run.throws(
    () => lowbit.ternary.pack(lb, { ...options, codes: codes.subarray(1) }),
    /^RangeError: ternary\.pack: codes: expected length 6 \(rows 2 x cols 3\), got 5$/,
  );
  run.check(lb.memory.used === used, "a failed call leaves memory as it was");
  const matrix = lowbit.ternary.pack(lb, options);
  await run.throws(
    () => matrix.gemv(new Float32Array(4)),
    /^RangeError: ternary\.gemv: x: expected length 3 \(cols 3\), got 4$/,
  );
  await run.throws(
    () => matrix.gemv(Float32Array.of(0, Number.NaN, 0)),
    /^RangeError: ternary\.gemv: x: expected finite numbers, got NaN at index 1$/,
  );
  matrix.dispose();
  await run.throws(
    () => matrix.gemv(new Float32Array(3)),
    /^TypeError: ternary\.gemv: this ternary matrix \(2 x 3\) was disposed$/,
  );
  run.check(lb.memory.used === used, "dispose gives memory back");
  await run.throws(() => lowbit.init({ variant: "fast" as "simd" }), /^RangeError: init: variant: expected "auto" /);
  await run.throws(() => lowbit.init({ module: new Uint8Array(8) }), /^RangeError: init: module: expected /);
}

function runOthers(run: Run, lb: lowbit.Lowbit): void {
  const n = 288;
  const x = floats(3 * n, 13);
  const rotated = hadamard(lb, x, n);
  run.same("hadamard", rotated, "lowbit/transforms");
  run.same("hadamardInverse", hadamardInverse(lb, rotated, n), "lowbit/transforms");

  const points = new Float32Array(n);
  for (let i = 0; i < n; i += 8) points.set(nearestE8(x.subarray(i, i + 8).map((value) => 4 * value)), i);
  run.same("nearestE8", points, "lowbit/lattice");

  const tokens = { re: floats(2 * 8, 15), im: floats(2 * 8, 17) };
  run.same("rmsNorm", rmsNorm(tokens, { re: floats(8, 19), im: floats(8, 21) }, 1e-6), "lowbit/complex");
  const turned = rope(tokens, [3, 2_000_000_011], { heads: 1, headDim: 8, base: 10000 });
  run.same("rope", turned, "lowbit/complex");
  run.same("attend", attend(turned, tokens, turned, { heads: 2, headDim: 4 }), "lowbit/complex");

  // What a power of two is, whatever the engine makes of `**`.
  for (let n = 0, up = 1, down = 1; n < 1024; n++, up *= 2, down /= 2) {
    run.check(2 ** n === up && 2 ** -n === down, `2 ** ${n} is ${2 ** n}, 2 ** -${n} is ${2 ** -n}`);
  }
}

/** Whole numbers from -range to range. */
const whole = (length: number, seed: number, range: number): Int8Array =>
  Int8Array.from(floats(length, seed), (value) => Math.floor(value * (range + 0.5) + 0.5));

/** Convolutions by every algorithm, which must agree, and every kind of output. */
async function runConvolutions(run: Run, lb: lowbit.Lowbit, how: string): Promise<void> {
  await conv.load(lb);
  const [height, width, channels, outputs] = [40, 33, 19, 18];
  const x = conv.tensor(lb, { height, width, channels, scale: 0.02, zeroPoint: 5 });
  x.writeCodes(whole(height * width * channels, 23, 127));
  const codes = whole(outputs * channels * 9, 25, 127);
  const common = { inChannels: channels, outChannels: outputs, kernel: 3, padding: "same" } as const;
  const scales = floats(outputs, 27).map((value) => Math.abs(value) / 100);
  const bias = floats(outputs, 29);
  const residual = conv.tensor(lb, { height, width, channels: outputs, type: "float32" });
  residual.write(floats(height * width * outputs, 31));
  for (const algorithm of ["direct", "sfc4", "sfc6", "sfc7"] as const) {
    for (const requantize of ["float", "dyadic"] as const) {
      const layer = conv.pack(lb, { ...common, codes, scales, bias, relu: true, algorithm, requantize });
      const out = layer.output(height, width, { type: "uint8", scale: 0.4, zeroPoint: 3 });
      const where = `${how}, ${algorithm}`;
      run.same(`conv ${requantize}`, Float32Array.from(layer.run(x, out).readCodes()), where);
      const numbers = layer.output(height, width, { type: "float32" });
      run.same("conv float32", layer.run(x, numbers, { residual }).read(), where);
      for (const one of [layer, out, numbers]) one.dispose();
    }
  }
  const depthwise = conv.pack(lb, {
    ...{
      inChannels: channels,
      outChannels: channels,
      groups: channels,
      kernel: [3, 5],
      stride: 2,
      padding: 1,
      bits: 4,
    },
    ...{ codes: whole(channels * 15, 33, 7), scales: Float32Array.of(0.05) },
  });
  const sums = depthwise.output(height, width, { type: "int32" });
  run.same("conv depthwise", Float32Array.from(depthwise.run(x, sums).readCodes()), how);
  for (const one of [x, residual, depthwise, sums]) one.dispose();
}

/** Runs everything that this runtime has. */
export async function conform(golden: Golden): Promise<Report> {
  return (await compute(golden)).report;
}

/** The same without golden hashes, of which it makes new ones. */
export async function makeGolden(): Promise<{ found: Golden; failures: readonly string[] }> {
  const { found, report } = await compute();
  return { found, failures: report.failures };
}

async function compute(golden?: Golden): Promise<{ report: Report; found: Golden }> {
  const run = new Run(golden);
  const { features } = await lowbit.init();
  const variants: lowbit.Variant[] = [];
  for (const variant of ["simd", "relaxed"] as const) {
    if (variant === "relaxed" && !features.relaxed) {
      run.check(typeof features.relaxedReason === "string", "features.relaxedReason says why relaxed is not in use");
      await run.throws(
        () => lowbit.init({ variant }),
        /^UnsupportedRuntimeError: init: variant "relaxed": .*; use "auto" or "simd"$/,
      );
      continue;
    }
    const lb = await lowbit.init({ variant });
    run.check(lb.features.variant === variant, `features.variant: expected ${variant}, got ${lb.features.variant}`);
    for (const item of CASES) await runCase(run, lb, item, variant, true);
    await runLarge(run, lb, variant);
    await runErrors(run, lb);
    runOthers(run, lb);
    await runConvolutions(run, lb, variant);
    variants.push(variant);
  }
  run.check(features.variant === variants.at(-1), `auto: expected ${variants.at(-1)}, got ${features.variant}`);

  const lb = await lowbit.init({ threads: 2 });
  for (const item of CASES) await runCase(run, lb, item, "threads 2", false);
  await runLarge(run, lb, "threads 2");
  await runConvolutions(run, lb, "threads 2");
  // Before dispose(), after which there is one thread.
  const threaded = { ...lb.features };
  const { threads, threadsReason } = threaded;
  run.check(threads === 1 || threads === 2, `features.threads: expected 1 or 2, got ${threads}`);
  run.check(threads === 2 || Boolean(threadsReason), "features.threadsReason says why there is one thread");
  (lb as { dispose?(): void }).dispose?.();

  const { found } = run;
  if (golden) {
    const missing = Object.keys(golden).filter((name) => !(name in found));
    run.check(missing.length === 0, `not computed: ${missing.join(", ")}`);
  }
  const { failures, checks, kernels, gemvAsync } = run;
  const report = { features, threaded, gemvAsync, variants, kernels: kernels.size, checks, failures };
  return { report, found };
}

/** For a page whose policy forbids WebAssembly: the error that says so, and nothing else. */
export async function conformBlocked(): Promise<readonly string[]> {
  try {
    await lowbit.init();
  } catch (error) {
    const right = error instanceof lowbit.UnsupportedRuntimeError && /'wasm-unsafe-eval'/.test(error.message);
    return right ? [] : [`expected an UnsupportedRuntimeError with 'wasm-unsafe-eval', got ${messageOf(error)}`];
  }
  return ["init() was expected to be refused"];
}
