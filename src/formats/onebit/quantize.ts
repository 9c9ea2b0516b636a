// OneBit (Xu et al. 2024, arXiv:2402.11295, section 3.2): w = sign w · |w|, and |w| is about output · input^T, the best
// matrix of rank 1. The authors call it SVID and start training from it.
import { checkInteger } from "../../lib/check.ts";
import { checkWeights, type MatrixShape, STEP_WEIGHTS } from "../../numeric/shape.ts";

export interface SignFit {
  /** [rows, ceil(cols / 8)]: bit j of byte b is column 8b + j, set for w >= 0, clear past the last column. */
  readonly signs: Uint8Array;
  /** [cols], not negative: multiplies x. */
  readonly input: Float32Array;
  /** [rows], not negative: multiplies y. */
  readonly output: Float32Array;
  /** Σ (|w| - output · input)^2 of the float64 vectors, before they were rounded. */
  readonly error: number;
}

export interface SignOptions {
  /** Power iterations at most, 1 to 1000. Default 20. */
  readonly iterations?: number;
}

/** An iteration that lowers the error by less than this part of it is the last. */
const SMALL_GAIN = 1e-9;

/**
 * Signs and start values for y = output · (sign(W) (input · x)).
 *
 * Power iteration from input = 1: each half fits one vector by least squares to the other, so the error in float64 never
 * rises, and the limit is the pair of leading singular vectors of |W|, which have no negative entry (Perron and
 * Frobenius); it is the best nonnegative factorisation of rank 1 at the same time. Both vectors get the same norm.
 *
 * @param w [rows, cols] row-major
 * @throws at the first step: TypeError, RangeError for a wrong argument or NaN or Infinity in w
 */
export function* signPlane(
  where: string,
  w: Float32Array,
  shape: MatrixShape,
  options: SignOptions = {},
): Generator<number, SignFit> {
  const { rows, cols } = shape;
  const iterations =
    options.iterations === undefined ? 20 : checkInteger(`${where}: iterations`, options.iterations, 1, 1000);
  checkWeights(where, w, shape);
  const stepRows = Math.max(1, Math.floor((4 * STEP_WEIGHTS) / cols));
  const passes = iterations + 1;

  const rowBytes = Math.ceil(cols / 8);
  const signs = new Uint8Array(rows * rowBytes);
  let power = 0;
  for (let row = 0; row < rows; ) {
    const end = Math.min(rows, row + stepRows);
    for (; row < end; row++) power += writeSigns(w, row, cols, signs, row * rowBytes);
    yield row / rows / passes;
  }

  const input = new Float64Array(cols).fill(1);
  const output = new Float64Array(rows);
  const next = new Float64Array(cols);
  let error = power;
  for (let pass = 1; pass <= iterations && power > 0; pass++) {
    const inputPower = squares(input);
    next.fill(0);
    for (let row = 0; row < rows; ) {
      const end = Math.min(rows, row + stepRows);
      for (; row < end; row++) output[row] = fitRow(w, row * cols, input, inputPower, next);
      yield (pass + row / rows) / passes;
    }
    // With input = |W|^T output / |output|^2 the squared error is Σ w^2 - |input|^2 |output|^2.
    const outputPower = squares(output);
    for (let col = 0; col < cols; col++) input[col] = (next[col] as number) / outputPower;
    const last = error;
    error = Math.max(0, power - squares(input) * outputPower);
    if (error >= last * (1 - SMALL_GAIN)) break;
  }

  const inputNorm = Math.sqrt(squares(input));
  const outputNorm = Math.sqrt(squares(output));
  const balance = power > 0 ? Math.sqrt(outputNorm / inputNorm) : 0;
  return {
    signs,
    input: Float32Array.from(input, (value) => value * balance),
    output: Float32Array.from(output, (value) => (power > 0 ? value / balance : 0)),
    error,
  };
}

function squares(values: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) * (values[i] as number);
  return sum;
}

/** Returns Σ w^2 of the row. */
function writeSigns(w: Float32Array, row: number, cols: number, signs: Uint8Array, to: number): number {
  let power = 0;
  for (let col = 0, at = row * cols; col < cols; col++, at++) {
    const value = w[at] as number;
    power += value * value;
    if (value >= 0) signs[to + (col >> 3)] = (signs[to + (col >> 3)] as number) | (1 << (col & 7));
  }
  return power;
}

/** The least-squares factor of `input` for |w| of a row; adds factor · |w| to `next`. */
function fitRow(w: Float32Array, start: number, input: Float64Array, inputPower: number, next: Float64Array): number {
  let product = 0;
  for (let col = 0; col < input.length; col++) product += Math.abs(w[start + col] as number) * (input[col] as number);
  const factor = product / inputPower;
  for (let col = 0; col < input.length; col++) {
    next[col] = (next[col] as number) + factor * Math.abs(w[start + col] as number);
  }
  return factor;
}
