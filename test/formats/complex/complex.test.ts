// Complex weights: every kernel against the oracle on shapes around every boundary, the algebra of conjugation, and what a
// matrix does besides multiplying.

import { kernels } from "../../../src/kernels/registry.ts";
// Not public: the table of kernels.
import { storedBytes } from "../../../src/matrix/stored.ts";
import { bytesFromHex, floatsFromHex } from "../../kernels/vectors.ts";
import { equal, equalBits, equalValues, is, match, nmse, ok, throwsWith } from "../../lib/assert.ts";
import {
  type Activation,
  activations,
  availableVariants,
  type ComplexArray,
  complex,
  type Lowbit,
} from "../../lib/library.ts";
import { hostileActivations, type Random, random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { type Complex, complexAt, gemvComplexExact, quantizePhase } from "../../reference/complex.ts";
import {
  type ComplexCase,
  checkGemm,
  complexGaussians,
  conjugates,
  equalComplex,
  expectation,
  granularities,
  near,
  nearFixed,
  packComplex,
  randomComplex,
  type Shape,
  tokenOf,
  weightsOf,
  withComplex,
  zeros,
} from "./matrices.ts";
import { complexVectorCase, makeComplexVectors, packVector, readComplexVectors } from "./vectors.ts";

const { instances, missing } = await availableVariants();

// 16 rows are a strip, 64 a tile; 8 columns a byte, 64 to 256 a block of tables.
const allRows = [1, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 128, 129, 131];
const someRows = [1, 33, 131];
const allCols = [1, 7, 8, 9, 63, 64, 65, 127, 128, 255, 256, 257, 511, 512, 513, 1031, 4099];
const someCols = [5, 72, 520];
const groupSizes = [8, 16, 24, 64, 128, 264, 512];
const tokenCounts = [1, 2, 7, 8, 9, 17, 33];

/** The next of a list at each call, round and round: lists of unlike length meet in many combinations. */
function inTurn<T>(values: readonly T[]): () => T {
  let i = 0;
  return () => values[i++ % values.length] as T;
}

/** gemv of the first and last of n tokens, and gemm of all, on every variant that has the kernel. */
function check(given: ComplexCase, activation: Activation, n: number, rng: Random, kernel?: string): void {
  const { rows, cols } = given;
  const tokens = complexGaussians(n * cols, rng);
  const weights = weightsOf(given);
  const ends = [...new Set([0, n - 1])].map((i) => {
    const x = tokenOf(tokens, i, cols);
    return { x, expected: expectation(weights, activation, x) };
  });
  const relaxed = kernels.find(({ name }) => name === kernel)?.needs === "relaxed";
  for (const { variant, lb } of instances) {
    if (relaxed && variant === "simd") continue;
    const label = `${variant} ${kernel ?? activation} ${given.conjugate}, ${rows} x ${cols} ${given.granularity} ${given.groupSize}`;
    withComplex(
      lb,
      given,
      activation,
      (matrix) => {
        for (const { x, expected } of ends) expected(matrix.gemv(x), label);
        checkGemm(matrix, tokens, n, label);
      },
      kernel,
    );
  }
}

const s = suite("complex");
for (const { variant, reason } of missing) s.skip(variant, reason);

for (const activation of activations) {
  const name = `complex ${activation}`;
  const t = suite(name);
  const rng = random(name);
  const nextTokens = inTurn(tokenCounts);
  const nextConjugate = inTurn(conjugates);
  const nextGranularity = inTurn(granularities);
  const nextGroupSize = inTurn(groupSizes);

  /** A matrix of the next granularity and conjugation. */
  const next = (rows: number, cols: number): ComplexCase => {
    const granularity = nextGranularity();
    const grouped = granularity === "group" || granularity === "tile";
    const shape: Shape = { rows, cols, granularity, ...(grouped && { groupSize: nextGroupSize() }) };
    return randomComplex(shape, nextConjugate(), rng);
  };

  t("shapes around every boundary", () => {
    for (const rows of allRows) for (const cols of someCols) check(next(rows, cols), activation, nextTokens(), rng);
    for (const cols of allCols) for (const rows of someRows) check(next(rows, cols), activation, nextTokens(), rng);
  });

  t("every conjugation with every granularity, groups dividing the columns or not", () => {
    for (const conjugate of conjugates) {
      for (const granularity of granularities) {
        for (const groupSize of granularity === "group" || granularity === "tile" ? groupSizes : [undefined]) {
          for (const cols of [264, 515]) {
            check(randomComplex({ rows: 67, cols, groupSize, granularity }, conjugate, rng), activation, 2, rng);
          }
        }
      }
    }
  });

  t("numbers of tokens", () => {
    for (const n of [...tokenCounts, 130]) {
      check(next(65, 129), activation, n, rng);
      check(next(17, 515), activation, n, rng);
    }
  });

  t("few tokens on matrices larger than a cache tile", () => {
    check(next(200, 8200), activation, 3, rng);
    check(next(130, 17000), activation, 5, rng);
  });

  t("kernels by name", () => {
    const rows = kernels.filter((k) => k.format === "complex" && k.activation === activation);
    ok(rows.length >= 1);
    for (const kernel of rows) {
      for (const { variant, lb } of instances) {
        const given = next(4, 8);
        if (kernel.needs === "relaxed" && variant === "simd") {
          const message = 'complex.pack: kernel: expected "gemv_complex_';
          throwsWith(() => packComplex(lb, given, activation, kernel.name), RangeError, message);
          continue;
        }
        withComplex(
          lb,
          given,
          activation,
          (matrix) => is(kernel.op === "gemv" ? matrix.kernel : matrix.gemmKernel, kernel.name),
          kernel.name,
        );
      }
      for (const [rows, cols] of [
        [131, 521],
        [16, 8],
        [70, 1100],
        [1, 1],
        [33, 4099],
      ] as const) {
        for (const conjugate of conjugates) {
          check(randomComplex({ rows, cols, granularity: "row" }, conjugate, rng), activation, 9, rng, kernel.name);
          const grouped = { rows, cols, groupSize: 64, granularity: "tile" } as const;
          check(randomComplex(grouped, conjugate, rng), activation, 20, rng, kernel.name);
        }
      }
      check(next(65, 130), activation, 131, rng, kernel.name);
    }
  });

  t("hostile activations and weights", () => {
    const small = 2 ** -100;
    for (const [rows, cols, groupSize] of [
      [33, 521, undefined],
      [48, 72, 24],
      [5, 7, undefined],
    ] as const) {
      // Infinity is a right answer for int8 and lut8, and the same one everywhere; f32 has no contract beyond range.
      const parts = hostileActivations(cols, rng)
        .map(({ x }) => x)
        .filter((x) => activation !== "f32" || x.every((value) => Math.abs(value) < 1e30));
      const vectors: Complex[] = parts.flatMap((re, i) => [
        { re, im: parts[(i * 7 + 3) % parts.length] as Float32Array },
        { re: re.map((value) => value * small), im: re },
      ]);
      vectors.push({ re: rng.uniforms(cols, 1e29), im: rng.uniforms(cols, 1e-30) });
      vectors.push({ re: new Float32Array(cols).fill(-0), im: rng.uniforms(cols, 1e-44) });
      const all = zeros(vectors.length * cols);
      for (const [i, { re, im }] of vectors.entries()) {
        all.re.set(re, i * cols);
        all.im.set(im, i * cols);
      }
      const fills: [string, (i: number) => number][] = [
        ["alike", () => rows % 4],
        ["alternating", (i) => (i % 2) * 2],
        ["random", () => rng.int(0, 3)],
      ];
      for (const [fill, codeOf] of fills) {
        const given = next(rows, cols);
        given.codes = given.codes.map((_, i) => codeOf(i));
        if (groupSize !== undefined) {
          const shape: Shape = { rows, cols, groupSize, granularity: "group" };
          given.scales = randomComplex(shape, "none", rng).scales;
          Object.assign(given, shape);
        }
        const weights = weightsOf(given);
        // The error of f32 is relative to the largest |x|, whose column may have a small scale.
        const expected = vectors.map((x) =>
          activation === "f32" ? nearFixed(weights, x) : expectation(weights, activation, x),
        );
        for (const { variant, lb } of instances) {
          withComplex(lb, given, activation, (matrix) => {
            for (const [i, x] of vectors.entries()) expected[i]?.(matrix.gemv(x), `${variant} x ${i}, w ${fill}`);
            // All of them as the tokens of one gemm: no token may disturb its neighbour.
            checkGemm(matrix, all, vectors.length, `${variant} hostile, w ${fill}`);
          });
        }
      }
    }
  });

  t("scales of any size and sign", () => {
    const [rows, cols] = [20, 40];
    const sets: [string, (i: number) => number][] = [
      ["tiny", () => (rng.uniform() + 0.5) * 1e-38],
      ["denormal", (i) => (i % 2 === 0 ? 1 : -3) * 1.401298464324817e-45],
      ["huge", () => (rng.uniform() - 0.5) * 1e30 || 1],
      ["of both sizes", (i) => (i % 2 === 0 ? 1e25 : -1e-25)],
    ];
    for (const [, value] of sets) {
      for (const conjugate of conjugates) {
        const given = randomComplex({ rows, cols, groupSize: 8, granularity: "group" }, conjugate, rng);
        const fill = (values: Float32Array): Float32Array => Float32Array.from(values, (_, i) => value(i));
        given.scales = { re: fill(given.scales.re), im: fill(given.scales.im) };
        check(given, activation, 9, rng);
        given.scales.im = rng.gaussians(given.scales.im.length);
        check(given, activation, 2, rng);
      }
    }
  });

  t("blocks of columns far below the largest", () => {
    // The first 512 columns have the largest x and hardly a scale, so that what the others leave is to be seen.
    const scales = Float32Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? 1e-30 : 1));
    const codes = Uint8Array.from({ length: 20 * 1024 }, () => rng.int(0, 3));
    const shape: Shape = { rows: 20, cols: 1024, groupSize: 512, granularity: "group" };
    const given: ComplexCase = { ...shape, codes, scales: { re: scales, im: scales }, conjugate: "none" };
    for (const size of [2 ** -4, 2 ** -9, 2 ** -11, 2 ** -19, 2 ** -24, 1e-10, 1e-20, 1e-35, 1e-40]) {
      const x = zeros(1024);
      x.re[3] = 1;
      x.re[700] = size;
      x.im[4] = -3;
      x.im[701] = size;
      const weights = weightsOf(given);
      // f32 is fixed point, and what is far below the largest is lost.
      const expected = activation === "f32" ? nearFixed(weights, x) : expectation(weights, activation, x);
      for (const { variant, lb } of instances) {
        withComplex(lb, given, activation, (matrix) => expected(matrix.gemv(x), `${variant} ${size}`));
      }
    }
  });

  t("zero activations give zeros", () => {
    const given = next(70, 100);
    for (const { lb } of instances) {
      withComplex(lb, given, activation, (matrix) => {
        equalComplex(matrix.gemv(zeros(100)), zeros(70), "gemv");
        equalComplex(matrix.gemm(zeros(2000), 20), zeros(1400), "gemm");
      });
    }
  });

  t("writes to out, all of it and nothing else", () => {
    const [rows, cols] = [50, 30];
    const given = next(rows, cols);
    for (const { variant, lb } of instances) {
      withComplex(lb, given, activation, (matrix) => {
        for (const n of [1, 3, 20]) {
          const x = complexGaussians(n * cols, rng);
          const expected = matrix.gemm(x, n);
          ok(expected.re.buffer !== expected.im.buffer);
          // Windows in one buffer, full of NaN, at addresses that are no multiple of 16.
          const length = n * rows;
          const frame = new Float32Array(2 * length + 15).fill(NaN);
          const out = { re: frame.subarray(5, 5 + length), im: frame.subarray(10 + length, 10 + 2 * length) };
          ok(matrix.gemm(x, n, out) === out, "gemm returns out");
          equalComplex(out, expected, `${variant} gemm out`, equalBits);
          const around = [frame.subarray(0, 5), frame.subarray(5 + length, 10 + length), frame.subarray(-5)];
          ok(around.every((part) => part.length === 5 && part.every(Number.isNaN)));
        }
        const x = { re: rng.gaussians(cols + 3).subarray(3), im: rng.gaussians(cols + 1).subarray(1) };
        const before = { re: x.re.slice(), im: x.im.slice() };
        const out = { re: new Float32Array(rows).fill(NaN), im: new Float32Array(rows).fill(NaN) };
        ok(matrix.gemv(x, out) === out, "gemv returns out");
        equalComplex(out, matrix.gemv(before), `${variant} gemv out`, equalBits);
        equalComplex(x, before, "x is left alone", equalBits);
      });
    }
  });

  t("keeps nothing between calls", () => {
    const small = next(3, 9);
    const large = next(131, 1031);
    const xs = complexGaussians(9, rng);
    const xl = complexGaussians(1031, rng);
    for (let i = 0; i < 1031; i++) xl.im[i] = (xl.im[i] as number) * 1e3;
    const expectSmall = expectation(weightsOf(small), activation, xs);
    const expectLarge = expectation(weightsOf(large), activation, xl);
    for (const { variant, lb } of instances) {
      const a = packComplex(lb, small, activation);
      const b = packComplex(lb, large, activation);
      for (let round = 0; round < 3; round++) {
        expectLarge(b.gemv(xl), `${variant} large`);
        b.gemm(complexGaussians(1031 * 16, rng), 16);
        expectSmall(a.gemv(xs), `${variant} small`);
      }
      a.dispose();
      expectLarge(b.gemv(xl), `${variant} after its neighbour is gone`);
      b.dispose();
    }
  });

  const bound = { int8: 1e-3, lut8: 4e-4, f32: 1e-10 }[activation];
  t(`is within an NMSE of ${bound} of the product without rounding`, () => {
    // A fixed seed, as in kernels.test.ts.
    const fixed = random(`nmse ${name}`, 1);
    for (const conjugate of conjugates) {
      const given = randomComplex({ rows: 128, cols: 4096, granularity: "row" }, conjugate, fixed);
      const x = complexGaussians(4096, fixed);
      for (let i = 0; i < 4096; i++) x.im[i] = (x.im[i] as number) * 3;
      const expected = near(weightsOf(given), x, bound);
      for (const { variant, lb } of instances) {
        withComplex(lb, given, activation, (matrix) => expected(matrix.gemv(x), `${variant} ${conjugate}`));
      }
    }
  });

  const negated = ({ re, im }: ComplexArray): Complex => ({ re: re.slice(), im: im.map((value) => -value) });
  const timesI = ({ re, im }: ComplexArray): Complex => ({ re: im.map((value) => -value), im: re.slice() });

  t("conjugations are what they are called", () => {
    for (const [rows, cols] of [
      [33, 130],
      [70, 521],
    ] as const) {
      for (const granularity of granularities) {
        const groupSize = granularity === "group" || granularity === "tile" ? 64 : undefined;
        const given = randomComplex({ rows, cols, groupSize, granularity }, "none", rng);
        const x = complexGaussians(cols, rng);
        for (const { variant, lb } of instances) {
          const product = (conjugate: "none" | "x" | "w", of: Complex): ComplexArray => {
            const matrix = packComplex(lb, { ...given, conjugate }, activation);
            const y = matrix.gemv(of);
            matrix.dispose();
            return y;
          };
          const label = `${variant} ${rows} x ${cols} ${granularity}`;
          // conj(W) x = conj(W conj(x))
          equalComplex(product("w", x), negated(product("x", x)), `${label}: w`);
          const conjugated = product("none", negated(x));
          if (activation === "lut8") {
            // Tables round halves upwards, so those of -x are not the negatives of those of x.
            const found = product("x", x);
            ok(nmse(found.re, conjugated.re) < 4e-4 && nmse(found.im, conjugated.im) < 4e-4, `${label}: x`);
            continue;
          }
          equalComplex(product("x", x), conjugated, `${label}: x`);
          // W (i x) = i (W x)
          equalComplex(product("none", timesI(x)), timesI(product("none", x)), `${label}: i x`);
        }
      }
    }
  });
}

