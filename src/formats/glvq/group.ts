// The search in one group.
import { rangeError } from "../../lib/check.ts";
import type { Steps } from "../../lib/progress.ts";
import { factorSpd, solveSpd } from "../../numeric/dense.ts";
import { invert } from "../../numeric/invert.ts";
import { type BabaiLattice, babai, nearestHalf } from "../../numeric/points.ts";
import { STEP_WEIGHTS } from "../../numeric/shape.ts";

export type GlvqBits = 2 | 3 | 4;
export type GlvqDimension = 8 | 16 | 32;
export const GLVQ_DIMENSIONS = [8, 16, 32] as const;

export interface GlvqShape {
  readonly rows: number;
  readonly cols: number;
  readonly bits: GlvqBits;
  readonly dimension: GlvqDimension;
  readonly groupSize: number;
}

/** ‖G‖·‖G⁻¹‖ (Frobenius) beyond which G counts as singular: Gᵀx in float32 would be mostly noise. */
export const MAX_CONDITION = 1e6;

/** Refuses a G that is singular, or nearly so. */
export function checkBasis(where: string, basis: Float32Array, d: number): void {
  const condition = norm(basis) * norm(invert(where, basis, d));
  if (condition <= MAX_CONDITION) return;
  throw rangeError(where, `an invertible matrix, of condition ${MAX_CONDITION} at most`, condition.toPrecision(3));
}

function norm(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) * (values[i] as number);
  return Math.sqrt(sum);
}
/** Variance of a column given those before it, at least, as a part of the mean variance of the group. */
const LEAST_PIVOT = 1e-4;
/** What holds a basis where it is in directions that no vector has, as a part of the mean of the normal equations. */
const RIDGE = 1e-6;
/** A row of G does not become shorter by more in one step. */
const SMALLEST_ROW = 1e-2;
/** The basis of a group of zeros: half-integers have no 0, so this is how near they come. */
const NOTHING = 2 ** -100;
/** Rounds over the coordinates of a vector, each moved to where the error is least. */
const SWEEPS = 2;

/** The vectors of one group. */
export class Vectors {
  readonly first: number;
  readonly width: number;
  readonly perRow: number;
  constructor({ cols, dimension, groupSize }: Omit<GlvqShape, "bits" | "rows">, group: number) {
    this.first = group * groupSize;
    this.width = Math.min(groupSize, cols - this.first);
    this.perRow = Math.ceil(this.width / dimension);
  }
}

/** Rounds vectors to points of a lattice: nearest plane, then one coordinate at a time. */
export class Rounding {
  readonly #lattice: BabaiLattice;
  readonly #columns: Float64Array;
  readonly #most: number;
  readonly #rest: Float64Array;
  readonly #found: Float64Array;

  /** @param most the largest of the half-integers */
  constructor(basis: Float32Array, d: number, most: number) {
    this.#lattice = babai(basis, d);
    this.#columns = Float64Array.from(basis, (_, i) => basis[(i % d) * d + Math.floor(i / d)] as number);
    this.#most = most;
    this.#rest = new Float64Array(d);
    this.#found = new Float64Array(d);
  }

  /**
   * @param v [d]
   * @param z [d], replaced by what is found if that is nearer
   * @param weights [d]: of the square errors
   * @param fresh z is not a point yet
   * @returns the square error
   */
  nearest(v: Float64Array, z: Float64Array, weights: Float64Array, fresh: boolean): number {
    const found = this.#lattice.halves(v, this.#most, this.#found);
    const error = this.#improve(v, found, weights);
    const before = fresh ? Number.POSITIVE_INFINITY : this.#improve(v, z, weights);
    if (error < before) z.set(found);
    return Math.min(error, before);
  }

  #improve(v: Float64Array, z: Float64Array, weights: Float64Array): number {
    const d = v.length;
    const columns = this.#columns;
    const rest = this.#rest;
    rest.set(v);
    for (let j = 0; j < d; j++) {
      const by = z[j] as number;
      for (let i = 0, at = j * d; i < d; i++, at++) rest[i] = (rest[i] as number) - by * (columns[at] as number);
    }
    for (let sweep = 0; sweep < SWEEPS; sweep++) {
      let moved = false;
      for (let j = 0; j < d; j++) {
        let product = 0;
        let square = 0;
        for (let i = 0, at = j * d; i < d; i++, at++) {
          const weighted = (weights[i] as number) * (columns[at] as number);
          product += weighted * (rest[i] as number);
          square += weighted * (columns[at] as number);
        }
        const old = z[j] as number;
        const by = nearestHalf(old + product / square, this.#most) - old;
        // A tie stays.
        if (!(by !== 0 && 2 * by * product > by * by * square)) continue;
        moved = true;
        z[j] = old + by;
        for (let i = 0, at = j * d; i < d; i++, at++) rest[i] = (rest[i] as number) - by * (columns[at] as number);
      }
      if (!moved) break;
    }
    let error = 0;
    for (let i = 0; i < d; i++) error += (weights[i] as number) * (rest[i] as number) * (rest[i] as number);
    return error;
  }
}

