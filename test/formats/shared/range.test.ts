// The ends of float32, sentence by sentence of docs/numerics.md: what is refused, what is infinite, and what is not.
//
// Cases name their formats.

import { nmseBelow, ok, throwsWith } from "../../lib/assert.ts";
import {
  type Activation,
  bcq,
  bitplane,
  codebook,
  e8p,
  everyPair,
  type FormatName,
  fairy2i,
  init,
  type Lowbit,
  lift,
  type Matrix,
  minifloat,
  onebit,
  ptqtp,
  pvq,
  uniform,
} from "../../lib/library.ts";
import { hostileWeights } from "../../lib/quantisers.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import type { TestFormat } from "../../lib/test-format.ts";
import { gemvExact, termsOf } from "../../reference/weights.ts";
import { testFormats } from "../index.ts";
import { CASES, COLS, dequantised, nameOf, ROWS } from "./quantise-cases.ts";

const lb: Lowbit = await init({ variant: "simd", threads: 1 });
const rng = random("range");
const FLOAT32_MAX = (2 - 2 ** -23) * 2 ** 127;

const formatOf = (name: FormatName): TestFormat => (testFormats as unknown as Record<FormatName, TestFormat>)[name];

/** Formats whose f32 is not the digits of int8: sign planes and numbers of 8 bits. */
const isFloat = (format: FormatName): boolean => /^(binary|bcq|minifloat_)/.test(format);

const t = suite("x");

for (const { format, activation } of everyPair) {
  t(`must be finite: NaN and Infinity are refused with their index: ${format} ${activation}`, () => {
    const [rows, cols] = [16, 128];
    const it = formatOf(format);
    const matrix = it.pack(lb, it.random(rows, cols, rng), { rows, cols, groupSize: cols, activation });
    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      const tokens = rng.gaussians(2 * cols);
      tokens[cols + 7] = bad;
      throwsWith(() => matrix.gemv(tokens.slice(cols)), RangeError, `got ${bad} at index 7`);
      throwsWith(() => matrix.gemm(tokens, 2), RangeError, `got ${bad} at index ${cols + 7}`);
    }
    matrix.dispose();
  });
}

t("whose rotation leaves float32 is refused", () => {
  const [rows, cols] = [16, 128];
  const w = rng.gaussians(rows * cols);
  const matrices: Matrix[] = [
    lift.quantize(lb, w, { rows, cols, bits: 2, beam: 4 }),
    e8p.quantize(lb, w, { rows, cols }),
    pvq.quantize(lb, w, { rows, cols }),
  ];
  // Every element of some rotation of these is √128 as large, whatever its signs: so one of many is.
  for (const matrix of matrices) {
    let refused = 0;
    for (let i = 0; i < 200; i++) {
      const x = Float32Array.from({ length: cols }, () => (rng.bits() & 1 ? 3.4e38 : -3.4e38));
      try {
        ok(
          matrix.gemv(x).every((v) => !Number.isNaN(v)),
          `${matrix.format}: NaN`,
        );
      } catch (error) {
        ok(error instanceof RangeError && /x: expected .*float32|x: expected/.test(error.message), String(error));
        refused++;
      }
    }
    ok(refused > 0, `${matrix.format}: none of 200 was refused`);
    matrix.dispose();
  }
});

for (const { format, activation } of everyPair) {
  if (activation !== "f32") continue;
  t(`that is denormal or huge keeps its accuracy with f32: ${format} ${activation}`, () => {
    const it = formatOf(format);
    const [rows, cols] = [33, 264];
    const codes = Int32Array.from({ length: rows * cols }, () => it.levels[rng.int(0, it.levels.length - 1)] as number);
    for (const power of [-140, -126, 100, 124]) {
      // Whole numbers times 2^power, so that denormal x have all their bits; scales that keep y in range.
      const x = Float32Array.from({ length: cols }, () => rng.int(-500, 500) * 2 ** (power - 9));
      const factor = power < 0 ? 2 ** 100 : 2 ** -40;
      const most = Math.max(...it.levels.map(Math.abs));
      const scales = Float32Array.from({ length: rows }, () => ((1 + rng.uniform()) / most) * factor);
      const weights = it.of(rows, cols, codes, scales);
      const matrix = it.pack(lb, weights, { rows, cols, groupSize: cols, activation });
      nmseBelow(matrix.gemv(x), gemvExact(weights, x), 1e-10, `${format}: x about 2^${power}`);
      matrix.dispose();
    }
  });
}

const u = suite("finite weights");

