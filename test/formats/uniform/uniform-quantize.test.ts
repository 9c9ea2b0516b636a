// From floats to uniform codes: scales, zero points and codes against the oracle, bit for bit, and what they promise.
import {
  UNIFORM_SEARCHES,
  type UniformCodes,
  type UniformCodesOptions,
  uniformCodes,
} from "../../../src/formats/uniform/quantize.ts";
import { UNIFORM_BITS } from "../../../src/kernels/types.ts";
import { runAsync, runNow } from "../../../src/lib/progress.ts";
import { equalBits, is, nmse, ok, rejectsWith, throwsWith } from "../../lib/assert.ts";
import { hostileActivations, random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { quantizeUniform, squareErrorOf } from "../../reference/uniform.ts";

const rng = random("uniform-quantize");

function quantize(w: Float32Array, shape: number[], options: UniformCodesOptions): UniformCodes {
  const [rows, cols, groupSize] = shape as [number, number, number];
  return runNow("f", uniformCodes("f", w, { rows, cols, groupSize }, options));
}

const kinds = UNIFORM_BITS.flatMap((bits) =>
  [true, false].flatMap((symmetric) =>
    UNIFORM_SEARCHES.filter((search) => symmetric || search !== "absmean").map((search) => ({
      bits,
      symmetric,
      search,
    })),
  ),
);
const nameOf = ({ bits, symmetric, search }: UniformCodesOptions): string =>
  `${bits} bits ${symmetric ? "symmetric" : "asymmetric"} ${search}`;

/** Equal to the oracle; returns the codes, with zeros in any case. */
function check(w: Float32Array, shape: number[], kind: UniformCodesOptions, label: string): Required<UniformCodes> {
  const [rows, cols, groupSize] = shape as [number, number, number];
  const { codes, scales, zeros } = quantize(w, shape, kind);
  const expected = quantizeUniform(w, rows, cols, Math.min(groupSize, cols), kind.bits, kind.symmetric, kind.search);
  const name = `${nameOf(kind)}, ${label}`;
  equalBits(scales, expected.scales, `${name}: scales`);
  is(zeros === undefined, kind.symmetric, `${name}: zeros only if asymmetric`);
  if (zeros !== undefined) equalBits(zeros, expected.zeros, `${name}: zeros`);
  equalBits(codes, expected.codes, `${name}: codes`);
  return { codes, scales, zeros: expected.zeros };
}

/** The weights that codes stand for, in float32. */
function dequantize({ codes, scales, zeros }: Required<UniformCodes>, cols: number, groupSize: number): Float32Array {
  const groups = Math.ceil(cols / groupSize);
  return Float32Array.from(codes, (code, i) => {
    const group = Math.floor(i / cols) * groups + Math.floor((i % cols) / groupSize);
    return (scales[group] as number) * (code - (zeros[group] as number));
  });
}

const t = suite("uniformCodes");

t("equals the oracle on Gaussian weights of every shape", () => {
  const shapes = [
    [1, 1, 1],
    [3, 5, 5],
    [2, 24, 8],
    [5, 33, 16],
    [4, 130, 1000],
    [1, 300, 128],
  ];
  for (const shape of shapes) {
    const w = rng.gaussians((shape[0] as number) * (shape[1] as number));
    for (const kind of kinds) check(w, shape, kind, shape.join(" x "));
  }
});

t("equals the oracle on hostile weights, and stays finite", () => {
  const cols = 40;
  for (const { name, x } of hostileActivations(3 * cols, rng)) {
    for (const kind of kinds) {
      const parts = check(x, [3, cols, 16], kind, name);
      const back = dequantize(parts, cols, 16);
      ok(parts.scales.every(Number.isFinite), `${nameOf(kind)}, ${name}: scales are finite`);
      ok(back.every(Number.isFinite), `${nameOf(kind)}, ${name}: weights are finite`);
    }
  }
});

t("a zero point stays a code where a denormal scale is rounded", () => {
  // Clipped a little, the step of 5 bits is rounded to 17 denormals, and 546 / 17 is 32.
  const w = Float32Array.of(-425, -378, -50, -218, -546, -543, -357, -116).map((value) => value * 2 ** -149);
  for (const kind of kinds) {
    const { zeros } = check(w, [1, 8, 8], kind, "denormals");
    ok(
      zeros.every((zero) => zero >= 0 && zero < 2 ** kind.bits),
      nameOf(kind),
    );
  }
});

t("equals the oracle where quotients are exact ties", () => {
  for (const kind of kinds) {
    // With a step of 1/8 of a power of two, weights on half steps.
    const extreme = -(2 ** (kind.bits - 1));
    const w = Float32Array.from({ length: 64 }, (_, i) =>
      i === 0 ? extreme : rng.int(2 * extreme, -2 * extreme - 2) / 2,
    );
    check(w, [1, 64, 64], kind, "ties");
  }
});

t("gives zeros, constants and the ends of the range what they are", () => {
  for (const kind of kinds.filter(({ search }) => search !== "absmean")) {
    const zeros = check(new Float32Array(16), [2, 8, 8], kind, "zeros");
    equalBits(zeros.scales, new Float32Array(2), `${nameOf(kind)}: scales of zeros`);
    equalBits(dequantize(zeros, 8, 8), new Float32Array(16), `${nameOf(kind)}: zeros`);
    for (const value of [1, -0.75, 3.4028234663852886e38, -3.4028234663852886e38, 2 ** -110, -(2 ** -100)]) {
      const w = new Float32Array(8).fill(value);
      const back = dequantize(check(w, [1, 8, 8], kind, `all ${value}`), 8, 8);
      ok(nmse(back, w) <= 1e-13, `${nameOf(kind)}: all ${value}: ${back[0]}`);
    }
    const ends = Float32Array.of(3.4028234663852886e38, -3.4028234663852886e38, 0, 1e38);
    const back = dequantize(check(ends, [1, 4, 4], kind, "both ends"), 4, 4);
    ok(back.every(Number.isFinite), `${nameOf(kind)}: both ends: ${back}`);
  }
});

t("keeps the extreme weight of a symmetric group exactly", () => {
  for (const bits of UNIFORM_BITS) {
    const w = rng.gaussians(128);
    const kind = { bits, symmetric: true, search: "minmax" } as const;
    const parts = check(w, [1, 128, 128], kind, "extreme");
    const at = w.indexOf(w.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a)));
    is(parts.codes[at], 0);
    is(dequantize(parts, 128, 128)[at], w[at]);
  }
});

