// Trit planes (PTQTP) and the start values of OneBit.
import { type SignFit, signPlane } from "../../../src/formats/onebit/quantize.ts";
import { type TritFit, tritPlanes } from "../../../src/formats/ptqtp/quantize.ts";
import { equalBits, is, ok, throwsWith } from "../../lib/assert.ts";
import { finish, hostileWeights, sum } from "../../lib/quantisers.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { packSigns, quantizeBinary } from "../../reference/binary.ts";
import { largestSingularValue, nearestTritDistance } from "../../reference/trits.ts";

const rng = random("trits-onebit");

function trits(w: Float32Array, rows: number, groupSize: number, iterations?: number): TritFit {
  const shape = { rows, cols: w.length / rows, groupSize };
  return finish(tritPlanes("f", w, shape, iterations === undefined ? {} : { iterations }));
}

/** Trits are optimal, alphas in order, levels finite, errors true. */
function check(w: Float32Array, rows: number, groupSize: number, fit: TritFit, label: string): void {
  const cols = w.length / rows;
  const groups = Math.ceil(cols / groupSize);
  const [large, small] = fit.alphas;
  const errors = new Float64Array(rows * groups);
  is(fit.errors.length, rows * groups, label);
  is(large.length, rows * groups, label);
  is(small.length, rows * groups, label);
  large.forEach((alpha, i) => {
    ok(alpha >= (small[i] as number) && (small[i] as number) >= 0, `${label}: alphas ${alpha}, ${small[i]}`);
    ok(Math.fround(alpha + (small[i] as number)) < Infinity, `${label}: alphas ${alpha}, ${small[i]}`);
  });
  w.forEach((value, i) => {
    const group = Math.floor(i / cols) * groups + Math.floor((i % cols) / groupSize);
    const [a, b] = [large[group] as number, small[group] as number];
    const [t1, t2] = [fit.trits[0][i] as number, fit.trits[1][i] as number];
    ok(Math.abs(t1) <= 1 && Math.abs(t2) <= 1, `${label}: trits ${t1}, ${t2}`);
    const distance = Math.abs(value - (a * t1 + b * t2));
    is(distance, nearestTritDistance(value, a, b), `${label}: ${value} with alphas ${a}, ${b}`);
    errors[group] = (errors[group] as number) + distance * distance;
  });
  errors.forEach((error, i) => {
    ok(
      Math.abs(error - (fit.errors[i] as number)) <= 1e-10 * error,
      `${label}: error ${fit.errors[i]}, found ${error}`,
    );
  });
}

const t = suite("tritPlanes");

t("gives each weight the nearest of 9 levels, in any shape", () => {
  for (const cols of [1, 7, 8, 9, 127, 128, 129, 300]) {
    for (const groupSize of [8, 24, 128, 1000]) {
      const w = rng.gaussians(3 * cols);
      check(w, 3, groupSize, trits(w, 3, groupSize), `3 x ${cols} group ${groupSize}`);
    }
  }
});

t("never lets an error rise from one iteration to the next", () => {
  const w = Float32Array.from({ length: 5 * 400 }, () => rng.gaussian() ** 3);
  let last: Float64Array | undefined;
  for (const iterations of [0, 1, 2, 3, 4, 5, 10, 50, 1000]) {
    const fit = trits(w, 5, 128, iterations);
    fit.errors.forEach((error, i) => {
      ok(last === undefined || error <= (last[i] as number), `group ${i}: ${error} at iteration ${iterations}`);
    });
    last = fit.errors;
  }
});

t("ends where alphas solve the least squares", () => {
  const w = rng.gaussians(8 * 128);
  const { trits: planes, alphas } = trits(w, 8, 128, 1000);
  for (let row = 0; row < 8; row++) {
    for (const plane of planes) {
      let product = 0;
      for (let i = row * 128; i < (row + 1) * 128; i++) {
        const level =
          (alphas[0][row] as number) * (planes[0][i] as number) + (alphas[1][row] as number) * (planes[1][i] as number);
        product += ((w[i] as number) - level) * (plane[i] as number);
      }
      ok(Math.abs(product) / 128 < 4e-7, `row ${row}: mean product ${product / 128}`);
    }
  }
});

t("stands hostile weights", () => {
  for (const length of [1, 9, 130]) {
    for (const { name, w } of hostileWeights(length, rng)) {
      const fit = trits(w, 1, 64);
      check(w, 1, 64, fit, `${name} (${length})`);
      if (/zero|zeros of/.test(name) && !/nonzero/.test(name)) {
        is(sum(fit.errors), 0, name);
        ok(
          fit.trits.every((plane) => plane.every((trit) => trit === 0)),
          name,
        );
      }
      if (/^all equal$/.test(name)) ok(sum(fit.errors) <= length * 1e-15, `${name}: ${sum(fit.errors)}`);
    }
  }
});

