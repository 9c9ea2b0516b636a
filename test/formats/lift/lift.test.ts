// Lifted weights: the sign search, the shipped projections, quantize, fit, and published tensors against the oracle.
import { type ProjectionName, projectionData, shippedProjection } from "../../../src/formats/lift/projections.ts";
import { signSearch } from "../../../src/formats/lift/signs.ts";
import { hessianOf } from "../../../src/lattice.ts";
import { equalBits, is, match, nmse, nmseBelow, ok, rejectsWith, throwsWith } from "../../lib/assert.ts";
import { activations, availableVariants, type Lowbit, lift, type Matrix } from "../../lib/library.ts";
import { hostileWeights } from "../../lib/quantisers.ts";
import { hostileActivations, type Random, random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { packSigns } from "../../reference/binary.ts";
import { gemvInt8, gemvLut8 } from "../../reference/gemv.ts";
import { type LiftTensors, liftDense, liftProject, nearestSignsError } from "../../reference/lift.ts";
import { makeWeights } from "../../reference/weights.ts";

const t = suite("lift");
const { instances } = await availableVariants();
const rng = random("lift");
const { lb } = instances[0] as (typeof instances)[0];

const names = Object.keys(projectionData) as ProjectionName[];

/** Error a weight of unit Gaussians of the published projections. */
const KNOWN: Partial<Record<ProjectionName, number>> = {
  "4to2": 0.111,
  "5to2": 0.0627,
  "6to2": 0.0342,
  "8to3": 0.0475,
  "16to8": 0.0912,
  "20to8": 0.048,
  "24to8": 0.023,
  "24to10": 0.053,
  "24to12": 0.087,
  "32to16": 0.087,
};

function product(w: ArrayLike<number>, x: ArrayLike<number>): Float64Array {
  return Float64Array.from({ length: w.length / x.length }, (_, row) => {
    let sum = 0;
    for (let c = 0; c < x.length; c++) sum += (w[row * x.length + c] as number) * (x[c] as number);
    return sum;
  });
}

function using<T>(matrix: Matrix, body: (matrix: Matrix) => T): T {
  try {
    return body(matrix);
  } finally {
    matrix.dispose();
  }
}

t("a column of zeros is zeros, however large the others are", () => {
  const [rows, cols] = [16, 64];
  for (const size of [1, 2 ** -60, 2 ** -149]) {
    const w = random("lift zeros", 1)
      .gaussians(rows * cols)
      .map((v, i) => (i % cols === 5 ? 0 : Math.sign(v) * Math.ceil(Math.abs(v)) * size));
    const values = using(lift.quantize(lb, w, { rows, cols, bits: 2, beam: 16 }), (m) => m.dequantize());
    ok(
      values.every((v, i) => (i % cols === 5 ? v === 0 : Math.abs(v) <= 40 * size)),
      `${size}: ${values.subarray(0, 8)}`,
    );
  }
});

t("a Hessian lessens the error of the product, with any rotation and padding", () => {
  const rng = random("lift hessian", 3);
  for (const [cols, whitening, bits] of [
    [128, "hadamard", 2],
    [100, "hadamard", 2.4],
    [130, "none", 2],
  ] as const) {
    const rows = 40;
    const w = rng.gaussians(rows * cols);
    const x = new Float32Array(384 * cols);
    for (let i = 0; i < x.length; i++) x[i] = (i % cols === 0 ? 0 : 0.9 * (x[i - 1] as number)) + rng.gaussian();
    const hessian = hessianOf(x, cols);
    const errorOf = (matrix: Matrix): number =>
      using(matrix, (m) => {
        const d = m.dequantize().map((value, i) => value - (w[i] as number));
        let sum = 0;
        for (let token = 0; token < 64; token++) {
          for (const value of product(d, x.subarray(token * cols, (token + 1) * cols))) sum += value * value;
        }
        return sum;
      });
    const options = { rows, cols, bits, whitening, beam: 16 };
    const ratio = errorOf(lift.quantize(lb, w, { ...options, hessian })) / errorOf(lift.quantize(lb, w, options));
    ok(ratio < 0.85, `${cols} ${whitening}: ${ratio}`);
  }
  const options = { rows: 2, cols: 8, bits: 2 };
  const w = rng.gaussians(16);
  throwsWith(
    () => lift.quantize(lb, w, { ...options, hessian: new Float32Array(5) }),
    RangeError,
    "lift.quantize: hessian: expected length 64 (cols 8 x 8), got 5",
  );
  // Rows of zeros stay zeros.
  const zeros = lift.quantize(lb, new Float32Array(16), {
    ...options,
    hessian: Float32Array.from({ length: 64 }, (_, i) => (i % 9 ? 0 : 1)),
  });
  using(zeros, (m) => ok(m.dequantize().every((value) => value === 0)));
});

t("finds the nearest signs where the beam holds all of them, and nearly always where it does not", () => {
  for (const name of ["4to2", "5to2", "6to2"] as const) {
    const projection = shippedProjection(name);
    const search = signSearch(projection);
    const signs = new Int8Array(projection.lifted);
    for (let n = 0; n < 100; n++) {
      const w = rng.gaussians(2);
      const found = search.nearest(w, 0, signs);
      ok(Math.abs(found - nearestSignsError(projection.matrix, w)) <= 1e-9, `${name}: ${found}`);
    }
  }
  const projection = shippedProjection("12to8");
  const search = signSearch(projection);
  const signs = new Int8Array(12);
  let [found, best] = [0, 0];
  for (let n = 0; n < 60; n++) {
    const w = rng.gaussians(8);
    const error = search.nearest(w, 0, signs);
    const least = nearestSignsError(projection.matrix, w);
    ok(error >= least - 1e-9, `${error} is less than ${least}`);
    found += error;
    best += least;
  }
  ok(found <= 1.005 * best, `${found / best} of the least error`);
});

t("returns the error of the signs that it found, up to 64 of them", () => {
  for (const [lifted, dims] of [
    [1, 1],
    [2, 5],
    [33, 16],
    [64, 32],
  ] as const) {
    const matrix = rng.gaussians(lifted * dims);
    const search = signSearch({ lifted, dims, matrix }, 8);
    const signs = new Int8Array(lifted);
    const w = rng.gaussians(dims);
    const error = search.nearest(w, 0, signs);
    ok(signs.every((sign) => sign === 1 || sign === -1));
    let sum = 0;
    for (let i = 0; i < dims; i++) {
      let rest = w[i] as number;
      for (let j = 0; j < lifted; j++) rest -= (matrix[i * lifted + j] as number) * (signs[j] as number);
      sum += rest * rest;
    }
    ok(Math.abs(sum - error) <= 1e-9 * sum, `${error}, found ${sum}`);
  }
});

t("ships projections with the error that they state, no worse than known ones by more than 3 %", () => {
  for (const name of names) {
    const projection = shippedProjection(name);
    const { dims, lifted, matrix } = projection;
    is(name, `${lifted}to${dims}`);
    is(matrix.length, dims * lifted);
    const { mse } = projectionData[name];
    const known = KNOWN[name];
    if (known !== undefined) ok(mse <= 1.03 * known, `${name}: ${mse}, known ${known}`);
    ok(mse > 2 ** ((-2 * lifted) / dims), `${name}: ${mse} is below the bound of any code`);
    // 12000 weights: a deviation of 1 to 2 % of the mean.
    const gaussian = random(`lift ${name}`, 1);
    const w = gaussian.gaussians(Math.ceil(12000 / dims) * dims);
    const search = signSearch(projection);
    const signs = new Int8Array(lifted);
    let error = 0;
    for (let at = 0; at < w.length; at += dims) error += search.nearest(w, at, signs);
    const measured = error / w.length;
    ok(Math.abs(measured - mse) <= 0.06 * mse, `${name}: measured ${measured}, stated ${mse}`);
  }
});

/** Tensors as a layer of a checkpoint has them. */
function randomTensors(rows: number, cols: number, t2: number, dims: number, lifted: number, rng: Random): LiftTensors {
  const t1 = Math.ceil(cols / t2);
  const out = (t2 / dims) * lifted;
  return {
    ...{ rows, cols },
    signs: rng.signs(rows * t1 * out),
    scale: rng.gaussians(rows),
    a1: rng.gaussians(t1 * t2).map((value) => value + Math.sign(value)),
    a2: rng.gaussians(t1 * out),
    left: rng.gaussians(t1 * t1),
    right: rng.gaussians(out * t2),
  };
}

function packTensors(lb: Lowbit, tensors: LiftTensors, activation: "int8" | "lut8" | "f32"): Matrix {
  const { rows, cols, signs, scale, a1, a2, left, right } = tensors;
  const packedWeight = packSigns(signs, rows, a2.length);
  return lift.pack(lb, { rows, cols, packedWeight, scale, a1, a2, left, right, activation });
}

const PACKED = [
  [1, 1, 8, 8, 16],
  [1, 64, 64, 8, 16],
  [7, 127, 64, 8, 24],
  [17, 128, 16, 8, 20],
  [65, 130, 20, 10, 24],
  [16, 191, 64, 2, 5],
] as const;

for (const { variant, lb } of instances) {
  t(`${variant}: published tensors are the dense matrix of the paper, in any order of the products`, () => {
    for (const [rows, cols, t2, dims, lifted] of PACKED) {
      const label = `${rows} x ${cols}, t2 ${t2}, ${lifted}to${dims}`;
      const tensors = randomTensors(rows, cols, t2, dims, lifted, rng);
      using(packTensors(lb, tensors, "f32"), (matrix) => {
        const dense = liftDense(tensors);
        const x = rng.gaussians(cols);
        const got = matrix.dequantize();
        if (got.length >= 64) nmseBelow(got, dense, 1e-11, `${label}: dequantize`);
        // A weight alone may nearly cancel: each rounding is 2^-24 of the sizes of what is added, at most.
        const { a1, a2, left, right, scale, signs } = tensors;
        const [a1s, a2s, lefts, rights, scales] = [a1, a2, left, right, scale].map((values) =>
          values.map(Math.abs),
        ) as [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array];
        const terms = liftDense({
          ...{ rows, cols, signs: signs.map(() => 1), scale: scales, a1: a1s, a2: a2s, left: lefts, right: rights },
        });
        const roundings = Math.sqrt(left.length) + right.length / t2 + 4;
        got.forEach((value, i) => {
          const error = Math.abs(value - (dense[i] as number));
          ok(error <= roundings * 2 ** -24 * (terms[i] as number), `${label}: weight ${i}: ${value}, ${dense[i]}`);
        });
        // Relative to the sizes of what is added: y itself may nearly cancel.
        const expected = product(dense, x);
        const sizes = product(dense.map(Math.abs), x.map(Math.abs));
        const y = matrix.gemv(x);
        y.forEach((value, row) => {
          const error = Math.abs(value - (expected[row] as number));
          ok(error <= 1e-4 * (sizes[row] as number), `${label}: row ${row}: ${value}, ${expected[row]}`);
        });
      });
    }
  });

  t(`${variant}: int8 and lut8 are those of the projected activations, bit for bit`, () => {
    for (const [rows, cols, t2, dims, lifted] of PACKED) {
      const tensors = randomTensors(rows, cols, t2, dims, lifted, rng);
      const { signs, scale, a2 } = tensors;
      const scales = scale.map((value) => value / 2);
      const weights = makeWeights({ rows, cols: a2.length, planes: 1, codes: signs, scales });
      const x = rng.gaussians(cols);
      const projected = liftProject(tensors, x);
      for (const [activation, oracle] of [
        ["int8", gemvInt8],
        ["lut8", gemvLut8],
      ] as const) {
        using(packTensors(lb, tensors, activation), (matrix) => {
          equalBits(matrix.gemv(x), oracle(weights, projected), `${activation} ${rows} x ${cols}, ${lifted}to${dims}`);
        });
      }
    }
  });
}

const SHAPES = [
  [1, 1],
  [1, 7],
  [3, 8],
  [5, 31],
  [16, 64],
  [17, 100],
  [2, 257],
  [64, 300],
  [4, 1021],
] as const;

t("takes any shape: gemv, gemm and dequantize agree, on every variant to the bit", () => {
  for (const [rows, cols] of SHAPES) {
    for (const projection of ["12to8", "5to2"] as const) {
      const w = rng.gaussians(rows * cols);
      const x = rng.gaussians(3 * cols);
      for (const activation of activations) {
        const label = `${rows} x ${cols} ${projection} ${activation}`;
        const results = instances.map(({ lb }) =>
          using(lift.quantize(lb, w, { rows, cols, projection, activation, beam: 8 }), (matrix) => {
            is(matrix.rows, rows);
            is(matrix.cols, cols);
            const y = matrix.gemm(x, 3);
            equalBits(matrix.gemv(x.subarray(0, cols)), y.slice(0, rows), `${label}: gemv and gemm`);
            const dense = matrix.dequantize();
            if (activation === "f32") {
              const sizes = product(dense.map(Math.abs), x.subarray(0, cols).map(Math.abs));
              product(dense, x.subarray(0, cols)).forEach((value, row) => {
                const error = Math.abs(value - (y[row] as number));
                ok(error <= 1e-4 * (sizes[row] as number) + 1e-30, `${label}: row ${row}: ${y[row]}, ${value}`);
              });
            }
            return { y, dense };
          }),
        );
        for (const { y, dense } of results.slice(1)) {
          equalBits(y, results[0]?.y as Float32Array, `${label}: variants`);
          equalBits(dense, results[0]?.dense as Float32Array, `${label}: variants, dequantize`);
        }
      }
    }
  }
});

t("has the error of its projection on Gaussian weights, with and without whitening", () => {
  const [rows, cols] = [64, 240];
  const w = random("lift error", 1).gaussians(rows * cols);
  for (const whitening of ["hadamard", "none"] as const) {
    for (const projection of ["12to8", "16to8", "24to10"] as const) {
      using(lift.quantize(lb, w, { rows, cols, projection, whitening }), (matrix) => {
        const { mse } = projectionData[projection];
        // Scales that are fitted to the weights lower it a little.
        const measured = nmse(matrix.dequantize(), w);
        ok(measured <= 1.03 * mse && measured >= 0.93 * mse, `${whitening} ${projection}: ${measured}, ${mse}`);
        is(
          matrix.format,
          `lift${Number((shippedProjection(projection).lifted / shippedProjection(projection).dims).toFixed(2))}`,
        );
      });
    }
  }
});

t("whitening makes outlying columns and rows harmless", () => {
  const [rows, cols] = [48, 256];
  const w = random("lift outliers", 1).gaussians(rows * cols);
  for (let row = 0; row < rows; row++) w[row * cols + 5] = 30 * (w[row * cols + 5] as number);
  for (let col = 0; col < cols; col++) w[7 * cols + col] = 100 * (w[7 * cols + col] as number);
  const error = (whitening: "hadamard" | "none"): number =>
    using(lift.quantize(lb, w, { rows, cols, bits: 2.4, whitening }), (matrix) => nmse(matrix.dequantize(), w));
  ok(error("hadamard") < 0.06, `hadamard: ${error("hadamard")}`);
  ok(error("none") > 2 * error("hadamard"), `none: ${error("none")}`);
});

t("packs what encode found as quantize does", async () => {
  const [rows, cols] = [5, 37];
  const w = rng.gaussians(rows * cols);
  const options = { rows, cols, bits: 2.4, activation: "int8" } as const;
  const codes = lift.encode(lb, w, options);
  const x = rng.gaussians(cols);
  using(lift.quantize(lb, w, options), (whole) => {
    using(lift.packCodes(lb, { ...codes, activation: "int8" }), (matrix) => {
      equalBits(matrix.gemv(x), whole.gemv(x), "packCodes");
      is(matrix.byteLength, whole.byteLength);
    });
  });
  equalBits((await lift.encodeAsync(lb, w, options)).signs, codes.signs, "encodeAsync");
  const { used } = lb.memory;
  const pack = (part: object) => () => lift.packCodes(lb, { ...codes, ...part });
  throwsWith(pack({ signs: codes.signs.subarray(1) }), RangeError, "lift.packCodes: signs: expected length 60");
  throwsWith(pack({ before: new Float32Array(36) }), RangeError, "before: expected length 37");
  throwsWith(pack({ after: new Float32Array(37) }), RangeError, "after: expected length 40");
  throwsWith(pack({ scales: new Float32Array(5).fill(Number.NaN) }), RangeError, "scales: expected finite numbers");
  is(lb.memory.used, used);
});

t("takes orthogonal factors of a rotation", () => {
  const [rows, cols] = [20, 44];
  const w = rng.gaussians(rows * cols);
  const hadamard4 = Float32Array.from([1, 1, 1, 1, 1, -1, 1, -1, 1, 1, -1, -1, 1, -1, -1, 1], (v) => v / 2);
  const identity = Float32Array.from({ length: 121 }, (_, i) => (i % 12 === 0 ? 1 : 0));
  const whitening = { left: identity, right: hadamard4 };
  using(lift.quantize(lb, w, { rows, cols, bits: 2, whitening }), (matrix) => {
    ok(nmse(matrix.dequantize(), w) < 0.11);
  });
  const quantize = (factors: object) => () =>
    lift.quantize(lb, w, { rows, cols, bits: 2, whitening: { ...whitening, ...factors } });
  throwsWith(
    quantize({ right: new Float32Array(16) }),
    RangeError,
    /whitening: right: expected orthonormal rows, got 0/,
  );
  throwsWith(quantize({ right: new Float32Array(15) }), RangeError, "whitening: right: expected length 16");
  throwsWith(quantize({ left: Float32Array.of(1) }), RangeError, "t1 x t2 = cols 44 or just above, got 1 x 4");
});

t("fits a budget of bytes with the most bits that it holds", () => {
  const [rows, cols] = [32, 640];
  const w = rng.gaussians(rows * cols);
  const size = (projection: ProjectionName): number =>
    using(lift.quantize(lb, w, { rows, cols, projection, beam: 1 }), (matrix) => matrix.byteLength);
  const sizes = names.map((name) => ({ name, bytes: size(name) })).sort((a, b) => a.bytes - b.bytes);
  for (const { bytes } of sizes) {
    using(lift.fit(lb, w, { rows, cols, bytes, beam: 1 }), (matrix) => {
      ok(matrix.byteLength <= bytes, `${matrix.byteLength} bytes of ${bytes}`);
      const bits = Number(matrix.format.slice(4));
      for (const { name, bytes: other } of sizes) {
        const { lifted, dims } = shippedProjection(name);
        ok(other > bytes || lifted / dims <= bits + 0.01, `${name} fits ${bytes} too, ${matrix.format} was taken`);
      }
    });
  }
  const least = sizes[0] as (typeof sizes)[0];
  throwsWith(
    () => lift.fit(lb, w, { rows, cols, bytes: least.bytes - 1 }),
    RangeError,
    `lift.fit: bytes: expected at least ${least.bytes} for 32 x 640 (${least.name}), got ${least.bytes - 1}`,
  );
  throwsWith(() => lift.fit(lb, w, { rows, cols, bytes: 1.5 }), RangeError, "lift.fit: bytes");
});

t("knows byteLength before it packs, whatever the shape and the whitening", () => {
  for (const [rows, cols, whitening] of [
    [3, 37, "none"],
    [65, 44, "hadamard"],
    [16, 264, "hadamard"],
  ] as const) {
    const w = rng.gaussians(rows * cols);
    for (const projection of names) {
      const options = { rows, cols, whitening, beam: 1 };
      const bytes = using(lift.quantize(lb, w, { ...options, projection }), (matrix) => matrix.byteLength);
      using(lift.fit(lb, w, { ...options, bytes }), (matrix) => {
        const fitted = Number(matrix.format.slice(4));
        const { lifted, dims } = shippedProjection(projection);
        ok(matrix.byteLength <= bytes && fitted >= lifted / dims - 0.01, `${rows} x ${cols} ${projection}`);
      });
    }
  }
});

t("survives extreme weights", () => {
  const [rows, cols] = [6, 33];
  for (const { name, w } of hostileWeights(rows * cols, rng)) {
    const largest = w.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const options = { rows, cols, bits: 3, beam: 8, activation: "f32" } as const;
    if (largest > 3e38) {
      // What stands for the largest float32 may be more than that.
      throwsWith(
        () => lift.quantize(lb, w, options),
        RangeError,
        "lift.quantize: scales: expected weights within float32",
      );
      continue;
    }
    using(lift.quantize(lb, w, options), (matrix) => {
      const y = matrix.gemv(new Float32Array(cols).fill(1e-3));
      // Beyond, scales times sums of activations that were brought to 1 leave the range, as for binary.
      if (largest < 1e35) ok(y.every(Number.isFinite), `${name}: ${y.find((value) => !Number.isFinite(value))}`);
      if (w.every((value) => value === 0))
        ok(
          y.every((value) => value === 0),
          name,
        );
      if (largest < 1e38 && largest > 1e-30)
        ok(nmse(matrix.dequantize(), w) < 0.12, `${name}: ${nmse(matrix.dequantize(), w)}`);
    });
  }
});

t("multiplies extreme activations or says that they leave the range", () => {
  const [rows, cols] = [6, 96];
  const w = rng.gaussians(rows * cols);
  for (const activation of activations) {
    using(lift.quantize(lb, w, { rows, cols, bits: 2, beam: 8, activation }), (matrix) => {
      const dense = matrix.dequantize();
      for (const { name, x } of hostileActivations(cols, rng)) {
        let y: Float32Array;
        try {
          y = matrix.gemv(x);
        } catch (error) {
          ok(
            error instanceof RangeError && x.some((value) => Math.abs(value) > 1e35),
            `${activation} ${name}: ${error}`,
          );
          match(String(error), "lift2.gemv: x: expected numbers that stay finite when rotated");
          continue;
        }
        const expected = product(dense, x);
        const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        // The rotation spreads an outlier over all columns: an error relative to the largest.
        if (largest > 1e-30 && largest < 1e38)
          nmseBelow(y, expected, activation === "f32" ? 1e-6 : 0.05, `${activation} ${name}`);
      }
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const x = new Float32Array(cols);
        x[cols - 1] = bad;
        throwsWith(
          () => matrix.gemv(x),
          RangeError,
          `lift2.gemv: x: expected finite numbers, got ${bad} at index ${cols - 1}`,
        );
        throwsWith(() => matrix.gemm(x, 1), RangeError, `got ${bad} at index ${cols - 1}`);
      }
    });
  }
});