t("represents 0 exactly when asymmetric", () => {
  for (const bits of UNIFORM_BITS) {
    const w = Float32Array.from(rng.gaussians(64), (v, i) => (i % 7 === 0 ? 0 : v + 3));
    for (const search of ["minmax", "mse"] as const) {
      const back = dequantize(check(w, [1, 64, 64], { bits, symmetric: false, search }, "with zeros"), 64, 64);
      for (let i = 0; i < 64; i += 7) is(back[i], 0);
    }
  }
});

t("the search by square error is never worse than min-max, and better on Gaussian rows", () => {
  for (const bits of UNIFORM_BITS) {
    for (const symmetric of [true, false]) {
      let better = 0;
      for (const size of [8, 32, 128, 1024]) {
        const w = rng.gaussians(size);
        const [plain, searched] = (["minmax", "mse"] as const).map((search) => {
          const parts = check(w, [1, size, size], { bits, symmetric, search }, `${size}`);
          return squareErrorOf(w, parts.codes, parts.scales[0] as number, parts.zeros[0] as number);
        }) as [number, number];
        ok(searched <= plain, `${bits} bits, ${size}: ${searched} > ${plain}`);
        if (searched < plain) better++;
      }
      // With 8 bits there is next to nothing to gain.
      ok(better > 0 || bits === 8, `${bits} bits: some are better`);
    }
  }
});