t("has an NMSE of 0.0305 on long Gaussian rows", () => {
  // The best quantiser of 9 levels has 0.0279 (Max 1960); here two parameters make 4 positive levels.
  const w = rng.gaussians(16 * 4096);
  const found = sum(trits(w, 16, 4096).errors) / sum(w.map((value) => value * value));
  ok(found > 0.0285 && found < 0.032, `NMSE ${found}`);
});

t("is deterministic, leaves its input alone, refuses NaN", () => {
  const w = rng.gaussians(500);
  const before = w.slice();
  const first = trits(w, 5, 64);
  const second = trits(w, 5, 64);
  equalBits(first.trits[0], second.trits[0], "trits");
  equalBits(first.alphas[1], second.alphas[1], "alphas");
  equalBits(w, before, "w");
  w[5] = NaN;
  throwsWith(() => trits(w, 5, 64), RangeError, "f: w: expected finite weights, got NaN at index 5");
  throwsWith(() => trits(before, 5, 64, -1), RangeError, "f: iterations: ");
});

const s = suite("signPlane");

function signs(w: Float32Array, rows: number, iterations?: number): SignFit {
  const shape = { rows, cols: w.length / rows };
  return finish(signPlane("f", w, shape, iterations === undefined ? {} : { iterations }));
}

/** Σ (|w| - output · input)^2 with the float32 vectors. */
function rankOneError(w: Float32Array, { input, output }: SignFit): number {
  return sum(
    Float64Array.from(w, (value, i) => {
      const row = Math.floor(i / input.length);
      return (Math.abs(value) - (output[row] as number) * (input[i % input.length] as number)) ** 2;
    }),
  );
}

s("is the signs and the best matrix of rank 1", () => {
  for (const [rows, cols] of [
    [1, 1],
    [1, 9],
    [7, 1],
    [5, 8],
    [30, 129],
  ] as const) {
    const w = rng.gaussians(rows * cols);
    const fit = signs(w, rows, 300);
    equalBits(fit.signs, packSigns(quantizeBinary(w, rows, cols).codes, rows, cols), "signs");
    ok(
      [...fit.input, ...fit.output].every((value) => value >= 0),
      "no negative factor",
    );
    const magnitudes = w.map(Math.abs);
    const power = sum(magnitudes.map((value) => value * value));
    const least = power - largestSingularValue(magnitudes, rows, cols) ** 2;
    const error = rankOneError(w, fit);
    ok(error <= least + 1e-6 * power, `${rows} x ${cols}: error ${error}, least ${least}`);
    ok(Math.abs(error - fit.error) <= 1e-6 * power, `${rows} x ${cols}: error ${fit.error}, found ${error}`);
  }
});

s("never lets its error rise, and finds a product again", () => {
  const w = Float32Array.from({ length: 40 * 50 }, () => rng.gaussian() ** 3);
  let last = Infinity;
  for (const iterations of [1, 2, 3, 5, 10, 100]) {
    const { error } = signs(w, 40, iterations);
    ok(error <= last * (1 + 1e-12), `${error} after ${iterations}, before ${last}`);
    last = error;
  }
  const a = rng.uniforms(20).map(Math.abs);
  const b = rng.uniforms(30).map(Math.abs);
  const product = Float32Array.from({ length: 600 }, (_, i) => {
    return (rng.bits() & 1 ? 1 : -1) * (a[Math.floor(i / 30)] as number) * (b[i % 30] as number);
  });
  ok(rankOneError(product, signs(product, 20)) <= 1e-12 * sum(product.map((v) => v * v)), "product");
});

s("stands hostile weights", () => {
  for (const rows of [1, 5]) {
    for (const { name, w } of hostileWeights(65, rng)) {
      const fit = signs(w, rows);
      ok([...fit.input, ...fit.output, fit.error].every(Number.isFinite), name);
      const power = sum(Float64Array.from(w, (value) => value * value));
      ok(rankOneError(w, fit) <= power * (1 + 1e-6), `${name}: more error than 0 has`);
      if (rows === 1) ok(rankOneError(w, fit) <= 1e-12 * power, `${name}: one row is its own product`);
    }
  }
});

s("refuses NaN and wrong options", () => {
  const w = rng.gaussians(20);
  throwsWith(() => signs(w, 2, 0), RangeError, "f: iterations: expected an integer from 1 to 1000, got 0");
  w[5] = NaN;
  throwsWith(() => signs(w, 2), RangeError, "f: w: expected finite weights, got NaN at index 5");
});
