// Every quantiser, called in every way in which what it stores differs.

import * as library from "../../../src/index.ts";
import type { Lowbit } from "../../lib/library.ts";

/** A call of a quantiser, and what tiny.test.ts allows it. */
export interface Case {
  readonly format: string;
  readonly options: object;
  readonly rows?: number;
  /**
   * By how many 2^-149 the root of the mean square error may grow: numbers that are stored are multiples of 2^-149 in the end, off by
   * half of one as a rule, and by almost one where they would be 0. Of q the largest weight is a multiple in 2^-149.
   */
  readonly slack: (q: number) => number;
  /** By which factor it may grow besides. Default 1.01. */
  readonly growth?: number;
  /** Powers of two to divide by, where not all are tried. */
  readonly powers?: { readonly exact: readonly number[]; readonly close: readonly number[] };
}

export const [ROWS, COLS, GROUP] = [8, 128, 32];

/** A scale, and codes that are chosen for what was stored: steps are at most a 2^-149 longer, so half of one. */
const ONE_STEP = (): number => 0.5;
/** Scales of `planes` signs or trits, each off by half, or by one where it would be 0. */
const planes = (count: number) => (): number => count;
/** Integers of this root mean square, times a scale that is off by half, or by one where it would be 0. */
const integers = (rms: number) => (): number => rms;
/**
 * Rotations of n columns divide by √n before they sum: n roundings of at most half, 1 / √12 on average, so √(n / 12) for W and as
 * much for what dequantize rotates back.
 */
const rotated = (rms: number) => (): number => rms + 2 * Math.sqrt(COLS / 12);
/** Tables of 16 bits whose scales are of groups: see wideUnit of src/formats/codebook/stored.ts. */
const WIDE = (q: number): number => Math.sqrt(q);
/** Other codes, or another end of a fit by turns: the error is another sample of it, of 1024 weights, so 2 % off as a rule. */
const SAMPLED = 1.1;
/**
 * Numbers of E bits of exponent have an error relative to the weight, which depends on where a / s lies between powers of two. Scales
 * that are few times 2^-149 leave it where it falls, as E8M0 does: docs/quantisers.md has 1.5 for its square.
 */
const FLOATING = 1.25;

const grouped = { groupSize: GROUP };
/** Every format, by what its scales are. */
export const CASES: readonly Case[] = [
  { format: "binary", options: grouped, slack: planes(1) },
  { format: "ternary", options: grouped, slack: planes(1), growth: SAMPLED },
  { format: "ternary", options: { scale: "matrix" }, slack: planes(1), growth: SAMPLED },
  { format: "onebit", options: {}, slack: planes(1), growth: SAMPLED },
  { format: "ptqtp", options: grouped, slack: planes(2), growth: SAMPLED },
  ...[2, 3].flatMap((bits) =>
    [false, true].map((offset) => ({
      format: "bcq",
      options: { ...grouped, bits, offset },
      slack: planes(bits + 1),
      growth: SAMPLED,
    })),
  ),
  ...[2, 3, 4, 6, 8].flatMap((bits) =>
    [{}, { symmetric: true }, { search: "mse" }].map((how) => ({
      format: "uniform",
      options: { ...grouped, bits, ...how },
      slack: ONE_STEP,
      growth: SAMPLED,
    })),
  ),
  { format: "bitplane", options: { ...grouped, bits: 1, activationBits: 4, encoding: "bipolar" }, slack: planes(1) },
  // Scales are rounded to nearest here, and codes reach 2^bits.
  ...["bipolar", "signed", "unsigned"].map((encoding) => ({
    format: "bitplane",
    options: { ...grouped, bits: 3, activationBits: 4, encoding },
    slack: integers(4),
    growth: SAMPLED,
  })),
  ...["nf4", "fp4"].map((table) => ({ format: "codebook", options: { table }, slack: WIDE, growth: SAMPLED })),
  ...["rows", "matrix"].map((table) => ({ format: "codebook", options: { table }, slack: ONE_STEP })),
  {
    format: "codebook",
    options: { ...grouped, bits: 2, table: Float32Array.of(-1, -0.3, 0.1, 1) },
    slack: WIDE,
    growth: SAMPLED,
  },
  // An E4M3 of a denormal float32, off by half for each of the 6 that a code can be.
  { format: "codebook", options: { table: "nvfp4" }, slack: integers(3), growth: SAMPLED },
  ...["matrix", "row", "tile"].map((scale) => ({
    format: "complex",
    options: { scale, ...(scale === "tile" && grouped) },
    slack: planes(1),
  })),
  ...[1, 2, 4].map((stages) => ({ format: "fairy2i", options: { stages }, slack: planes(stages), growth: SAMPLED })),
  // Integers are 4w, w of root mean square 1 for a scale of 1.
  ...[2, 3, 4].map((bits) => ({ format: "e8p", options: { bits }, slack: rotated(4.2), growth: SAMPLED })),
  // 12 pulses in 16 columns.
  ...[true, false].map((rotate) => ({
    format: "pvq",
    options: { rotate },
    slack: rotate ? rotated(1) : integers(1),
    growth: SAMPLED,
  })),
  ...["hadamard", "none"].map((whitening) => ({
    format: "lift",
    options: { bits: 2, whitening },
    slack: rotated(2),
    growth: SAMPLED,
  })),
  ...[false, true].map((mu) => ({ format: "glvq", options: { mu }, slack: integers(2), growth: SAMPLED })),
  {
    format: "trellis",
    rows: 128,
    options: { codebook: "mcg", bits: 2, search: 8 },
    slack: rotated(1),
    growth: SAMPLED,
    // It takes a second each.
    powers: { exact: [86], close: [131, 146] },
  },
  ...["e2m1", "e1m2", "e2m2", "e3m0", "e3m1", "e2m3", "e3m2", "e4m3", "e5m2"].map((type) => ({
    format: "minifloat",
    options: { ...grouped, type },
    slack: ONE_STEP,
    growth: FLOATING,
  })),
  {
    format: "minifloat",
    options: { ...grouped, type: "e4m3", activation: "f32" },
    slack: ONE_STEP,
    growth: FLOATING,
  },
  {
    format: "minifloat",
    options: { ...grouped, type: "e2m3", bias: "search" },
    slack: ONE_STEP,
    growth: FLOATING,
  },
];

type Values = Float32Array | { re: Float32Array; im: Float32Array };
type Quantize = (lb: Lowbit, w: Values, options: object) => { dequantize(): Values; dispose(): void };

export const quantizers = library as unknown as Record<string, { quantize?: Quantize }>;

/** What a case makes of one matrix, or of re and im. */
export function dequantised(
  lb: Lowbit,
  { format, options, rows = ROWS }: Case,
  w: readonly Float32Array[],
): Float32Array {
  const [re, im] = w as [Float32Array, Float32Array];
  const quantize = quantizers[format]?.quantize as Quantize;
  const matrix = quantize(lb, format === "complex" ? { re, im } : re, { rows, cols: COLS, ...options });
  const values = matrix.dequantize();
  matrix.dispose();
  return values instanceof Float32Array ? values : Float32Array.of(...values.re, ...values.im);
}

export const nameOf = ({ format, options }: Case): string =>
  [format, ...Object.entries(options).map(([name, value]) => `${name} ${value}`)].join(", ");