for (const { format, activation } of everyPair) {
  u(
    `scales of which a weight leaves float32 are refused with their index, and the weight with row and column: ${format} ${activation}`,
    () => {
      const it = formatOf(format);
      const [rows, cols] = [16, 128];
      const level = Math.max(...it.levels);
      if (level === 1 && !format.startsWith("bcq")) return; // a weight is a scale, and those are finite
      const scales = new Float32Array(rows).fill(1 / level);
      scales[3] = Math.min(1, 2 / level) * 3.4e38;
      const weights = it.of(rows, cols, new Int32Array(rows * cols).fill(level), scales);
      try {
        it.pack(lb, weights, { rows, cols, groupSize: cols, activation }).dispose();
        // e4m3 and others whose codes near `level` are small: then no weight is out of range.
        ok(
          weights.codes.every((code) => Math.abs(code * (weights.scales[3] as number)) <= FLOAT32_MAX),
          `${format} ${activation} was not refused`,
        );
      } catch (error) {
        ok(error instanceof RangeError, `${format}: ${error}`);
        // What this scale is made of, for a format whose integers are multiples of its entries, is out of range itself.
        if (/finite numbers, got Infinity at index 3$/.test((error as Error).message)) return;
        ok(
          /(Infinity|NaN) at row 3, column \d+, of the scale .* at index \d+$/.test((error as Error).message),
          String(error),
        );
      }
    },
  );
}

u("zeros, tables, alphas and factors whose products leave float32 are refused", () => {
  const shape = { rows: 2, cols: 8 };
  const codes = new Uint8Array(16).fill(3);
  const big = Float32Array.of(3e38);
  const makes: Readonly<Record<string, () => { dequantize(): Float32Array }>> = {
    zeros: () => uniform.pack(lb, { ...shape, bits: 2, codes, scales: big, zeros: Float32Array.of(100) }),
    "zeros and codes": () =>
      uniform.pack(lb, { ...shape, bits: 2, codes: new Uint8Array(16), scales: big, zeros: Float32Array.of(2) }),
    "bitplane zeros": () =>
      bitplane.pack(lb, {
        ...shape,
        ...{ bits: 2, activationBits: 2, codes, scales: big, zeros: Float32Array.of(-1) },
        encoding: "unsigned",
      }),
    tables: () =>
      codebook.pack(lb, {
        ...shape,
        bits: 2,
        codes,
        tables: Float32Array.of(0, 0.3, 1, 3e38),
        scales: Float32Array.of(2),
      }),
    "tables a row": () =>
      codebook.pack(lb, {
        ...shape,
        bits: 2,
        codes,
        tables: Float32Array.of(0, 0.3, 1, 3e38, 0, 0.3, 1, 3e38),
        scales: Float32Array.of(2, 2),
      }),
    alphas: () =>
      bcq.pack(lb, { ...shape, bits: 2, planes: new Uint8Array(4).fill(255), alphas: Float32Array.of(3e38, 3e38) }),
    offsets: () =>
      bcq.pack(lb, {
        ...shape,
        ...{ bits: 1, planes: new Uint8Array(2).fill(255), alphas: big },
        offsets: Float32Array.of(3e38),
      }),
    "trit alphas": () =>
      ptqtp.pack(lb, {
        ...shape,
        trits: [new Int8Array(16).fill(1), new Int8Array(16).fill(1)],
        alphas: [big, big],
      }),
    factors: () =>
      onebit.pack(lb, {
        ...shape,
        packed: new Uint8Array(2),
        input: new Float32Array(8).fill(1e20),
        output: new Float32Array(2).fill(1e20),
      }),
    stages: () => {
      const plane = { codes: new Uint8Array(4), scales: { re: big, im: big } };
      return fairy2i.pack(lb, { rows: 2, cols: 8, stages: [{ u: plane, w: plane }] });
    },
    "minifloat bias": () =>
      minifloat.pack(lb, {
        ...shape,
        type: "e2m1",
        codes: new Uint8Array(16).fill(7),
        scales: Float32Array.of(1),
        bias: -150,
      }),
    minifloat: () => minifloat.pack(lb, { ...shape, type: "e5m2", codes: new Uint8Array(16).fill(0x7b), scales: big }),
  };
  for (const large of [
    { colScale: new Float32Array(8).fill(3e38) },
    { lowRank: { a: new Float32Array(2).fill(1e20), b: new Float32Array(8).fill(-3e38) } },
  ]) {
    const matrix = uniform.pack(lb, { ...shape, bits: 2, codes, scales: Float32Array.of(2) });
    throwsWith(() => matrix.with(large), RangeError, "expected weights within float32, got");
    ok(
      matrix.dequantize().every((value) => value === 2),
      "a refused branch leaves the matrix as it was",
    );
    matrix.dispose();
  }
  for (const [name, make] of Object.entries(makes)) {
    let values: Float32Array;
    try {
      values = make().dequantize();
    } catch (error) {
      ok(error instanceof RangeError && /float32|finite/.test(error.message), `${name}: ${error}`);
      continue;
    }
    ok(false, `${name} was taken: ${values.subarray(0, 3)}`);
  }
});