t("has errors of the expected size on Gaussian groups of 128", () => {
  // Samples of a thousand groups: at most 0.180, 0.0107, 4.14e-5 (min-max) and 0.137, 0.0094, 4.04e-5 (search).
  const w = rng.gaussians(128_000);
  const bounds = { minmax: { 2: 0.2, 4: 0.012, 8: 4.5e-5 }, mse: { 2: 0.145, 4: 0.0103, 8: 4.4e-5 } } as const;
  for (const search of ["minmax", "mse"] as const) {
    for (const bits of [2, 4, 8] as const) {
      const { codes, scales } = quantize(w, [1000, 128, 128], { bits, symmetric: true, search });
      const zeros = new Float32Array(1000).fill(2 ** (bits - 1));
      const error = nmse(dequantize({ codes, scales, zeros }, 128, 128), w);
      ok(error < bounds[search][bits], `${bits} bits ${search}: ${error}`);
    }
  }
});

t("absmean with 2 bits is BitNet's scale with a level more", () => {
  const w = rng.gaussians(100);
  const { codes, scales } = quantize(w, [1, 100, 100], { bits: 2, symmetric: true, search: "absmean" });
  let sum = 0;
  for (const v of w) sum += Math.abs(v);
  is(scales[0], Math.fround(sum / 100));
  ok(codes.every((code) => code <= 3) && codes.includes(0));
});

t("says how far it is, in order, and in steps that are not long", () => {
  const w = rng.gaussians(512 * 1024);
  const seen: number[] = [];
  const shape = { rows: 512, cols: 1024, groupSize: 128 };
  const options = { bits: 4, symmetric: true, search: "mse" } as const;
  runNow("f", uniformCodes("f", w, shape, options), { onProgress: (done) => seen.push(done) });
  ok(seen.length > 50, `${seen.length} reports`);
  ok(seen.every((done, i) => done >= 0 && done <= 1 && (i === 0 || done >= (seen[i - 1] as number))));
  is(seen.at(-1), 1);
});

t("runs in turns to the same result, and stops when asked to", async () => {
  const w = rng.gaussians(64 * 1024);
  const shape = { rows: 64, cols: 1024, groupSize: 64 };
  const options = { bits: 3, symmetric: false, search: "mse" } as const;
  const a = runNow("f", uniformCodes("f", w, shape, options));
  const b = await runAsync("f", uniformCodes("f", w, shape, options));
  equalBits(b.codes, a.codes, "codes");
  equalBits(b.scales, a.scales, "scales");
  const signal = AbortSignal.abort();
  await rejectsWith(runAsync("f", uniformCodes("f", w, shape, options), { signal }), DOMException, "abort");
});

t("leaves its input alone", () => {
  const w = rng.gaussians(64);
  const before = w.slice();
  for (const kind of kinds) quantize(w, [2, 32, 16], kind);
  equalBits(w, before, "w");
});

t("refuses NaN and Infinity, and says where", () => {
  for (const kind of kinds) {
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (const index of [0, 17, 99]) {
        const w = rng.gaussians(100);
        w[index] = bad;
        const message = new RegExp(`^f: w: expected finite.*got ${bad} at index ${index}$`);
        throwsWith(() => quantize(w, [10, 10, 8], kind), RangeError, message);
      }
    }
  }
});

t("refuses options that are wrong", () => {
  const w = rng.gaussians(100);
  const shape = [10, 10, 10];
  const good = { bits: 4, symmetric: true, search: "minmax" } as const;
  const using = (change: object): UniformCodesOptions => ({ ...good, ...change }) as UniformCodesOptions;
  for (const bits of [0, 1, 7, 9, 2.5, NaN]) {
    throwsWith(() => quantize(w, shape, using({ bits })), RangeError, `f: bits: expected `);
  }
  for (const bits of ["4", null, undefined]) {
    throwsWith(() => quantize(w, shape, using({ bits })), TypeError, "f: bits: expected ");
  }
  throwsWith(() => quantize(w, shape, using({ search: "best" })), RangeError, 'f: search: expected "minmax"');
  throwsWith(() => quantize(w, shape, using({ search: 1 })), TypeError, 'f: search: expected "minmax"');
  const absmean = using({ search: "absmean", symmetric: false });
  throwsWith(() => quantize(w, shape, absmean), RangeError, "f: search: expected ");
  throwsWith(() => quantize(w.subarray(1), shape, good), RangeError, "f: w: expected length 100 (rows 10 x cols 10)");
  const doubles = new Float64Array(100) as unknown as Float32Array;
  throwsWith(() => quantize(doubles, shape, good), TypeError, "f: w: expected a Float32Array");
});
