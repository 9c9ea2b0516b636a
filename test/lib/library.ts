// The library as the tests see it: one import to change for testing another build, and what every test would repeat.
import { init, type Lowbit, type Matrix, UnsupportedRuntimeError } from "../../src/index.ts";
import { formatOf } from "../../src/kernels/formats.ts";
import { operands } from "../../src/kernels/operands.ts";
import { kernels } from "../../src/kernels/registry.ts";
import { gemvDigits } from "../reference/digits.ts";
import { gemvInt8, gemvLut8 } from "../reference/gemv.ts";
import { gemvExact, termsOf, type Weights } from "../reference/weights.ts";
import { equalValues } from "./assert.ts";
import { type Activation, type AnyWeights, type FormatName, testFormats } from "./formats.ts";
import type { Random } from "./random.ts";

export * from "../../src/index.ts";
export type { Activation, FormatName } from "./formats.ts";

export type Format = "binary" | "ternary";
export type Variant = "simd" | "relaxed";

/** The formats of one or two planes, on which whatever does not depend on a format is tested. */
export const formats: readonly Format[] = ["binary", "ternary"];
export const activations: readonly Activation[] = ["int8", "lut8", "f32"];

/** Every format with every activation that it has a kernel for. */
export const everyPair: readonly { format: FormatName; activation: Activation }[] = Object.keys(testFormats).flatMap(
  (name) => {
    const format = name as FormatName;
    return activations
      .filter((activation) => kernels.some((k) => k.format === format && k.activation === activation))
      .map((activation) => ({ format, activation }));
  },
);

/** One instance of each variant that this runtime has. */
export interface Available {
  instances: { variant: Variant; lb: Lowbit }[];
  /** Why a variant is missing. */
  missing: { variant: Variant; reason: string }[];
}

export async function availableVariants(): Promise<Available> {
  const available: Available = { instances: [], missing: [] };
  for (const variant of ["simd", "relaxed"] as const) {
    try {
      available.instances.push({ variant, lb: await init({ variant, threads: 1 }) });
    } catch (error) {
      // Any other error is a failure of the file that asked.
      if (!(error instanceof UnsupportedRuntimeError)) throw error;
      available.missing.push({ variant, reason: error.message });
    }
  }
  return available;
}

export function planesOf(format: Format): 1 | 2 {
  return format === "binary" ? 1 : 2;
}

/** Random codes, and scales of either sign around 1: one a row and group. */
export function randomWeights(format: Format, rows: number, cols: number, rng: Random, groupSize?: number): Weights {
  return testFormats[format].random(rows, cols, rng, groupSize) as Weights;
}

/** Packs a matrix of the reference with the library. */
export function packMatrix(
  lb: Lowbit,
  format: FormatName,
  weights: AnyWeights,
  activation: Activation,
  kernel?: string,
): Matrix {
  const { rows, cols, groupSize } = weights;
  const common = { rows, cols, groupSize, activation, ...(kernel !== undefined && { kernel }) };
  return testFormats[format].pack(lb, weights, common);
}

/** Runs `body` with a packed matrix and disposes of it whatever happens. */
export function withMatrix<T>(
  lb: Lowbit,
  format: FormatName,
  weights: AnyWeights,
  activation: Activation,
  body: (matrix: Matrix) => T,
): T {
  const matrix = packMatrix(lb, format, weights, activation);
  try {
    return body(matrix);
  } finally {
    matrix.dispose();
  }
}

/** Σ (w x)²: what Σ y² would be on average, were the signs of the terms random. */
function termPower(weights: AnyWeights, x: Float32Array): number {
  const { rows, cols, groupSize, groups, offsets } = weights;
  let power = 0;
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < cols; k++) {
      const group = r * groups + Math.floor(k / groupSize);
      for (const { codes, scales } of termsOf(weights)) {
        power += ((codes[r * cols + k] as number) * (scales[group] as number) * (x[k] as number)) ** 2;
      }
      if (offsets) power += ((offsets[group] as number) * (x[k] as number)) ** 2;
    }
  }
  return power;
}

/** The largest denormal-sized error that rounding the result itself may cause. */
const quantum = 2 ** -148;

/**
 * What y must be: for int8 and lut8 the oracle's numbers, and for f32 by digits too. For f32 by tables the NMSE against float64 is at most 1e-10, where the
 * power is that of the terms if they cancel: rounding errors are relative to what is added, not to what is left.
 */
export type Expectation = (actual: Float32Array, label: string) => void;

export function expectation(
  weights: AnyWeights,
  activation: Activation,
  x: Float32Array,
  format: FormatName = "binary",
): Expectation {
  const byDigits = activation === "f32" && operands[formatOf(format, activation).operand].meets === "integers";
  if (activation !== "f32" || byDigits) {
    const compute = byDigits ? gemvDigits : activation === "int8" ? gemvInt8 : gemvLut8;
    const expected = compute(weights, x);
    return (actual, label) => equalValues(actual, expected, label);
  }
  const expected = gemvExact(weights, x);
  let power = 0;
  for (const value of expected) power += value * value;
  const reference = Math.max(power, termPower(weights, x));
  return (actual, label) => {
    if (actual.length !== expected.length) throw new Error(`${label}: length ${actual.length}`);
    let error = 0;
    for (let r = 0; r < expected.length; r++) {
      error += Math.max(0, Math.abs((actual[r] as number) - (expected[r] as number)) - quantum) ** 2;
    }
    if (error <= 1e-10 * reference) return;
    throw new Error(`${label}: expected an NMSE of at most 1e-10, got ${error / reference}`);
  };
}