u("quantisers make none that is infinite or NaN", () => {
  for (const one of CASES) {
    const rows = one.rows ?? ROWS;
    if (one.format === "trellis") continue; // it takes a second each: below
    for (const { name, w } of hostileWeights(rows * COLS, rng)) {
      let values: Float32Array;
      try {
        values = dequantised(lb, one, one.format === "complex" ? [w, w.slice().reverse()] : [w]);
      } catch (error) {
        // Sums of weights that a format is made of, as rotated ones, may leave float32.
        ok(error instanceof RangeError && /float32|rotated/.test(error.message), `${nameOf(one)}, ${name}: ${error}`);
        ok(/3e38|largest/.test(name), `${nameOf(one)}, ${name}: ${error}`);
        continue;
      }
      const bad = values.findIndex((v) => !Number.isFinite(v));
      ok(bad < 0, `${nameOf(one)}, ${name}: ${values[bad]} at ${bad}`);
    }
  }
});

const v = suite("sums that leave float32");

/** How many times earlier than |scale| · Σ |x| / max |x| sums of ones leave float32. */
function early(format: FormatName, activation: Activation): number {
  // Of 8 columns; ternary weights are two planes of halves.
  if (activation === "lut8") return ((format === "ternary" ? 2 : 1) * 2047 * 126) / 8;
  return activation === "f32" && isFloat(format) ? 1 : 127;
}

for (const { format, activation } of everyPair) {
  v(`are infinite, from where the page says, and no earlier: ${format} ${activation}`, () => {
    const it = formatOf(format);
    const [rows, cols] = [16, 64];
    const level = Math.max(...it.levels);
    const codes = new Int32Array(rows * cols).fill(level);
    const ones = it.of(rows, cols, codes, new Float32Array(rows).fill(1));
    const x = new Float32Array(cols).fill(1);
    // Σ |s c|, which bounds all sums on the way, and |Σ s c|, which is the last before offsets are added.
    let [least, most] = [Infinity, 0];
    for (let row = 0; row < rows; row++) {
      let [all, last] = [0, 0];
      for (const term of termsOf(ones)) {
        for (let col = 0; col < cols; col++) {
          const value = (term.codes[row * cols + col] as number) * (term.scales[row] as number);
          all += Math.abs(value);
          last += value;
        }
      }
      all += cols * Math.abs(ones.offsets?.[row] ?? 0);
      most = Math.max(most, all);
      least = Math.min(least, Math.abs(last));
    }
    const run = (scale: number): Float32Array | undefined => {
      const weights = it.of(rows, cols, codes, new Float32Array(rows).fill(scale));
      let matrix: Matrix;
      try {
        matrix = it.pack(lb, weights, { rows, cols, groupSize: cols, activation });
      } catch (error) {
        // Its weights are out of range already.
        ok(error instanceof RangeError && /float32/.test(error.message), `${format}: ${error}`);
        return undefined;
      }
      const y = matrix.gemv(x);
      const tokens = matrix.gemm(new Float32Array(20 * cols).fill(1), 20);
      matrix.dispose();
      for (let i = 0; i < tokens.length; i++) ok(Object.is(tokens[i], y[i % rows]), `${format} ${activation}: gemm`);
      return y;
    };
    const below = run((FLOAT32_MAX * (1 - 2 ** -5)) / early(format, activation) / most);
    ok(below === undefined || below.every(Number.isFinite), `${format} ${activation}: ${below?.[0]} below`);
    const above = least === 0 ? undefined : run((FLOAT32_MAX * (1 + 2 ** -5)) / early(format, activation) / least);
    ok(above === undefined || above.every((y) => Math.abs(y) === Infinity), `${format} ${activation}: ${above?.[0]}`);
  });
}

for (const { format, activation } of everyPair) {
  if (!formatOf(format).grouped) continue;
  v(`of both signs are NaN, and never a number: ${format} ${activation}`, () => {
    const it = formatOf(format);
    const [rows, cols, groupSize] = [16, 512, 128];
    const level = Math.max(...it.levels);
    const scales = Float32Array.from({ length: rows * 4 }, (_, i) => ((i & 1 ? -1 : 1) * 3.3e38) / level / 4);
    const weights = it.of(rows, cols, new Int32Array(rows * cols).fill(level), scales, groupSize);
    const matrix = it.pack(lb, weights, { rows, cols, groupSize, activation });
    const y = matrix.gemv(new Float32Array(cols).fill(1));
    matrix.dispose();
    ok(
      y.every((value) => !Number.isFinite(value)),
      `${format} ${activation}: ${y[0]}`,
    );
  });
}

v("bits: a of one unsigned bit is infinite where high - low passes 3.4e38", () => {
  const w = rng.gaussians(8 * 64);
  const options = { rows: 8, cols: 64, bits: 2, activationBits: 1, activationEncoding: "unsigned" } as const;
  const matrix = bitplane.quantize(lb, w, options);
  const x = Float32Array.from({ length: 64 }, (_, i) => (i & 1 ? -3e38 : 3e38));
  ok(matrix.gemv(x).every((y) => !Number.isFinite(y)));
  x.fill(0).set([1.5e38, -1.5e38]);
  ok(matrix.gemv(x).every(Number.isFinite));
  matrix.dispose();
});