/** Moments of the weights of a group, divided by the scales of their rows. */
export interface Moments {
  readonly second: number;
  readonly fourth: number;
}

/** What vectors are compressed by before they are rounded; it changes v and weights in place. */
export interface Compressor {
  compress(group: number, v: Float64Array, weights: Float64Array): void;
}

/** The search in one group. */
export class GroupFit {
  readonly vectors: Vectors;
  readonly basis: Float32Array;
  readonly #w: Float32Array;
  readonly #shape: GlvqShape;
  readonly #scales: Float32Array;
  readonly #points: Float64Array;
  readonly #most: number;
  readonly #padded: number;
  readonly #v: Float64Array;
  readonly #weights: Float64Array;
  #compressor: Compressor | undefined;
  #group = 0;

  constructor(
    w: Float32Array,
    shape: GlvqShape,
    group: number,
    scales: Float32Array,
    basis: Float32Array,
    points: Float64Array,
    most: number,
  ) {
    this.vectors = new Vectors(shape, group);
    this.basis = basis;
    this.#w = w;
    this.#shape = shape;
    this.#scales = scales;
    this.#points = points;
    this.#most = most;
    this.#padded = points.length / shape.rows;
    this.#v = new Float64Array(shape.dimension);
    this.#weights = new Float64Array(shape.dimension).fill(1);
  }

  /** From now on vectors are those of F(w). */
  compand(compressor: Compressor, group: number): void {
    this.#compressor = compressor;
    this.#group = group;
  }