s("a single weight by hand", () => {
  const powers = [
    [1, 0],
    [0, 1],
    [-1, 0],
    [0, -1],
  ] as const;
  // x = 3 - 2i, s_re = 2, s_im = 5
  const x = { re: Float32Array.of(3), im: Float32Array.of(-2) };
  const scales = { re: Float32Array.of(2), im: Float32Array.of(5) };
  for (const { lb } of instances) {
    for (const [code, [re, im]] of powers.entries()) {
      for (const conjugate of conjugates) {
        const [a, b] = [3, conjugate === "x" ? 2 : -2];
        const [c, d] = [2 * re, (conjugate === "w" ? -5 : 5) * im];
        for (const activation of activations) {
          const options = { rows: 1, cols: 1, codes: Uint8Array.of(code), scales, conjugate, activation };
          const matrix = complex.pack(lb, options);
          const y = matrix.gemv(x);
          const label = `i^${code} ${conjugate} ${activation}: ${y.re} ${y.im}`;
          ok(Math.abs((y.re[0] as number) - (c * a - d * b)) < 1e-2, label);
          ok(Math.abs((y.im[0] as number) - (c * b + d * a)) < 1e-2, label);
          equalComplex(
            matrix.dequantize(),
            { re: Float32Array.of(2 * re), im: Float32Array.of(5 * im) },
            `${label}: dequantised, not conjugated`,
          );
          matrix.dispose();
        }
      }
    }
  }
});

