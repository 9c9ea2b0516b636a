// Rounding with feedback: what one column's rounding costs the product W x is made up for by the columns still to come.
//
// GPTQ (Frantar et al. 2023, arXiv:2210.17323) and LDLQ (QuIP, Chee et al. 2023, arXiv:2307.13304; by blocks in QuIP#) are
// the same method. With H = Σ x xᵀ = L D Lᵀ the error is
//
//   tr((W - Ŵ) H (W - Ŵ)ᵀ) = Σ_k tr(r_k D_k r_kᵀ),   r_k = w_k + Σ_{j>k} (w_j - ŵ_j) L_jk - ŵ_k
//
// so that with blocks from last to first, each has to be rounded once, with the errors of those after it fed back. For an
// unbounded integer grid that is Babai's nearest plane on the basis D^½ Lᵀ (arXiv:2507.18553).
import {
  checkArray,
  checkChoice,
  checkFinite,
  checkFloatArray,
  checkInteger,
  checkOptions,
  MAX_COLS,
  MAX_ROWS,
  rangeError,
  typeError,
} from "../lib/check.ts";
import type { FloatTensor } from "../lib/floats.ts";
import { type OptionNames, readOptions, settle, settleCopies } from "../lib/options.ts";
import {
  checkProgress,
  PROGRESS_NAMES,
  type ProgressOptions,
  part,
  runAsync,
  runNow,
  type Steps,
} from "../lib/progress.ts";
import { type Factor, factorHessian, factorWork } from "./factor.ts";
import { checkWeights } from "./shape.ts";

/** Rounds weights, a run of columns of one row at a time, and keeps the codes that it chooses. */
export interface Quantizer {
  /** Columns that share a code: 1 for scalar formats, 8 for E8. */
  readonly blockSize: number;
  /** Rows that share a code, of which `rows` is a multiple. Default 1; trellis codes have 16. */
  readonly together?: number;
  /**
   * Rounds columns col .. col + blockSize - 1 of a row, or of the `together` rows from it on. Each is asked for once; in
   * which order depends on the options.
   * @param values [together, blockSize]: the weights with what was fed back; valid during the call
   * @param out [together, blockSize]: what the code stands for
   */
  encode(row: number, col: number, values: Float64Array, out: Float64Array): void;
}

/** What quantizers have in common, which `pack` does not take: callers spread a quantizer into its options. */
export const QUANTIZER_MEMBERS: readonly string[] = ["blockSize", "encode"];

export interface GptqOptions extends ProgressOptions {
  readonly rows: number;
  readonly cols: number;
  /** What is added to the diagonal of the Hessian, as a part of its mean. Default 0.01. */
  readonly damping?: number;
  /**
   * Which columns are rounded first, and so have all others to make up for them: "last" (default, as QuIP# and QTIP),
   * "first" (as GPTQ), or "activation": those of the largest diagonal of the Hessian (GPTQ's act-order).
   */
  readonly order?: "last" | "first" | "activation";
}

export interface GptqResult {
  /** [rows, cols]: what the codes stand for. */
  readonly weights: Float32Array;
  /** tr((W - Ŵ) H (W - Ŵ)ᵀ), damping included. */
  readonly error: number;
}

const NAMES: OptionNames<GptqOptions> = {
  ...PROGRESS_NAMES,
  rows: [],
  cols: [],
  damping: ["damp_percent", "percdamp"],
  order: [],
};

/** Rows whose feedback is computed together: each number of L that is read serves all. */
const TILE = 4;
/** Products between two yields: a few milliseconds. */
const STEP_PRODUCTS = 1 << 22;
/** Entries on both sides of the diagonal may differ by so much of the geometric mean of their diagonal entries. */
const ASYMMETRY = 1e-5;

const ORDERS = ["last", "first", "activation"] as const;

/**
 * Quantises W so that W x changes little for the inputs that the Hessian was made of.
 *
 * @param w [rows, cols] row-major
 * @param hessian [cols, cols], Σ x xᵀ over inputs, or any multiple of it
 * @param quantizer holds the codes afterwards
 * @throws TypeError, RangeError for a wrong argument, NaN or Infinity, columns that are no multiple of the block size, a
 * Hessian that is not symmetric or too close to singular; the reason of an aborted signal
 */
export function gptq(
  w: FloatTensor,
  hessian: FloatTensor | Float64Array,
  quantizer: Quantizer,
  options: GptqOptions,
): GptqResult {
  const given = readOptions("gptq", options, NAMES);
  return runNow("gptq", settledWork("gptq", w, hessian, quantizer, given), given);
}

/** As `gptq`, with turns for the event loop. */
export async function gptqAsync(
  w: FloatTensor,
  hessian: FloatTensor | Float64Array,
  quantizer: Quantizer,
  options: GptqOptions,
): Promise<GptqResult> {
  const given = readOptions("gptqAsync", options, NAMES);
  return runAsync("gptqAsync", settledWork("gptqAsync", w, hessian, quantizer, given), given);
}

