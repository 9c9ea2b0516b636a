// Complex weights as the tests of complex and fairy2i need them: random ones, how they are packed, and what must come out.

import { equalBits, equalValues, is } from "../../lib/assert.ts";
import type { Activation, ComplexArray, ComplexMatrix, Conjugate, Lowbit, Matrix } from "../../lib/library.ts";
import { complex, fairy2i } from "../../lib/library.ts";
import type { Random } from "../../lib/random.ts";
import {
  type Complex,
  type ComplexWeights,
  gemvComplexExact,
  gemvComplexInt8,
  gemvComplexLut8,
  makeComplex,
} from "../../reference/complex.ts";
import { absMax, roundHalfEven } from "../../reference/rounding.ts";

/** What has a pair of scales: all weights, a row, a group of columns of a row, or one of all rows. */
export const granularities = ["matrix", "row", "group", "tile"] as const;
export type Granularity = (typeof granularities)[number];

export const conjugates: readonly Conjugate[] = ["none", "x", "w"];

/** A plane as it is given to the library. */
export interface GivenPlane {
  codes: Uint8Array;
  scales: Complex;
}

export interface Shape {
  rows: number;
  cols: number;
  /** Of "group" and "tile". */
  groupSize?: number | undefined;
  granularity: Granularity;
}

/** A matrix of one plane. */
export interface ComplexCase extends Shape, GivenPlane {
  conjugate: Conjugate;
}

export function groupsOf({ cols, groupSize = cols }: Shape): number {
  return Math.ceil(cols / groupSize);
}

export function scaleCount(shape: Shape): number {
  const groups = groupsOf(shape);
  return { matrix: 1, row: shape.rows, group: shape.rows * groups, tile: groups }[shape.granularity];
}

export function randomPlane(shape: Shape, rng: Random): GivenPlane {
  const count = scaleCount(shape);
  const scales = (): Float32Array => rng.gaussians(count).map((scale) => scale || 1);
  return {
    codes: new Uint8Array(shape.rows * shape.cols).map(() => rng.int(0, 3)),
    scales: { re: scales(), im: scales() },
  };
}

export function randomComplex(shape: Shape, conjugate: Conjugate, rng: Random): ComplexCase {
  return { ...shape, conjugate, ...randomPlane(shape, rng) };
}

/** The same for the oracle. */
export function weightsOf(given: ComplexCase): ComplexWeights {
  const { rows, cols, groupSize, granularity, codes, scales, conjugate } = given;
  return makeComplex({ rows, cols, groupSize, tiles: granularity === "tile", planes: [{ codes, scales, conjugate }] });
}

export function packComplex(lb: Lowbit, given: ComplexCase, activation: Activation, kernel?: string): ComplexMatrix {
  const { rows, cols, groupSize, codes, scales, conjugate } = given;
  return complex.pack(lb, {
    ...{ rows, cols, codes, scales, conjugate, activation },
    ...(groupSize !== undefined && { groupSize }),
    ...(kernel !== undefined && { kernel }),
  });
}

/** Runs `body` with a packed matrix and disposes of it whatever happens. */
export function withComplex(
  lb: Lowbit,
  given: ComplexCase,
  activation: Activation,
  body: (matrix: ComplexMatrix) => void,
  kernel?: string,
): void {
  const matrix = packComplex(lb, given, activation, kernel);
  try {
    body(matrix);
  } finally {
    matrix.dispose();
  }
}

/** Token i of n. */
export function tokenOf({ re, im }: ComplexArray, i: number, length: number): Complex {
  return { re: re.subarray(i * length, (i + 1) * length), im: im.subarray(i * length, (i + 1) * length) };
}

export function complexGaussians(length: number, rng: Random): Complex {
  return { re: rng.gaussians(length), im: rng.gaussians(length) };
}

export function zeros(length: number): Complex {
  return { re: new Float32Array(length), im: new Float32Array(length) };
}

export function equalComplex(
  actual: ComplexArray,
  expected: ComplexArray,
  label: string,
  compare: typeof equalBits = equalValues,
): void {
  compare(actual.re, expected.re, `${label}: re`);
  compare(actual.im, expected.im, `${label}: im`);
}

export type ComplexExpectation = (actual: ComplexArray, label: string) => void;

/**
 * The largest denormal-sized error that rounding the two parts of a result may cause: half a step of 2^-149 each, as they
 * are for x with the largest number brought to 1 … 2, and then as many times that as it is larger.
 */
function quantumOf({ re, im }: AnyComplex): number {
  const largest = Math.max(absMax(re), absMax(im), 2);
  return 2 ** (Math.floor(Math.log2(largest)) - 149);
}

type AnyComplex = Complex<Float32Array | Float64Array>;

/**
 * What the sums that kernels add would have as Σ |z|² on average, were the signs of their terms random. Each of P, Q, R and S
 * runs over all columns, whichever of them the two signs of a code then leave of P + Q and the like, and is multiplied by the
 * scales of both parts: Σ (s_re² + s_im²) |x|².
 */