  /** Reads vector `i` of a row: weights divided by its scale. False for a row of zeros. */
  read(row: number, i: number, v: Float64Array): boolean {
    const scale = this.#scales[row] as number;
    if (scale === 0) return false;
    const { cols, dimension: d } = this.#shape;
    const from = this.vectors.first + i * d;
    const end = this.vectors.first + this.vectors.width;
    for (let k = 0; k < d; k++) v[k] = from + k < end ? (this.#w[row * cols + from + k] as number) / scale : 0;
    return true;
  }

  /** Where the point of a vector is. */
  place(row: number, i: number): number {
    return row * this.#padded + this.vectors.first + i * this.#shape.dimension;
  }

  /** Columns of vector `i` that are not padding. */
  count(i: number): number {
    return Math.min(this.#shape.dimension, this.vectors.width - i * this.#shape.dimension);
  }

  scale(row: number): number {
    return this.#scales[row] as number;
  }

  get rows(): number {
    return this.#shape.rows;
  }

  moments(): Moments {
    let [second, fourth, count] = [0, 0, 0];
    for (let row = 0; row < this.rows; row++) {
      for (let i = 0; i < this.vectors.perRow; i++) {
        if (!this.read(row, i, this.#v)) continue;
        for (const value of this.#v) {
          const square = value * value;
          second += square;
          fourth += square * square;
        }
      }
      count += this.vectors.width;
    }
    return { second: second / count, fourth: fourth / count };
  }

  // A vector as the basis meets it, with the weights of its errors.
  #target(row: number, i: number): boolean {
    if (!this.read(row, i, this.#v)) return false;
    this.#compressor?.compress(this.#group, this.#v, this.#weights);
    return true;
  }

  /** G = step · C, C the Cholesky factor of the covariance. */
  start(step: number): void {
    const d = this.#shape.dimension;
    const covariance = new Float64Array(d * d);
    let total = 0;
    for (let row = 0; row < this.rows; row++) {
      const weight = this.scale(row) * this.scale(row);
      for (let i = 0; i < this.vectors.perRow; i++) {
        if (!this.#target(row, i)) continue;
        total += weight;
        addOuter(covariance, this.#v, this.#v, weight);
      }
    }
    let trace = 0;
    for (let k = 0; k < d; k++) trace += covariance[k * d + k] as number;
    const { basis } = this;
    basis.fill(0);
    if (!(trace > 0)) {
      for (let k = 0; k < d; k++) basis[k * d + k] = NOTHING;
      return;
    }
    const factor = factorSpd(covariance, d, (LEAST_PIVOT * trace) / d);
    for (let i = 0; i < basis.length; i++) basis[i] = (step * (factor[i] as number)) / Math.sqrt(total);
  }

  /** Points for all vectors. */
  *round(fresh: boolean): Steps<void> {
    const d = this.#shape.dimension;
    const { perRow } = this.vectors;
    const rounding = new Rounding(this.basis, d, this.#most);
    let since = 0;
    for (let row = 0; row < this.rows; row++) {
      for (let i = 0; i < perRow; i++) {
        const at = this.place(row, i);
        const z = this.#points.subarray(at, at + d);
        if (this.#target(row, i)) rounding.nearest(this.#v, z, this.#weights, fresh);
        else z.fill(0.5);
      }
      since += perRow * d;
      if (since < STEP_WEIGHTS) continue;
      since = 0;
      yield row / this.rows;
    }
  }

  /** G by least squares from the points, a row of it at a time where errors have weights; what they do not say stays. */
  improveBasis(): void {
    const d = this.#shape.dimension;
    // One system for all rows of G, or one each.
    const systems = this.#compressor ? d : 1;
    const grams = Array.from({ length: systems }, () => new Float64Array(d * d));
    const products = new Float64Array(d * d);
    const weighted = new Float64Array(d);
    for (let row = 0; row < this.rows; row++) {
      const weight = this.scale(row) * this.scale(row);
      for (let i = 0; i < this.vectors.perRow; i++) {
        if (!this.#target(row, i)) continue;
        const at = this.place(row, i);
        const z = this.#points.subarray(at, at + d);
        for (let k = 0; k < d; k++) weighted[k] = (this.#v[k] as number) * (this.#weights[k] as number);
        addOuter(products, weighted, z, weight);
        for (let k = 0; k < systems; k++) addLower(grams[k] as Float64Array, z, weight * (this.#weights[k] as number));
      }
    }
    const next = Float32Array.from(this.basis);
    for (const [k, gram] of grams.entries()) {
      let trace = 0;
      for (let j = 0; j < d; j++) trace += gram[j * d + j] as number;
      const ridge = (RIDGE * trace) / d;
      if (!(ridge > 0)) return;
      for (let j = 0; j < d; j++) gram[j * d + j] = (gram[j * d + j] as number) + ridge;
      const factor = factorSpd(gram, d, ridge / 2);
      for (let row = k; row < (systems === 1 ? d : k + 1); row++) {
        const line = products.subarray(row * d, (row + 1) * d);
        for (let j = 0; j < d; j++) line[j] = (line[j] as number) + ridge * (this.basis[row * d + j] as number);
        solveSpd(factor, d, line);
        // A row of a column that is all but zero stays as it is, or the matrix would become singular.
        if (norm(line) > SMALLEST_ROW * norm(this.basis.subarray(row * d, (row + 1) * d))) next.set(line, row * d);
      }
    }
    if (isSound(next, d)) this.basis.set(next);
  }

  /** Adds Σ v·Gz and Σ (Gz)² of each row. */
  addProducts(products: Float64Array, squares: Float64Array): void {
    const d = this.#shape.dimension;
    const { basis } = this;
    for (let row = 0; row < this.rows; row++) {
      for (let i = 0; i < this.vectors.perRow; i++) {
        if (!this.read(row, i, this.#v)) continue;
        const at = this.place(row, i);
        const count = this.count(i);
        for (let k = 0; k < count; k++) {
          let sum = 0;
          for (let j = 0; j < d; j++) sum += (basis[k * d + j] as number) * (this.#points[at + j] as number);
          products[row] = (products[row] as number) + sum * (this.#v[k] as number);
          squares[row] = (squares[row] as number) + sum * sum;
        }
      }
    }
  }
}

function isSound(basis: Float32Array, d: number): boolean {
  try {
    checkBasis("", basis, d);
    return true;
  } catch {
    return false;
  }
}

/** matrix += weight · a bᵀ */
function addOuter(matrix: Float64Array, a: Float64Array, b: Float64Array, weight: number): void {
  const d = a.length;
  for (let i = 0, at = 0; i < d; i++) {
    const by = weight * (a[i] as number);
    for (let j = 0; j < d; j++, at++) matrix[at] = (matrix[at] as number) + by * (b[j] as number);
  }
}

/** The lower triangle of matrix += weight · z zᵀ */
function addLower(matrix: Float64Array, z: Float64Array, weight: number): void {
  const d = z.length;
  for (let i = 0; i < d; i++) {
    const by = weight * (z[i] as number);
    for (let j = 0, at = i * d; j <= i; j++, at++) matrix[at] = (matrix[at] as number) + by * (z[j] as number);
  }
}
