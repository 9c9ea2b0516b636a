// Tiny weights: what a quantiser makes of W / 2^k is what it makes of W, divided by 2^k, down to where float32 itself ends.

import * as library from "../../../src/index.ts";
import { equalBits, ok } from "../../lib/assert.ts";
import { codebook, init, minifloat } from "../../lib/library.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { CASES, COLS, dequantised, GROUP, nameOf, quantizers, ROWS } from "./quantise-cases.ts";

const lb = await init({ variant: "simd", threads: 1 });
const rng = random("tiny");
const t = suite("tiny weights");

const times = (w: Float32Array, factor: number): Float32Array => w.map((v) => v * factor);

/** Root of the mean square of a - b, times `factor`. */
function distance(a: Float32Array, b: Float32Array, factor: number): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (((a[i] as number) - (b[i] as number)) * factor) ** 2;
  return Math.sqrt(sum / a.length);
}

for (const one of CASES) {
  const name = nameOf(one);
  t(name, () => {
    const parts = (one.format === "complex" ? [0, 1] : [0]).map(() => rng.gaussians((one.rows ?? ROWS) * COLS));
    const ordinary = dequantised(lb, one, parts);
    // Nothing is denormal, neither lower bits of weights nor 32767ths of them: the same codes, and scales that are the same but for
    // their exponent. Powers are even because onebit takes square roots.
    for (const k of one.powers?.exact ?? [18, 86]) {
      const tiny = dequantised(
        lb,
        one,
        parts.map((w) => times(w, 2 ** -k)),
      );
      equalBits(times(tiny, 2 ** k), ordinary, `${name}: 2^-${k}`);
    }
    for (const k of one.powers?.close ?? [105, 118, 126, 131, 136, 140, 144, 146, 148, 149]) {
      // Rounded as float32 rounds them; the rest is the quantiser's. A product with a power of two is exact.
      const tiny = parts.map((w) => times(w, 2 ** -k));
      const same = tiny.map((w) => times(w, 2 ** k));
      const found = dequantised(lb, one, tiny);
      const want = dequantised(lb, one, same);
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
  const shape = { rows: 8, cols: COLS, groupSize: GROUP };
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
