import type { Activation } from "../src/kernels/types.ts";
import type { BenchWeights } from "./formats/format.ts";
import { makeRandom } from "./random.ts";
import type { Shape } from "./shapes.ts";

/** The random data of one shape, shared by all its cases. */
export interface Layer {
  readonly shape: Shape;
  /** [at least CHECK_TOKENS, cols], Gaussian. */
  readonly x: Float32Array;
}

export function makeLayer(shape: Shape, tokens: number): Layer {
  const random = makeRandom(3);
  const x = new Float32Array(Math.max(CHECK_TOKENS, tokens) * shape.cols);
  for (let i = 0; i < x.length; i++) x[i] = random.gaussian();
  return { shape, x };
}

/**
 * Tokens of a check, also where the case itself takes fewer. The NMSE of one Gaussian token scatters, and that of a
 * sample of rows scatters more: judged by one token, a kernel near its limit would be right or wrong by the seed.
 */
export const CHECK_TOKENS = 4;

const SAMPLE_ROWS = 256;

/** `count` of 0..total-1, evenly spread, the first and the last among them. */
function spread(total: number, count: number): number[] {
  if (total <= count) return Array.from({ length: total }, (_, i) => i);
  return Array.from({ length: count }, (_, i) => Math.floor((i * (total - 1)) / (count - 1)));
}

/** Float64 answers for a sample of rows: the whole product of the largest shape would take minutes. */
export class Reference {
  readonly #layer: Layer;
  readonly #sample: readonly { readonly row: number; readonly weights: Float64Array }[];
  readonly #answers = new Map<number, Float64Array>();

  constructor(layer: Layer, weights: Pick<BenchWeights, "decodeRow">) {
    this.#layer = layer;
    const rows = spread(layer.shape.rows, SAMPLE_ROWS);
    this.#sample = rows.map((row) => ({ row, weights: weights.decodeRow(row) }));
  }

  /**
   * NMSE of `compute` over about `tokens` tokens: sum of squared errors / sum of squares; NaN when a value is NaN.
   * `compute` is given the first of n tokens and returns [n, rows].
   */
  nmse(n: number, tokens: number, compute: (token: number) => ArrayLike<number>): number {
    const { rows } = this.#layer.shape;
    let errors = 0;
    let squares = 0;
    for (let first = 0; first < tokens; first += n) {
      const y = compute(first);
      for (const token of spread(n, tokens)) {
        const answer = this.#answer(first + token);
        for (const [i, { row }] of this.#sample.entries()) {
          const exact = answer[i] as number;
          errors += (exact - (y[token * rows + row] as number)) ** 2;
          squares += exact ** 2;
        }
      }
    }
    return errors / squares;
  }

  #answer(token: number): Float64Array {
    const known = this.#answers.get(token);
    if (known) return known;
    const { shape, x } = this.#layer;
    const start = token * shape.cols;
    const answer = Float64Array.from(this.#sample, ({ weights }) => {
      let sum = 0;
      for (let c = 0; c < shape.cols; c++) sum += (weights[c] as number) * (x[start + c] as number);
      return sum;
    });
    this.#answers.set(token, answer);
    return answer;
  }
}

/**
 * The largest NMSE that each activation's contract allows on Gaussian x. What int8 must be bit by bit is the tests'
 * business; here a limit of its rounding error catches a kernel that computes something else. One
 * bit leaves 1 - 2/π = 0.36 of the power.
 */
const limits: Readonly<Record<Activation, number>> = { int8: 2e-4, lut8: 2e-4, f32: 1e-10, bits: 0.5 };

/**
 * f32 with a table that the library rounds to 16 bits: half of 1/32767 of its largest entry at most, so about
 * (1/32767)² / 12 = 8e-11 of the largest square, and a few times that of the mean one.
 */
const ROUNDED_LIMIT = 1e-7;

/** Undefined when the answer is right, otherwise what is wrong with it. */
export function complaint(nmse: number, activation: Activation, rounded: boolean): string | undefined {
  const limit = rounded ? Math.max(ROUNDED_LIMIT, limits[activation]) : limits[activation];
  return nmse <= limit ? undefined : `NMSE ${nmse.toExponential(1)}, allowed ${limit.toExponential(0)}`;
}