s("dequantize is scale times power of i, not conjugated", () => {
  const rng = random("complex dequantize");
  for (const granularity of granularities) {
    const groupSize = granularity === "group" || granularity === "tile" ? 24 : undefined;
    for (const conjugate of conjugates) {
      const given = randomComplex({ rows: 67, cols: 130, groupSize, granularity }, conjugate, rng);
      const weights = weightsOf(given);
      const expected = zeros(67 * 130);
      for (let i = 0; i < 67 * 130; i++) {
        const plane = weights.planes[0] as (typeof weights.planes)[number];
        const [re, im] = complexAt(weights, plane, Math.floor(i / 130), i % 130);
        expected.re[i] = re;
        expected.im[i] = im;
      }
      for (const { lb } of instances) {
        withComplex(lb, given, "int8", (matrix) => equalComplex(matrix.dequantize(), expected, granularity));
      }
    }
  }
});

s("quantize is the oracle's quantiser", async () => {
  const rng = random("complex quantize");
  const [rows, cols] = [19, 100];
  const w = complexGaussians(rows * cols, rng);
  // Borders of the sectors, and zeros of either sign.
  for (let i = 0; i < 40; i++) {
    w.re[i] = [1, -1, -1, 1, 0, -0][i % 6] as number;
    w.im[i] = [1, 1, -1, -1, -0, 0][i % 6] as number;
  }
  const x = complexGaussians(cols, rng);
  for (const scale of ["matrix", "row", "tile"] as const) {
    for (const ties of ["sector", "imaginary"] as const) {
      for (const groupSize of scale === "tile" ? [32] : scale === "row" ? [undefined, 40] : [undefined]) {
        for (const conjugate of conjugates) {
          const shape = { rows, cols, ...(groupSize !== undefined && { groupSize }) };
          const found = quantizePhase(w, rows, cols, { scale, ties, least: 1e-5, ...shape });
          const granularity = scale === "row" && groupSize !== undefined ? "group" : scale;
          const weights = weightsOf({ ...shape, ...found, granularity, conjugate });
          const expected = expectation(weights, "int8", x);
          for (const { lb } of instances) {
            const options = { ...shape, scale, ties, conjugate };
            for (const matrix of [complex.quantize(lb, w, options), await complex.quantizeAsync(lb, w, options)]) {
              expected(matrix.gemv(x), `${scale} ${ties} ${conjugate}`);
              is(matrix.conjugate, conjugate);
              matrix.dispose();
            }
          }
        }
      }
    }
  }
});