// The quantizer may be the caller's, so arrays are copied.
function settledWork(
  where: string,
  w: FloatTensor,
  hessian: FloatTensor | Float64Array,
  quantizer: Quantizer,
  options: GptqOptions,
): Steps<GptqResult> {
  const [values, h] = [settleCopies(`${where}: w`, w), settleCopies(`${where}: hessian`, hessian)];
  return work(where, values as Float32Array, h as Float32Array | Float64Array, quantizer, options);
}

/** The steps of `gptq` for callers that have more to do: `where` is what messages begin with. Checks at its first step. */
export function* work(
  where: string,
  w: Float32Array,
  hessian: Float32Array | Float64Array,
  given: Quantizer,
  options: GptqOptions,
): Steps<GptqResult> {
  checkProgress(where, options);
  const { damping = 0.01, order = "last" } = options;
  const rows = checkInteger(`${where}: rows`, options.rows, 1, MAX_ROWS);
  const cols = checkInteger(`${where}: cols`, options.cols, 1, MAX_COLS);
  checkChoice(`${where}: order`, order, ORDERS);
  if (typeof damping !== "number") throw typeError(`${where}: damping`, "a number", damping);
  if (!(damping >= 0 && damping < Number.POSITIVE_INFINITY)) {
    throw rangeError(`${where}: damping`, "a finite number from 0", damping);
  }
  checkOptions(`${where}: quantizer`, given);
  const { encode, blockSize: size, together = 1 } = given;
  if (typeof encode !== "function") throw typeError(`${where}: encode`, "a function", encode);
  const blockSize = checkInteger(`${where}: blockSize`, size, 1, MAX_COLS);
  if (cols % blockSize !== 0) {
    const below = cols - (cols % blockSize);
    const near = below === 0 ? `${blockSize} works` : `${below} and ${below + blockSize} work`;
    throw rangeError(`${where}: cols`, `a multiple of ${blockSize} (block size)`, `${cols} (${near})`);
  }
  checkInteger(`${where}: together`, together, 1, MAX_ROWS);
  if (rows % together !== 0) throw rangeError(`${where}: rows`, `a multiple of ${together} (rows of a code)`, rows);
  checkWeights(where, w, { rows, cols });
  checkHessian(`${where}: hessian`, hessian, cols);
  const blocks = blockOrder(hessian, cols, blockSize, order);
  const columns = Uint32Array.from({ length: cols }, (_, i) => {
    return (blocks[Math.floor(i / blockSize)] as number) * blockSize + (i % blockSize);
  });
  const share = factorWork(cols) / (factorWork(cols) + feedbackWork(rows, cols));
  const inOrder = damped(hessian, columns, damping);
  const nameOf = (i: number): number => columns[i] as number;
  const factor = yield* part(factorHessian(`${where}: hessian`, inOrder, cols, blockSize, nameOf), 0, share);
  const rounding = round(w, rows, factor, columns, { blockSize, together, encode: encode.bind(given) });
  return yield* part(rounding, share, 1);
}

const feedbackWork = (rows: number, cols: number): number => (rows * cols * cols) / 2;

/** Refuses a wrong type or length, NaN and Infinity, a negative diagonal or one of zeros, and what is not symmetric. */
export function checkHessian(where: string, given: unknown, cols: number): void {
  const hessian = checkArray(where, given, ["Float32Array", "Float64Array"]);
  if (hessian.length !== cols * cols) {
    throw rangeError(where, `length ${cols * cols} (cols ${cols} x ${cols})`, String(hessian.length));
  }
  const roots = Float64Array.from({ length: cols }, (_, i) => {
    const value = hessian[i * cols + i] as number;
    if (value >= 0 && value < Number.POSITIVE_INFINITY) return Math.sqrt(value);
    throw rangeError(where, "finite numbers from 0 on the diagonal", `${value} at row ${i}, column ${i}`);
  });
  if (roots.every((root) => root === 0)) throw rangeError(where, "a diagonal that is not all 0", "zeros");
  for (let i = 0; i < cols; i++) {
    for (let j = 0; j < i; j++) {
      const lower = hessian[i * cols + j] as number;
      const upper = hessian[j * cols + i] as number;
      if (!Number.isFinite(lower) || !Number.isFinite(upper)) {
        const [value, row, col] = Number.isFinite(lower) ? [upper, j, i] : [lower, i, j];
        throw rangeError(where, "finite numbers", `${value} at row ${row}, column ${col}`);
      }
      if (Math.abs(lower - upper) > ASYMMETRY * (roots[i] as number) * (roots[j] as number)) {
        throw rangeError(where, "a symmetric matrix", `${lower} at row ${i}, column ${j} and ${upper} across`);
      }
    }
  }
}

/** The blocks of columns so that the last is rounded first. */
function blockOrder(
  hessian: Float32Array | Float64Array,
  cols: number,
  blockSize: number,
  order: (typeof ORDERS)[number],
): Uint32Array {
  const blocks = Uint32Array.from({ length: cols / blockSize }, (_, i) => i);
  if (order === "first") return blocks.reverse();
  if (order === "last") return blocks;
  const weights = Float64Array.from(blocks, (block) => {
    let sum = 0;
    for (let i = block * blockSize; i < (block + 1) * blockSize; i++) sum += hessian[i * cols + i] as number;
    return sum;
  });
  return blocks.sort((a, b) => (weights[a] as number) - (weights[b] as number) || b - a);
}