function termPower(weights: ComplexWeights, x: AnyComplex): number {
  const { rows, cols, groupSize, groups, planes } = weights;
  // Σ |x|² of each group of columns, which all rows have.
  const squares = new Float64Array(groups);
  for (let col = 0; col < cols; col++) {
    const a = x.re[col] as number;
    const b = x.im[col] as number;
    squares[Math.floor(col / groupSize)] = (squares[Math.floor(col / groupSize)] as number) + a * a + b * b;
  }
  let power = 0;
  for (const { scales } of planes) {
    for (let group = 0; group < rows * groups; group++) {
      const re = scales.re[group] as number;
      const im = scales.im[group] as number;
      power += (re * re + im * im) * (squares[group % groups] as number);
    }
  }
  return power;
}

/** The NMSE is at most `bound`; where terms cancel the power is theirs. */
export function near(weights: ComplexWeights, x: AnyComplex, bound: number): ComplexExpectation {
  const expected = gemvComplexExact(weights, x);
  const terms = termPower(weights, x);
  const quantum = quantumOf(x);
  return (actual, label) => {
    let [error, power] = [0, 0];
    for (const part of ["re", "im"] as const) {
      is(actual[part].length, weights.rows, `${label}: length of ${part}`);
      for (const [row, value] of expected[part].entries()) {
        power += value * value;
        error += Math.max(0, Math.abs((actual[part][row] as number) - value) - quantum) ** 2;
      }
    }
    if (error <= bound * Math.max(power, terms)) return;
    throw new Error(`${label}: expected an NMSE of at most ${bound}, got ${error / Math.max(power, terms)}`);
  };
}

/**
 * Of f32: near to the product with what it multiplies in place of x. In units of u = 2^-24: P to S of a block are exact but for the
 * two additions that join their bytes, P + Q and the like are one more, and one each their product with the scale, what
 * compensation leaves of their sum, the factor, its product and Re's or Im's own addition. With |P + Q| <= |P| + |Q| that is 8 u (|P| + |Q|) / 2
 * at most, so squared 32 u² (P² + Q²); and over the four parts and both operands 4 · 32 u² Σ (s_re² + s_im²) |x|² where
 * P² is what it is on average, which is 4.6e-13 of `termPower`; where signs agree it is (8 u)² = 2.3e-13 of Σ |y|².
 */
export function nearFixed(weights: ComplexWeights, x: Complex): ComplexExpectation {
  return near(weights, { re: fixedPoint(x.re), im: fixedPoint(x.im) }, 1e-12);
}

/** As near as f32 is to float64, and to the product with what it multiplies. */
function nearFloat(weights: ComplexWeights, x: Complex): ComplexExpectation {
  const toFloat64 = near(weights, x, 1e-10);
  const toFixed = nearFixed(weights, x);
  return (actual, label) => {
    toFloat64(actual, label);
    toFixed(actual, `${label}, fixed point`);
  };
}

/** x as f32 has it: integers from -(2^21 - 1) to 2^21 - 1, times what makes the largest of them max |x|. */
function fixedPoint(x: Float32Array): Float64Array {
  const largest = absMax(x);
  const most = 2 ** 21 - 1;
  return Float64Array.from(x, (value) =>
    largest === 0 ? 0 : (roundHalfEven((value * most) / largest) / most) * largest,
  );
}

/**
 * What y must be: for int8 and lut8 the oracle's numbers, for f32 those of float64 but for an NMSE of 1e-10.
 *
 * @param together int8: Re x and Im x have one scale, as fairy2i has it
 */
export function expectation(
  weights: ComplexWeights,
  activation: Activation,
  x: Complex,
  together = false,
): ComplexExpectation {
  if (activation === "f32") return nearFloat(weights, x);
  const expected = activation === "int8" ? gemvComplexInt8(weights, x, together) : gemvComplexLut8(weights, x);
  return (actual, label) => equalComplex(actual, expected, label);
}

/** gemm is gemv of each token, bit for bit. */
export function checkGemm(matrix: ComplexMatrix, tokens: ComplexArray, n: number, label: string): void {
  const { rows, cols } = matrix;
  const y = matrix.gemm(tokens, n);
  is(y.re.length, n * rows);
  is(y.im.length, n * rows);
  for (let i = 0; i < n; i++) {
    const alone = matrix.gemv(tokenOf(tokens, i, cols));
    equalComplex(tokenOf(y, i, rows), alone, `${label}: token ${i} of ${n}`, equalBits);
  }
}

/** planes: U and W of each stage in turn, of the complex shape. */
export function packFairy2i(
  lb: Lowbit,
  shape: Shape,
  planes: readonly GivenPlane[],
  activation: Activation,
  kernel?: string,
): Matrix {
  const { rows, cols, groupSize } = shape;
  const stages = Array.from({ length: planes.length / 2 }, (_, i) => {
    return { u: planes[2 * i] as GivenPlane, w: planes[2 * i + 1] as GivenPlane };
  });
  return fairy2i.pack(lb, {
    ...{ rows: 2 * rows, cols: 2 * cols, stages, activation },
    ...(groupSize !== undefined && { groupSize }),
    ...(kernel !== undefined && { kernel }),
  });
}