s("says what it is", () => {
  const rng = random("complex labels");
  for (const { variant, lb } of instances) {
    for (const activation of activations) {
      for (const conjugate of conjugates) {
        const given = randomComplex({ rows: 5, cols: 11, granularity: "matrix" }, conjugate, rng);
        withComplex(lb, given, activation, (matrix) => {
          is(matrix.format, "complex");
          equal([matrix.rows, matrix.cols], [5, 11]);
          is(matrix.activation, activation);
          is(matrix.conjugate, conjugate);
          ok(matrix.kernel.startsWith(`gemv_complex_${activation}_`), matrix.kernel);
          match(matrix.gemmKernel, /^gem[mv]_complex_/);
          is(matrix.bitsPerWeight, (8 * matrix.byteLength) / 55);
          if (variant === "simd") ok(!matrix.gemmKernel.endsWith("_i32"));
        });
      }
    }
    const { codes, scales } = randomComplex({ rows: 1, cols: 1, granularity: "matrix" }, "none", rng);
    const plain = complex.pack(lb, { rows: 1, cols: 1, codes, scales });
    equal([plain.conjugate, plain.activation], ["none", "int8"]);
    plain.dispose();
  }
});

s("takes two bits a weight at real sizes", () => {
  const rng = random("complex bits");
  const size = 1024;
  const least = 2 * size * size;
  const bits: [Shape, number][] = [
    [{ rows: size, cols: size, granularity: "matrix" }, 2 * 64 * 32],
    [{ rows: size, cols: size, granularity: "tile", groupSize: 256 }, 4 * 2 * 64 * 32],
    [{ rows: size, cols: size, granularity: "row" }, size * 2 * 32],
  ];
  for (const [shape, scaleBits] of bits) {
    const given = randomComplex(shape, "none", rng);
    for (const { lb } of instances) {
      withComplex(lb, given, "int8", (matrix) => {
        is(matrix.bitsPerWeight, (least + scaleBits) / (size * size));
        if (shape.granularity !== "row") ok(matrix.bitsPerWeight < 2.02);
        is(storedBytes(matrix).length, matrix.byteLength);
      });
    }
  }
});