t("adds branches", () => {
  const [rows, cols] = [9, 50];
  const w = rng.gaussians(rows * cols);
  const bias = rng.gaussians(rows);
  const matrix = lift.quantize(lb, w, { rows, cols, bits: 3, activation: "f32" });
  const x = rng.gaussians(cols);
  const plain = matrix.gemv(x);
  using(matrix.with({ bias }), (both) => {
    nmseBelow(
      both.gemv(x),
      plain.map((value, row) => value + (bias[row] as number)),
      1e-12,
      "bias",
    );
  });
});

t("leaves no memory behind", () => {
  const [rows, cols] = [9, 50];
  const w = rng.gaussians(rows * cols);
  lift.quantize(lb, w, { rows, cols, bits: 2 }).dispose();
  const { used } = lb.memory;
  lift.quantize(lb, w, { rows, cols, bits: 2 }).dispose();
  is(lb.memory.used, used);
  w[5] = Number.NaN;
  throwsWith(
    () => lift.quantize(lb, w, { rows, cols, bits: 2 }),
    RangeError,
    "expected finite weights, got NaN at index 5",
  );
  is(lb.memory.used, used);
});

t("reports progress and stops when told to", async () => {
  const [rows, cols] = [40, 400];
  const w = rng.gaussians(rows * cols);
  const seen: number[] = [];
  const options = { rows, cols, bits: 2, beam: 16 };
  const matrix = lift.quantize(lb, w, { ...options, onProgress: (done) => seen.push(done) });
  ok(seen.length > 10 && seen.at(-1) === 1, `${seen.length} reports`);
  ok(
    seen.every((done, i) => i === 0 || done >= (seen[i - 1] as number)),
    "rising",
  );
  const other = await lift.quantizeAsync(lb, w, options);
  equalBits(other.dequantize(), matrix.dequantize(), "quantizeAsync");
  const { used } = lb.memory;
  const stop = new AbortController();
  const job = lift.quantizeAsync(lb, w, {
    ...options,
    signal: stop.signal,
    onProgress: () => stop.abort(new Error("enough")),
  });
  await rejectsWith(job, Error, "enough");
  const fitted = await lift.fitAsync(lb, w, { rows, cols, bytes: 1e6, beam: 1 });
  fitted.dispose();
  is(lb.memory.used, used);
  matrix.dispose();
  other.dispose();
});