/** H with its columns in that order and the damping added, the mean of both triangles in the lower one. */
function damped(hessian: Float32Array | Float64Array, columns: Uint32Array, damping: number): Float64Array {
  const n = columns.length;
  let trace = 0;
  for (let i = 0; i < n; i++) trace += hessian[i * n + i] as number;
  const added = (damping * trace) / n;
  const h = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const row = columns[i] as number;
    for (let j = 0; j < i; j++) {
      const col = columns[j] as number;
      h[i * n + j] = ((hessian[row * n + col] as number) + (hessian[col * n + row] as number)) / 2;
    }
    h[i * n + i] = (hessian[row * n + row] as number) + added;
  }
  return h;
}

function* round(
  w: Float32Array,
  rows: number,
  { values: l, n, blockSize }: Factor,
  columns: Uint32Array,
  { together, encode }: Required<Quantizer>,
): Steps<GptqResult> {
  const weights = new Float32Array(w.length);
  const tile = Math.ceil(TILE / together) * together;
  const lines = Math.ceil(tile / TILE) * TILE;
  // w - ŵ of the rows of a tile, in the order of the factor.
  const errors = Array.from({ length: lines }, () => new Float64Array(n));
  const fed = new Float64Array(lines * blockSize);
  const out = new Float64Array(together * blockSize);
  const total = feedbackWork(rows, n);
  let error = 0;
  let done = 0;
  let last = 0;
  for (let row = 0; row < rows; row += tile) {
    const count = Math.min(tile, rows - row);
    for (let first = n - blockSize; first >= 0; first -= blockSize) {
      const end = first + blockSize;
      const col = columns[first] as number;
      for (let from = 0; from < count; from += TILE) {
        const [e0, e1, e2, e3] = errors.slice(from, from + TILE) as [
          Float64Array,
          Float64Array,
          Float64Array,
          Float64Array,
        ];
        for (let c = 0; c < blockSize; c++) {
          const line = l.subarray((first + c) * n, (first + c + 1) * n);
          let s0 = 0;
          let s1 = 0;
          let s2 = 0;
          let s3 = 0;
          for (let j = end; j < n; j++) {
            const factor = line[j] as number;
            s0 += factor * (e0[j] as number);
            s1 += factor * (e1[j] as number);
            s2 += factor * (e2[j] as number);
            s3 += factor * (e3[j] as number);
          }
          const sums = [s0, s1, s2, s3];
          for (let r = 0; r < TILE && from + r < count; r++) {
            fed[(from + r) * blockSize + c] = (w[(row + from + r) * n + col + c] as number) + (sums[r] as number);
          }
        }
      }
      for (let r = 0; r < count; r++) {
        const values = fed.subarray(r * blockSize, (r + 1) * blockSize);
        const its = (r % together) * blockSize;
        if (its === 0) encode(row + r, col, fed.subarray(r * blockSize, (r + together) * blockSize), out);
        for (let c = 0; c < blockSize; c++) {
          const at = (row + r) * n + col + c;
          const value = out[its + c] as number;
          weights[at] = value;
          (errors[r] as Float64Array)[first + c] = (w[at] as number) - value;
          values[c] = (values[c] as number) - value;
        }
        // r C of the diagonal block, squared.
        for (let c = 0; c < blockSize; c++) {
          let sum = 0;
          for (let s = c; s < blockSize; s++) sum += (values[s] as number) * (l[(first + s) * n + first + c] as number);
          error += sum * sum;
        }
      }
      done += count * blockSize * (n - end);
      if (done - last > STEP_PRODUCTS) {
        last = done;
        yield done / total;
      }
    }
  }
  return { weights, error };
}

/**
 * The Hessian of inputs, Σ x xᵀ / tokens, in float64.
 *
 * @param inputs [tokens, cols] row-major
 * @returns [cols, cols]
 * @throws TypeError, RangeError for a wrong length, NaN or Infinity
 */
export function hessianOf(inputs: FloatTensor, cols: number): Float64Array {
  const where = "hessianOf";
  checkInteger(`${where}: cols`, cols, 1, MAX_COLS);
  const x = checkFloatArray(`${where}: x`, settle(`${where}: x`, inputs));
  const tokens = x.length / cols;
  if (tokens === 0 || !Number.isInteger(tokens)) {
    throw rangeError(`${where}: x`, `a length that is a multiple of ${cols} (cols)`, String(x.length));
  }
  checkFinite(`${where}: x`, x);
  const h = new Float64Array(cols * cols);
  for (let token = 0; token < tokens; token++) {
    const one = x.subarray(token * cols, (token + 1) * cols);
    for (let i = 0; i < cols; i++) {
      const factor = (one[i] as number) / tokens;
      for (let j = 0; j <= i; j++) h[i * cols + j] = (h[i * cols + j] as number) + factor * (one[j] as number);
    }
  }
  for (let i = 0; i < cols; i++) for (let j = 0; j < i; j++) h[j * cols + i] = h[i * cols + j] as number;
  return h;
}
