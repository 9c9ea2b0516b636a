// Lifted weights: rows that are normalised, and signs b with M b near each vector of `dims` columns (LiftQuant, section 3).
//
// A row of weights is [dims, vectors] and its signs are [lifted, vectors], so that the vectors are columns of both and the
// activations of all signs are one product Mᵀ X. Neighbours then come from different vectors and are not correlated, which
// the tables of lut8 like: a third less error than with the signs of a vector side by side.
import { inParts, joinRows, type PartTask } from "../../lib/parts.ts";
import type { Steps } from "../../lib/progress.ts";
import type { Quantizer } from "../../numeric/gptq.ts";
import { type Projection, signSearch } from "./signs.ts";

/** w[row] ≈ scales[row] · colScale ⊙ (M B), B [lifted, vectors]. */
export interface LiftedRows {
  /** [rows, ceil(lifted columns / 8)]: bit j of byte b is lifted column 8b + j, 1 = +1. */
  readonly signs: Uint8Array;
  /** [rows], 0 for a row of zeros */
  readonly scales: Float32Array;
}

/** Vectors between two yields: a few milliseconds at 50 to 100 µs each. */
const STEP_VECTORS = 64;

/**
 * The signs of a whitened matrix. A row is divided by colScale and by its root mean square, so that it looks like the unit
 * Gaussians that M was learned for; its scale is then the least-squares factor of what the signs stand for.
 *
 * @param w [rows, cols], cols a multiple of projection.dims; columns from `used` on are 0
 * @param colScale [cols], positive
 * @param beam of the search
 */
export function* liftRows(
  w: Float32Array,
  rows: number,
  used: number,
  colScale: Float32Array,
  projection: Projection,
  beam?: number,
): Steps<LiftedRows> {
  const cols = colScale.length;
  const { dims, lifted, matrix } = projection;
  const vectors = cols / dims;
  const rowBytes = Math.ceil((vectors * lifted) / 8);
  const signs = new Uint8Array(rows * rowBytes);
  const scales = new Float32Array(rows);
  const search = signSearch(projection, beam);
  const line = new Float64Array(cols);
  const vector = new Float64Array(dims);
  const found = new Int8Array(lifted);
  for (let row = 0, since = 0; row < rows; row++) {
    const weights = w.subarray(row * cols, (row + 1) * cols);
    let power = 0;
    for (let col = 0; col < cols; col++) {
      const value = (weights[col] as number) / (colScale[col] as number);
      line[col] = value;
      power += value * value;
    }
    if (power === 0) continue; // any signs will do with a scale of 0
    const rms = Math.sqrt(power / used);
    for (let col = 0; col < cols; col++) line[col] = (line[col] as number) / rms;
    // Least squares of the row itself, colScale included.
    let along = 0;
    let norm = 0;
    for (let v = 0; v < vectors; v++) {
      for (let i = 0; i < dims; i++) vector[i] = line[i * vectors + v] as number;
      search.nearest(vector, 0, found);
      writeSigns(signs, row * rowBytes, found, vectors, v);
      for (let i = 0; i < dims; i++) {
        const col = i * vectors + v;
        const value = sumOf(matrix, i, found) * (colScale[col] as number);
        along += value * (weights[col] as number);
        norm += value * value;
      }
      if (++since === STEP_VECTORS) {
        since = 0;
        yield (row + v / vectors) / rows;
      }
    }
    scales[row] = along / norm;
  }
  return { signs, scales };
}

interface Args {
  readonly w: Float32Array;
  readonly used: number;
  readonly colScale: Float32Array;
  readonly projection: Projection;
  readonly beam: number;
}

export const liftTask: PartTask<Args, LiftedRows> = {
  name: "lift",
  run: ({ w, used, colScale, projection, beam }) =>
    liftRows(w, w.length / colScale.length, used, colScale, projection, beam),
};