s("dispose gives the memory back, twice is harmless, and using it then throws", () => {
  const rng = random("complex dispose");
  for (const { lb } of instances) {
    const given = randomComplex({ rows: 33, cols: 100, granularity: "row" }, "none", rng);
    const x = complexGaussians(100, rng);
    const first = packComplex(lb, given, "int8");
    first.gemv(x); // what is left is working memory
    first.dispose();
    const { used } = lb.memory;
    const matrix = packComplex(lb, given, "int8");
    ok(lb.memory.used >= used + matrix.byteLength);
    matrix.gemv(x);
    matrix.dispose();
    is(lb.memory.used, used);
    matrix.dispose();
    is(lb.memory.used, used);
    const gone = (op: string): string => `complex.${op}: this complex matrix (33 x 100) was disposed`;
    throwsWith(() => matrix.gemv(x), TypeError, gone("gemv"));
    throwsWith(() => matrix.gemm(x, 1), TypeError, gone("gemm"));
    throwsWith(() => matrix.gemm(complexGaussians(200, rng), 2), TypeError, gone("gemm"));
    throwsWith(() => matrix.dequantize(), TypeError, gone("dequantize"));
    const other = packComplex(lb, given, "int8");
    other[Symbol.dispose]();
    is(lb.memory.used, used);
    throwsWith(() => other.gemv(x), TypeError, gone("gemv"));
  }
});