t("refuses what it cannot use", () => {
  const [rows, cols] = [2, 24];
  const w = new Float32Array(rows * cols).fill(1);
  // biome-ignore lint/suspicious/noExplicitAny: wrong types are the point
  const quantize = (options: any) => () => lift.quantize(lb, w, { rows, cols, ...options });
  throwsWith(quantize({}), TypeError, "lift.quantize: bits: expected a number, or a projection, got undefined");
  throwsWith(quantize({ bits: 2.1 }), RangeError, /bits: expected one of .*1\.5, .*2, .*2\.4, .*got 2\.1/);
  throwsWith(quantize({ bits: 2, projection: "16to8" }), RangeError, "bits or projection, not both");
  throwsWith(quantize({ projection: "17to8" }), RangeError, 'projection: expected "');
  throwsWith(quantize({ projection: 3 }), TypeError, "a name or { dims, lifted, matrix }");
  throwsWith(
    quantize({ projection: { dims: 2, lifted: 65, matrix: new Float32Array(130) } }),
    RangeError,
    "from 1 to 64",
  );
  throwsWith(quantize({ projection: { dims: 2, lifted: 4, matrix: new Float32Array(7) } }), RangeError, "length 8");
  throwsWith(quantize({ projection: { dims: 2, lifted: 4, matrix: new Float32Array(8) } }), RangeError, "not 0");
  const nan = new Float32Array(8).fill(Number.NaN);
  throwsWith(quantize({ projection: { dims: 2, lifted: 4, matrix: nan } }), RangeError, "finite numbers");
  throwsWith(quantize({ bits: 2, whitening: "haar" }), RangeError, '"hadamard" | "none"');
  throwsWith(quantize({ bits: 2, whitening: 1 }), TypeError, "whitening");
  throwsWith(quantize({ bits: 2, beam: 0 }), RangeError, "beam: expected an integer from 1 to 4096");
  throwsWith(quantize({ bits: 2, rows: 3 }), RangeError, "w: expected length 72");
  throwsWith(() => lift.quantize(lb, w, null as never), TypeError, "lift.quantize: options");

  const tensors = randomTensors(3, 20, 8, 8, 16, rng);
  const good = {
    ...{ rows: 3, cols: 20, scale: tensors.scale, a1: tensors.a1, a2: tensors.a2 },
    ...{ left: tensors.left, right: tensors.right, packedWeight: packSigns(tensors.signs, 3, tensors.a2.length) },
  };
  lift.pack(lb, good).dispose();
  // biome-ignore lint/suspicious/noExplicitAny: wrong types are the point
  const pack = (options: any) => () => lift.pack(lb, { ...good, ...options });
  const { used } = lb.memory;
  throwsWith(pack({ a1: [] }), TypeError, "lift.pack: a1: expected a Float32Array");
  throwsWith(pack({ a1: new Float32Array(24) }), RangeError, "a1: expected divisors, got 0 at index 0");
  throwsWith(pack({ a1: new Float32Array(24).fill(1e-45) }), RangeError, "reciprocals are finite");
  throwsWith(pack({ a1: new Float32Array(16).fill(1) }), RangeError, "a1: expected length");
  throwsWith(pack({ left: new Float32Array(10) }), RangeError, "left: expected length 9 (a square matrix), got 10");
  throwsWith(pack({ a2: new Float32Array(44) }), RangeError, "a2: expected a length that is a multiple of 8");
  throwsWith(pack({ right: new Float32Array(9) }), RangeError, "right: expected length 128");
  throwsWith(pack({ scale: new Float32Array(2) }), RangeError, "scale: expected length 3");
  throwsWith(pack({ packedWeight: new Uint8Array(17) }), RangeError, "packedWeight: expected length 18");
  throwsWith(pack({ packedWeight: new Int8Array(18) }), TypeError, "packedWeight");
  throwsWith(pack({ a2: new Float32Array(48).fill(Number.NaN) }), RangeError, "a2: expected finite numbers");
  is(lb.memory.used, used);
});
