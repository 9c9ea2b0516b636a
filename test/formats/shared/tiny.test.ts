// Tiny weights: what a quantiser makes of W / 2^k is what it makes of W, divided by 2^k, down to where float32 itself ends.

import * as library from "../../../src/index.ts";
import { equalBits, ok } from "../../lib/assert.ts";
import { codebook, init, type Lowbit, minifloat } from "../../lib/library.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";

const lb: Lowbit = await init({ variant: "simd", threads: 1 });
const rng = random("tiny");
const t = suite("tiny weights");

interface Case {
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

const [COLS, GROUP] = [128, 32];

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
const CASES: readonly Case[] = [
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

const quantizers = library as unknown as Record<string, { quantize?: Quantize }>;

function dequantised({ format, options, rows = 8 }: Case, w: readonly Float32Array[]): Float32Array {
  const [re, im] = w as [Float32Array, Float32Array];
  const quantize = quantizers[format]?.quantize as Quantize;
  const matrix = quantize(lb, format === "complex" ? { re, im } : re, { rows, cols: COLS, ...options });
  const values = matrix.dequantize();
  matrix.dispose();
  return values instanceof Float32Array ? values : Float32Array.of(...values.re, ...values.im);
}

const times = (w: Float32Array, factor: number): Float32Array => w.map((v) => v * factor);

/** Root of the mean square of a - b, times `factor`. */
function distance(a: Float32Array, b: Float32Array, factor: number): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (((a[i] as number) - (b[i] as number)) * factor) ** 2;
  return Math.sqrt(sum / a.length);
}

const nameOf = ({ format, options }: Case): string =>
  [format, ...Object.entries(options).map(([name, value]) => `${name} ${value}`)].join(", ");

for (const one of CASES) {
  const name = nameOf(one);
  t(name, () => {
    const parts = (one.format === "complex" ? [0, 1] : [0]).map(() => rng.gaussians((one.rows ?? 8) * COLS));
    const ordinary = dequantised(one, parts);
    // Nothing is denormal, neither lower bits of weights nor 32767ths of them: the same codes, and scales that are the same but for
    // their exponent. Powers are even because onebit takes square roots.
    for (const k of one.powers?.exact ?? [18, 86]) {
      const tiny = dequantised(
        one,
        parts.map((w) => times(w, 2 ** -k)),
      );
      equalBits(times(tiny, 2 ** k), ordinary, `${name}: 2^-${k}`);
    }
    for (const k of one.powers?.close ?? [105, 118, 126, 131, 136, 140, 144, 146, 148, 149]) {
      // Rounded as float32 rounds them; the rest is the quantiser's. A product with a power of two is exact.
      const tiny = parts.map((w) => times(w, 2 ** -k));
      const same = tiny.map((w) => times(w, 2 ** k));
      const found = dequantised(one, tiny);
      const want = dequantised(one, same);
      const flat = Float32Array.of(...tiny.flatMap((w) => [...w]));
      const error = distance(found, flat, 2 ** 149);
      const usual = distance(want, times(flat, 2 ** k), 2 ** (149 - k));
      const q = flat.reduce((most, v) => Math.max(most, Math.abs(v)), 0) * 2 ** 149;
      const most = usual * (one.growth ?? 1.01) + one.slack(q);
      ok(error <= most, `${name}: 2^-${k}: off by ${error} of 2^-149, at most ${most}, usually ${usual}`);
    }
  });
}

t("every format that quantises is among the cases", () => {
  const names = Object.entries(quantizers).flatMap(([name, { quantize }]) => (quantize === undefined ? [] : [name]));
  const missing = names.filter((name) => !CASES.some(({ format }) => format === name));
  ok(missing.length === 0 && names.length >= 16, `${names.length} formats, without ${missing}`);
});

t("zeros among tiny complex weights stay small beside them", () => {
  // A row of zeros has a scale that is not 0: 1e-5 of the largest weight, as it has among weights of 1.
  for (const k of [0, 17, 40, 120]) {
    const re = Float32Array.from({ length: 2 * 16 }, (_, i) => (i < 16 ? 2 ** -k : 0));
    const values = library.complex.quantize(lb, { re, im: re }, { rows: 2, cols: 16, scale: "row" }).dequantize();
    ok(Math.max(...values.re.slice(16).map(Math.abs)) <= 1.0001e-5 * 2 ** -k, `2^-${k}: ${values.re.slice(16)}`);
  }
});

t("E8M0 ends at 2^-127, float16 at 2^-24: what is below has their smallest scale, and no code that it need not", () => {
  const w = rng.gaussians(8 * COLS);
  const nearest = (v: number, step: number): number => Math.abs(v - Math.round(v / step) * step);
  const shape = { rows: 8, cols: COLS, ...grouped };
  const cases: readonly [string, number, (tiny: Float32Array) => Float32Array][] = [
    // Halves of E2M1 times 2^-127.
    ["mxfp4", 2 ** -128, (tiny) => codebook.quantize(lb, tiny, { rows: 8, cols: COLS, table: "mxfp4" }).dequantize()],
    // Eighths.
    [
      "mxfp6",
      2 ** -130,
      (tiny) => minifloat.quantize(lb, tiny, { ...shape, type: "e2m3", scaleType: "e8m0" }).dequantize(),
    ],
    [
      "float16",
      2 ** -27,
      (tiny) => minifloat.quantize(lb, tiny, { ...shape, type: "e2m3", scaleType: "float16" }).dequantize(),
    ],
  ];
  for (const [name, step, quantise] of cases) {
    // Up to two steps, where all these types have every multiple.
    const tiny = times(w, (step * 2) / Math.max(...w.map(Math.abs)));
    const values = quantise(tiny);
    for (const [i, v] of values.entries()) {
      ok(Math.abs(v - (tiny[i] as number)) === nearest(tiny[i] as number, step), `${name}: ${v / step} for ${tiny[i]}`);
    }
    ok(
      values.some((v) => v !== 0),
      name,
    );
  }
});