/** As `liftRows`, whose rows are independent. */
export function liftInParts(
  w: Float32Array,
  rows: number,
  used: number,
  colScale: Float32Array,
  projection: Projection,
  beam: number,
): Steps<LiftedRows> {
  const cols = colScale.length;
  return inParts(liftTask, {
    units: rows,
    // 20 µs a vector, and 0.5 for each that is kept.
    time: (w.length / projection.dims) * (0.02 + beam * 5e-4),
    part: (begin, end) => ({ w: w.subarray(begin * cols, end * cols), used, colScale, projection, beam }),
    join: (parts) => ({
      signs: joinRows(parts.map(({ signs }) => signs)),
      scales: joinRows(parts.map(({ scales }) => scales)),
    }),
  });
}

/** Sets the bits of the signs of vector v, in bytes from `at` on. */
function writeSigns(signs: Uint8Array, at: number, found: Int8Array, vectors: number, v: number): void {
  for (let j = 0; j < found.length; j++) {
    const bit = j * vectors + v;
    if (found[j] === 1) signs[at + (bit >> 3)] = (signs[at + (bit >> 3)] as number) | (1 << (bit & 7));
  }
}

/** (M b)_i */
function sumOf(matrix: Float64Array | Float32Array, i: number, signs: Int8Array): number {
  let sum = 0;
  for (let j = 0; j < signs.length; j++) sum += (matrix[i * signs.length + j] as number) * (signs[j] as number);
  return sum;
}

/**
 * The same vector by vector, for feedback between them: columns are in the order of vectors, [vectors, dims], and the scale
 * of a row is its root mean square from the beginning, where M has no better factor for unit Gaussians than 1.
 */
export class LiftQuantizer implements Quantizer {
  readonly blockSize: number;
  readonly fit: LiftedRows;
  readonly #colScale: Float32Array;
  readonly #matrix: Projection["matrix"];
  readonly #search: ReturnType<typeof signSearch>;
  readonly #found: Int8Array;
  readonly #rowBytes: number;

  /**
   * @param w [rows, cols] as of liftRows
   * @param colScale [cols], in its order too
   */
  constructor(
    w: Float32Array,
    rows: number,
    used: number,
    colScale: Float32Array,
    projection: Projection,
    beam?: number,
  ) {
    const cols = colScale.length;
    const { dims, lifted, matrix } = projection;
    this.blockSize = dims;
    this.#colScale = colScale;
    this.#matrix = matrix;
    this.#search = signSearch(projection, beam);
    this.#found = new Int8Array(lifted);
    this.#rowBytes = Math.ceil((cols * lifted) / dims / 8);
    const scales = Float32Array.from({ length: rows }, (_, row) => {
      let power = 0;
      for (let col = 0; col < cols; col++) {
        const value = (w[row * cols + col] as number) / (colScale[col] as number);
        power += value * value;
      }
      return Math.sqrt(power / used);
    });
    this.fit = { signs: new Uint8Array(rows * this.#rowBytes), scales };
  }

  encode(row: number, col: number, values: Float64Array, out: Float64Array): void {
    const { signs, scales } = this.fit;
    const dims = this.blockSize;
    const vectors = this.#colScale.length / dims;
    const v = col / dims;
    const scale = scales[row] as number;
    out.fill(0);
    if (scale === 0) return;
    const unit = (i: number): number => scale * (this.#colScale[i * vectors + v] as number);
    const vector = Float64Array.from({ length: dims }, (_, i) => (values[i] as number) / unit(i));
    this.#search.nearest(vector, 0, this.#found);
    writeSigns(signs, row * this.#rowBytes, this.#found, vectors, v);
    for (let i = 0; i < dims; i++) out[i] = unit(i) * sumOf(this.#matrix, i, this.#found);
  }
}

/** Root mean square of each column. */
export function columnRms(w: Float32Array, rows: number, cols: number): Float64Array {
  const sums = new Float64Array(cols);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++, at++)
      sums[col] = (sums[col] as number) + (w[at] as number) * (w[at] as number);
  }
  return sums.map((sum) => Math.sqrt(sum / rows));
}