const v = suite("complex vectors");

v("are what the oracle makes", () => equal(readComplexVectors(), makeComplexVectors()));

for (const vector of readComplexVectors()) {
  const { format, rows, cols, groupSize, conjugate } = vector;
  v(`${format} ${conjugate}, ${rows} x ${cols} group ${groupSize}, ${vector.planes.length} planes`, () => {
    const x = complexVectorCase(vector).x;
    for (const { variant, lb } of instances) {
      for (const activation of ["int8", "lut8"] as const) {
        const { y, packed } = packVector(lb as Lowbit, vector, activation, x);
        equalBits(packed, bytesFromHex(vector.packed), `${variant} stored bytes`);
        const expected = { re: floatsFromHex(vector[activation].re), im: floatsFromHex(vector[activation].im) };
        equalComplex(y, expected, `${variant} ${activation}`, equalValues);
      }
    }
  });
}

v("the oracle's product without rounding is near", () => {
  for (const vector of readComplexVectors()) {
    const { weights, x } = complexVectorCase(vector);
    const exact = gemvComplexExact(weights, x);
    for (const activation of ["int8", "lut8"] as const) {
      // Few columns: a bound that only a wrong formula misses.
      const error = nmse(floatsFromHex(vector[activation].re), exact.re);
      ok(error < 1e-2, `${vector.rows} x ${vector.cols} ${activation}: ${error}`);
    }
  }
});
