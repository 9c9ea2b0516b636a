// Grouped lattice vectors: packed against the oracle, with and without companding, and what the quantiser reaches.

import { existsSync, readFileSync } from "node:fs";
import { kernels } from "../../../src/kernels/registry.ts";
import { glvqQuantizer, gptq, hessianOf } from "../../../src/lattice.ts";
import { storedBytes } from "../../../src/matrix/stored.ts";
import { bytesFromHex, floatsFromHex } from "../../kernels/vectors.ts";
import { equalBits, is, nmse, nmseBelow, ok, rejectsWith, throwsWith } from "../../lib/assert.ts";
import { availableVariants, glvq, type Lowbit, type Matrix, uniform } from "../../lib/library.ts";
import { hostileWeights } from "../../lib/quantisers.ts";
import { hostileActivations, type Random, random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { gemvInt8 } from "../../reference/gemv.ts";
import {
  type GlvqTensors,
  glvqGroupScale,
  glvqInteger,
  glvqProject,
  glvqReal,
  glvqUniform,
  glvqWeights,
  groupsOf,
} from "../../reference/glvq.ts";
import { type GlvqVector, glvqVectorFile, makeGlvqVectors, vectorTensors } from "./vectors.ts";

const { instances } = await availableVariants();
const rng = random("glvq");
const { lb } = instances[0] as (typeof instances)[0];

function using<T>(matrix: Matrix, body: (matrix: Matrix) => T): T {
  try {
    return body(matrix);
  } finally {
    matrix.dispose();
  }
}

interface Shape {
  rows: number;
  cols: number;
  dimension: 8 | 16 | 32;
  groupSize: number;
}

/** Bases near a multiple of the identity, so that sums seldom saturate; sometimes far from it, so that they do. */
function randomTensors(shape: Shape, bits: 2 | 3 | 4, companded: boolean, rng: Random): GlvqTensors {
  const { rows, cols, dimension: d, groupSize } = shape;
  const groups = Math.ceil(cols / groupSize);
  const size = (companded ? 0.4 : 1) * (rng.int(0, 3) === 0 ? 4 : 1);
  const bases = Float32Array.from({ length: groups * d * d }, (_, i) => {
    const at = i % (d * d);
    return size * ((at % d === Math.floor(at / d) ? 1 : 0) + (0.6 / Math.sqrt(d)) * rng.gaussian() * rng.uniform());
  });
  const tensors: GlvqTensors = {
    ...{ rows, cols, dimension: d, bits, groupSize, bases },
    codes: Uint8Array.from({ length: rows * Math.ceil(cols / d) * d }, () => rng.int(0, 2 ** bits - 1)),
    scales: rng.gaussians(rows),
  };
  if (!companded) return tensors;
  const mu = Float32Array.from({ length: groups }, () => 10 + 245 * rng.uniform());
  return { ...tensors, mu, gains: rng.gaussians(groups) };
}

function product(w: ArrayLike<number>, x: Float32Array): Float64Array {
  const cols = x.length;
  return Float64Array.from({ length: w.length / cols }, (_, row) => {
    let sum = 0;
    for (let c = 0; c < cols; c++) sum += (w[row * cols + c] as number) * (x[c] as number);
    return sum;
  });
}

/** int8 y of companded weights: that of the integers, times the scale of the row. */
function compandedInt8(tensors: GlvqTensors, x: Float32Array): Float32Array {
  return gemvInt8(glvqWeights(tensors), x).map((y, row) => y * (tensors.scales[row] as number));
}

const SHAPES: readonly Shape[] = [
  { rows: 1, cols: 1, dimension: 8, groupSize: 128 },
  { rows: 1, cols: 8, dimension: 8, groupSize: 32 },
  { rows: 15, cols: 31, dimension: 16, groupSize: 32 },
  { rows: 16, cols: 32, dimension: 32, groupSize: 32 },
  { rows: 17, cols: 33, dimension: 32, groupSize: 32 },
  { rows: 63, cols: 127, dimension: 8, groupSize: 64 },
  { rows: 64, cols: 128, dimension: 16, groupSize: 128 },
  { rows: 65, cols: 257, dimension: 8, groupSize: 96 },
  { rows: 131, cols: 521, dimension: 8, groupSize: 128 },
  { rows: 67, cols: 389, dimension: 32, groupSize: 128 },
];

const t = suite("glvq");
for (const { variant, lb } of instances) {
  t(`${variant}: projected int8 is that of the uniform codes, bit for bit`, () => {
    for (const shape of SHAPES) {
      for (const bits of [2, 3, 4] as const) {
        const tensors = randomTensors(shape, bits, false, rng);
        const label = `${JSON.stringify(shape)} ${bits} bits`;
        using(glvq.pack(lb, tensors), (matrix) => {
          is(matrix.format, `glvq${bits}`);
          const { rows, cols } = shape;
          const x = rng.gaussians(9 * cols);
          const many = matrix.gemm(x, 9);
          for (let i = 0; i < 9; i++) {
            const token = x.subarray(i * cols, (i + 1) * cols);
            const y = matrix.gemv(token);
            if (i < 2) equalBits(y, gemvInt8(glvqUniform(tensors), glvqProject(tensors, token)), label);
            equalBits(many.subarray(i * rows, (i + 1) * rows), y, `${label}: gemm`);
          }
          nmseBelow(matrix.dequantize(), glvqReal(tensors), 1e-11, `${label}: dequantize`);
        });
      }
    }
  });

  t(`${variant}: companded int8 is that of the integers, bit for bit, by every kernel`, () => {
    for (const shape of SHAPES) {
      const tensors = randomTensors(shape, 2, true, rng);
      const { rows, cols } = shape;
      const x = rng.gaussians(9 * cols);
      const expected = compandedInt8(tensors, x.subarray(0, cols));
      const forced = kernels.filter((k) => k.format === "glvq" && k.activation === "int8");
      for (const kernel of [undefined, ...forced.map(({ name }) => name)]) {
        if (kernel?.endsWith("_i32") && variant === "simd") continue;
        const label = `${JSON.stringify(shape)} ${kernel}`;
        using(glvq.pack(lb, { ...tensors, ...(kernel && { kernel }) }), (matrix) => {
          is(matrix.format, "glvq2 mu");
          const many = matrix.gemm(x, 9);
          equalBits(many.slice(0, rows), expected, `${label}: gemm`);
          for (let i = 0; i < 9; i++) {
            const y = matrix.gemv(x.subarray(i * cols, (i + 1) * cols));
            if (i === 0) equalBits(y, expected, label);
            equalBits(many.subarray(i * rows, (i + 1) * rows), y, `${label}: token ${i}`);
          }
        });
      }
    }
  });

  t(`${variant}: float32 activations`, () => {
    for (const shape of SHAPES) {
      for (const companded of [false, true]) {
        const tensors = randomTensors(shape, 2, companded, rng);
        using(glvq.pack(lb, { ...tensors, activation: "f32" }), (matrix) => {
          const x = rng.gaussians(3 * shape.cols);
          const dense = matrix.dequantize();
          const y = matrix.gemm(x, 3);
          for (let i = 0; i < 3; i++) {
            const token = x.subarray(i * shape.cols, (i + 1) * shape.cols);
            const expected = product(dense, token);
            const sizes = product(dense.map(Math.abs), token.map(Math.abs));
            for (let row = 0; row < shape.rows; row++) {
              const error = Math.abs((y[i * shape.rows + row] as number) - (expected[row] as number));
              ok(error <= 2e-5 * (sizes[row] as number), `${JSON.stringify(shape)} ${companded} row ${row}: ${error}`);
            }
          }
        });
      }
    }
  });

  t(`${variant}: the largest sums, and x that is hostile`, () => {
    // One group of the longest size, every x at its bound and every weight the largest that a μ gives, 61 of 63.
    const cols = 65536;
    const bases = Float32Array.from({ length: 64 }, (_, i) => (i % 9 === 0 ? 1 : 0));
    for (const sign of [1, -1]) {
      const codes = new Uint8Array(cols).fill(sign > 0 ? 3 : 0);
      const tensors = { rows: 1, cols, groupSize: cols, codes, bases, mu: Float32Array.of(10) };
      using(glvq.pack(lb, tensors), (matrix) => {
        const x = new Float32Array(8 * cols).fill(127);
        const y = (sign * 61 * 127 * cols) / 64;
        is(matrix.gemv(x.subarray(0, cols))[0], Math.fround(y));
        ok(matrix.gemm(x, 8).every((value) => value === Math.fround(y)));
      });
    }
    const tensors = randomTensors({ rows: 33, cols: 200, dimension: 8, groupSize: 64 }, 2, true, rng);
    using(glvq.pack(lb, tensors), (matrix) => {
      for (const { name, x } of hostileActivations(200, rng))
        equalBits(matrix.gemv(x), compandedInt8(tensors, x), name);
    });
  });
}

t("companded weights are the integers of the tables, near the formula", () => {
  for (const shape of SHAPES) {
    const tensors = randomTensors(shape, 2, true, rng);
    using(glvq.pack(lb, tensors), (matrix) => {
      const dense = matrix.dequantize();
      const { rows, cols, groupSize } = shape;
      for (let i = 0; i < rows * cols; i++) {
        const [row, col] = [Math.floor(i / cols), i % cols];
        const gain = glvqGroupScale(tensors, Math.floor(col / groupSize));
        const inner = Math.fround(gain * glvqInteger(tensors, row, col));
        is(dense[i], Math.fround(inner * (tensors.scales[row] as number)), `${row}, ${col}`);
      }
    });
  }
});

t(
  "the tables are near the formula: within 1.5 % of the error of 2 bits on Gaussians, 2.5 and 3.5 % in 16 and 32 dimensions",
  () => {
    const [rows, cols] = [128, 256];
    const w = random("glvq tables", 1).gaussians(rows * cols);
    for (const [dimension, most] of [
      [8, 0.015],
      [16, 0.025],
      [32, 0.035],
    ] as const) {
      const codes = glvq.encode(lb, w, { rows, cols, dimension, mu: true });
      using(glvq.pack(lb, codes), (matrix) => {
        const dense = matrix.dequantize();
        const part = squares(dense, glvqReal(codes as GlvqTensors)) / squares(dense, w);
        ok(part < most, `d ${dimension}: ${part} of the error`);
      });
    }
  },
);

function squares(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += ((a[i] as number) - (b[i] as number)) ** 2;
  return sum;
}

/** Each weight depends on those before it: correlation ρ of neighbours. */
function correlated(rows: number, cols: number, rho: number): Float32Array {
  const w = random("glvq correlated", 1).gaussians(rows * cols);
  for (let i = 0; i < w.length; i++) {
    if (i % cols === 0) continue;
    w[i] = rho * (w[i - 1] as number) + Math.sqrt(1 - rho * rho) * (w[i] as number);
  }
  return w;
}

t("has the stated error on Gaussians, and beats uniform codes where weights are correlated", () => {
  const [rows, cols, groupSize] = [256, 256, 128];
  const gaussian = random("glvq gaussian", 1).gaussians(rows * cols);
  const related = correlated(rows, cols, 0.9);
  // bits, dimension: at most so much on Gaussians; times less than uniform with groups of as many columns, correlated
  for (const [bits, dimension, most, times] of [
    [2, 8, 0.119, 2.9],
    [2, 16, 0.115, 3.3],
    [2, 32, 0.106, 3.7],
    [3, 8, 0.038, 2.2],
    [4, 8, 0.0115, 1.9],
  ] as const) {
    const error = (w: Float32Array): number =>
      using(glvq.quantize(lb, w, { rows, cols, bits, dimension }), (matrix) => nmse(matrix.dequantize(), w));
    const found = error(gaussian);
    ok(found <= most && found > 0.8 * most, `${bits} bits, d ${dimension}: ${found} of Gaussians`);
    const plain = using(uniform.quantize(lb, related, { rows, cols, bits, groupSize, search: "mse" }), (matrix) =>
      nmse(matrix.dequantize(), related),
    );
    const factor = plain / error(related);
    ok(factor >= times, `${bits} bits, d ${dimension}: ${factor} times less than uniform`);
  }
  const companded = (mu: boolean | number): number =>
    using(glvq.quantize(lb, gaussian, { rows, cols, mu }), (matrix) => nmse(matrix.dequantize(), gaussian));
  ok(companded(true) < 0.15, `companded: ${companded(true)}`);
  ok(companded(10) < 0.13, `companded, μ 10: ${companded(10)}`);
});

t("companding serves heavy tails", () => {
  const [rows, cols] = [128, 256];
  const rng = random("glvq laplace", 1);
  const w = Float32Array.from({ length: rows * cols }, () => {
    const u = rng.uniform() - 0.5;
    return -Math.sign(u) * Math.log(1 - 2 * Math.abs(u) + 1e-12);
  });
  const error = (mu: boolean | number): number =>
    using(glvq.quantize(lb, w, { rows, cols, mu }), (matrix) => nmse(matrix.dequantize(), w));
  const [plain, companded] = [error(false), error(10)];
  ok(companded < 0.9 * plain, `${companded} companded, ${plain} without`);
});

t("takes hostile weights: finite, no worse than nothing", () => {
  for (const [rows, cols] of [
    [1, 1],
    [3, 40],
    [20, 130],
  ] as const) {
    for (const { name, w } of hostileWeights(rows * cols, rng)) {
      for (const mu of [false, true]) {
        const largest = w.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        let made: Matrix;
        try {
          made = glvq.quantize(lb, w, { rows, cols, groupSize: 64, mu, iterations: 2 });
        } catch (error) {
          // What stands for weights near the largest float32 may be more than that, which is refused.
          ok(largest > 1e38, `${name}, ${rows} x ${cols}, ${mu}: ${error}`);
          ok(
            error instanceof RangeError && /^glvq\.quantize: \w+: expected weights within float32/.test(error.message),
          );
          continue;
        }
        using(made, (matrix) => {
          const dense = matrix.dequantize();
          const bad = dense.findIndex((value) => !Number.isFinite(value));
          ok(bad < 0, `${name}, ${rows} x ${cols}, ${mu}: ${dense[bad]} at ${bad}`);
          if (largest === 0) ok(dense.every((value) => value === 0));
          else if (largest > 1e-36) ok(nmse(dense, w) <= 1, `${name}, ${rows} x ${cols}, ${mu}: ${nmse(dense, w)}`);
        });
      }
    }
  }
});

t("packs what encode found as quantize does, asynchronously too, with progress", async () => {
  const [rows, cols] = [20, 200];
  const w = rng.gaussians(rows * cols);
  const x = rng.gaussians(cols);
  for (const mu of [false, true, 40]) {
    const seen: number[] = [];
    const options = { rows, cols, mu, groupSize: 64, onProgress: (done: number) => seen.push(done) };
    const y = using(glvq.quantize(lb, w, options), (matrix) => matrix.gemv(x));
    is(seen.at(-1), 1);
    ok(seen.every((done, i) => done >= (seen[i - 1] ?? 0)));
    equalBits(
      using(glvq.pack(lb, glvq.encode(lb, w, options)), (matrix) => matrix.gemv(x)),
      y,
      "the same",
    );
    equalBits((await glvq.encodeAsync(lb, w, options)).codes, glvq.encode(lb, w, options).codes, "encodeAsync");
    equalBits(
      using(await glvq.quantizeAsync(lb, w, options), (matrix) => matrix.gemv(x)),
      y,
      "the same",
    );
  }
  const { used } = lb.memory;
  const signal = AbortSignal.abort(new Error("enough"));
  throwsWith(() => glvq.quantize(lb, w, { rows, cols, signal }), Error, "enough");
  await rejectsWith(glvq.quantizeAsync(lb, w, { rows, cols, signal }), Error, "enough");
  is(lb.memory.used, used);
});

t("a Hessian lowers the error of the product", () => {
  const [rows, cols, tokens] = [48, 100, 300];
  const w = rng.gaussians(rows * cols);
  const x = correlated(tokens, cols, 0.95);
  const hessian = hessianOf(x, cols);
  const loss = (dense: Float32Array): number => {
    let sum = 0;
    for (let i = 0; i < tokens; i++) {
      const token = x.subarray(i * cols, (i + 1) * cols);
      const exact = product(w, token);
      product(dense, token).forEach((y, row) => {
        sum += (y - (exact[row] as number)) ** 2;
      });
    }
    return sum;
  };
  for (const mu of [false, 10]) {
    const options = { rows, cols, groupSize: 64, mu };
    const plain = using(glvq.quantize(lb, w, options), (matrix) => loss(matrix.dequantize()));
    const fed = using(glvq.quantize(lb, w, { ...options, hessian }), (matrix) => loss(matrix.dequantize()));
    ok(fed < 0.8 * plain, `${fed} with the Hessian, ${plain} without`);
  }
});

t("glvqQuantizer holds what pack takes", () => {
  const [rows, cols, groupSize] = [7, 128, 64];
  const w = rng.gaussians(rows * cols);
  const identity = Float64Array.from({ length: cols * cols }, (_, i) => (i % (cols + 1) === 0 ? 1 : 0));
  for (const mu of [false, true]) {
    const found = glvq.encode(lb, w, { rows, cols, groupSize, mu });
    const quantizer = glvqQuantizer({ ...found, bits: 2, dimension: 8 });
    const { weights } = gptq(w, identity, quantizer, { rows, cols });
    using(glvq.pack(lb, { ...found, codes: quantizer.codes }), (matrix) => {
      nmseBelow(matrix.dequantize(), weights, 1e-11, "codes and weights");
    });
  }
});

t("golden vectors", () => {
  ok(existsSync(glvqVectorFile));
  const vectors = JSON.parse(readFileSync(glvqVectorFile, "utf8")) as GlvqVector[];
  is(JSON.stringify(makeGlvqVectors()), JSON.stringify(vectors));
  for (const vector of vectors) {
    for (const { lb } of instances) {
      using(glvq.pack(lb, vectorTensors(vector)), (matrix) => {
        equalBits(matrix.gemv(floatsFromHex(vector.x)), floatsFromHex(vector.int8), "int8");
        if (!vector.stored) return;
        const stored = storedBytes(matrix).subarray(0, vector.stored.length / 2);
        equalBits(stored, bytesFromHex(vector.stored), "stored");
      });
    }
  }
});

t("errors name what is wrong", () => {
  const [rows, cols] = [3, 72];
  const good = { ...randomTensors({ rows, cols, dimension: 8, groupSize: 32 }, 2, false, rng) };
  const { used } = lb.memory;
  const pack = (part: object) => () => glvq.pack(lb, { ...good, ...part });
  throwsWith(pack({ bits: 5 }), RangeError, "glvq.pack: bits: expected an integer from 2 to 4, got 5");
  throwsWith(pack({ dimension: 4 }), RangeError, "glvq.pack: dimension: expected 8, 16, 32, got 4");
  throwsWith(pack({ dimension: "8" }), TypeError, "glvq.pack: dimension: expected a number");
  throwsWith(pack({ groupSize: 40 }), RangeError, "glvq.pack: groupSize: expected a multiple of 32");
  throwsWith(pack({ activation: "lut8" }), RangeError, "glvq.pack: activation");
  throwsWith(pack({ codes: good.codes.subarray(1) }), RangeError, "glvq.pack: codes: expected length 216");
  throwsWith(pack({ codes: Array.from(good.codes) }), TypeError, "glvq.pack: codes: expected a Uint8Array");
  throwsWith(pack({ codes: good.codes.map((c, i) => (i === 9 ? 4 : c)) }), RangeError, "0 to 3, got 4 at index 9");
  throwsWith(pack({ bases: good.bases.subarray(1) }), RangeError, "glvq.pack: bases: expected length 192");
  throwsWith(pack({ bases: good.bases.map((g, i) => (i === 5 ? Number.NaN : g)) }), RangeError, "NaN at index 5");
  const singular = good.bases.map((g, i) => (i >= 64 && i < 72 ? (good.bases[i + 8] as number) : g));
  throwsWith(pack({ bases: singular }), RangeError, "glvq.pack: bases: group 1: expected an invertible matrix");
  const tiny = good.bases.map((g, i) => (i >= 128 && i < 136 ? 1e-8 * g : g));
  throwsWith(pack({ bases: tiny }), RangeError, "glvq.pack: bases: group 2: expected an invertible matrix");
  throwsWith(pack({ scales: new Float32Array(2) }), RangeError, "glvq.pack: scales: expected length 1 or 3");
  throwsWith(pack({ gains: new Float32Array(1) }), RangeError, "glvq.pack: gains: expected none without mu");
  throwsWith(pack({ mu: Float32Array.of(9) }), RangeError, "glvq.pack: mu: expected 10 to 255, got 9 at index 0");
  throwsWith(pack({ mu: Float32Array.of(20, 20) }), RangeError, "glvq.pack: mu: expected length 1 or 3");
  throwsWith(pack({ mu: Float32Array.of(20), bits: 3 }), RangeError, "glvq.pack: bits: expected 2 with mu, got 3");
  throwsWith(pack({ mu: Float32Array.of(20), kernel: "gemv" }), RangeError, "glvq.pack: kernel");
  const w = new Float32Array(rows * cols);
  const quantize = (part: object) => () => glvq.quantize(lb as Lowbit, w, { rows, cols, ...part });
  throwsWith(quantize({ mu: 5 }), RangeError, "glvq.quantize: mu: expected 10 to 255, got 5");
  throwsWith(quantize({ mu: "yes" }), TypeError, "glvq.quantize: mu: expected a boolean or a number");
  throwsWith(quantize({ iterations: -1 }), RangeError, "glvq.quantize: iterations");
  throwsWith(quantize({ hessian: new Float32Array(5) }), RangeError, "glvq.quantize: hessian: expected length 5184");
  throwsWith(quantize({ rows: 4 }), RangeError, "glvq.quantize: w: expected length 288");
  w[7] = Number.POSITIVE_INFINITY;
  throwsWith(quantize({}), RangeError, "Infinity at index 7");
  is(lb.memory.used, used);
});

t("bits of a weight: z, a basis a group, a scale a row", () => {
  const [rows, cols] = [1024, 1024];
  const tensors = randomTensors({ rows, cols, dimension: 8, groupSize: 128 }, 2, false, rng);
  using(glvq.pack(lb, tensors), (matrix) => {
    is(matrix.byteLength, (rows * cols) / 4 + 8 * rows + 8 * 64 * 4);
    is(groupsOf(tensors), 8);
  });
  const companded = randomTensors({ rows, cols, dimension: 8, groupSize: 128 }, 2, true, rng);
  using(glvq.pack(lb, companded), (matrix) =>
    is(matrix.byteLength, (rows * cols) / 4 + 4 * rows + 8 * (256 + 544) + 16),
  );
});
