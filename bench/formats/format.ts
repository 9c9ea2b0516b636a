import type { Lowbit, Matrix } from "lowbit";
import type { Activation, FormatName } from "../../src/kernels/types.ts";
import { makeRandom } from "../random.ts";

export interface PackOptions {
  readonly activation: Activation;
  /** The kernel to force; undefined: what the library chooses. */
  readonly kernel: string | undefined;
}

/** What the bench needs of a matrix; results are written to y. */
export interface BenchMatrix extends Pick<Matrix, "activation" | "kernel" | "gemmKernel" | "byteLength" | "dispose"> {
  gemv(x: Float32Array, y: Float32Array): unknown;
  gemm(x: Float32Array, n: number, y: Float32Array): unknown;
}

/** Random weights of one shape. Nothing here calls the library except `pack`: the reference must not. */
export interface BenchWeights {
  /** The weights of one row, scaled, in float64. */
  decodeRow(row: number): Float64Array;
  pack(lb: Lowbit, options: PackOptions): BenchMatrix;
  /** Weights that are scale · (-1, 0, 1): what the scalar kernel on packed planes takes. */
  readonly planes?: { readonly count: 1 | 2 /** [rows], positive */; readonly scales: Float32Array };
}

/** A weight format with its options: a case of the bench for each kernel of `format`. */
export interface BenchFormat {
  /** What --filter meets and the tables show: the format's name, then its options. */
  readonly label: string;
  readonly format: FormatName;
  /** The library rounds its tables to 16 bits, which the reference does not. */
  readonly rounded?: boolean;
  make(rows: number, cols: number): BenchWeights;
}

/** Random bytes below `levels`, a power of two: drawing and quantising 268 million floats would take minutes. */
export function randomBytes(count: number, seed: number, levels = 256): Uint8Array {
  const words = new Uint32Array(Math.ceil(count / 4));
  const mask = (levels - 1) * 0x01010101;
  const random = makeRandom(seed);
  for (let i = 0; i < words.length; i++) words[i] = random.bits() & mask;
  return new Uint8Array(words.buffer, 0, count);
}

/** Positive, all of the same order, as those of a trained layer. */
export function randomScales(count: number, seed: number): Float32Array {
  const random = makeRandom(seed);
  const scales = new Float32Array(count);
  for (let i = 0; i < count; i++) scales[i] = 0.01 + random.below(1000) / 50_000;
  return scales;
}

/** The options that every `pack` takes; exactOptionalPropertyTypes allows none that is there and undefined. */
export function common(rows: number, cols: number, groupSize: number | undefined, { activation, kernel }: PackOptions) {
  return {
    rows,
    cols,
    activation,
    ...(groupSize !== undefined && { groupSize }),
    ...(kernel !== undefined && { kernel }),
  };
}

/** "uniform4 g128" */
export function labelOf(name: string, ...options: (string | number | false | undefined)[]): string {
  const words = options.map((option) => (typeof option === "number" ? `g${option}` : option));
  return [name, ...words.filter(Boolean)].join(" ");
}
