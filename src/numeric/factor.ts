// The block LDL factor of a Hessian: H = L D Lᵀ, L unit lower triangular by blocks.
import { rangeError } from "../lib/check.ts";
import type { Steps } from "../lib/progress.ts";

/** What gptq needs of H = L D Lᵀ, both in one matrix [n, n]. */
export interface Factor {
  /**
   * Above the diagonal blocks Lᵀ: entry [c][j] is L[j][c], so that what column c feeds back is a product of two rows. In
   * and below the diagonal blocks the Cholesky factor C, of which D = C Cᵀ of each diagonal block.
   */
  readonly values: Float64Array;
  readonly n: number;
  readonly blockSize: number;
}

/** A pivot below this part of its diagonal entry: float32 sums leave no more than this of a dependent column. */
const SMALLEST_PIVOT = 1e-10;
/** Products between two yields: a few milliseconds. */
const STEP_PRODUCTS = 1 << 21;

/** Products that `factorHessian` takes. */
export const factorWork = (n: number): number => (n * n * n) / 6;

/**
 * Factors a symmetric positive definite matrix in place, in float64: Cholesky row by row, then each block column times
 * the inverse of its diagonal block.
 *
 * @param h [n, n], of which the lower triangle is read; becomes `values`
 * @param nameOf what messages call column i
 * @throws RangeError for a matrix that is not positive definite, or so nearly that the factor would be noise
 */
export function* factorHessian(
  where: string,
  h: Float64Array,
  n: number,
  blockSize: number,
  nameOf: (i: number) => number,
): Steps<Factor> {
  const total = factorWork(n);
  let done = 0;
  let last = 0;
  for (let i = 0; i < n; i++) {
    const row = h.subarray(i * n, (i + 1) * n);
    const diagonal = row[i] as number;
    for (let j = 0; j < i; j++) {
      const other = h.subarray(j * n, (j + 1) * n);
      row[j] = ((row[j] as number) - dot(row, other, j)) / (other[j] as number);
      done += j;
      if (done - last > STEP_PRODUCTS) {
        last = done;
        yield done / total;
      }
    }
    const pivot = diagonal - dot(row, row, i);
    if (!(pivot > SMALLEST_PIVOT * diagonal)) {
      throw rangeError(
        where,
        "a positive definite Hessian that is not close to singular (damping makes it so)",
        `a pivot of ${pivot} for ${diagonal} at column ${nameOf(i)}`,
      );
    }
    row[i] = Math.sqrt(pivot);
  }
  for (let first = 0; first < n; first += blockSize) {
    const end = first + blockSize;
    for (let j = end; j < n; j++) {
      // Row j of L: x C = c, C the diagonal block, from its last column to its first.
      for (let c = end - 1; c >= first; c--) {
        let value = h[j * n + c] as number;
        for (let s = c + 1; s < end; s++) value -= (h[s * n + j] as number) * (h[s * n + c] as number);
        h[c * n + j] = value / (h[c * n + c] as number);
      }
    }
  }
  return { values: h, n, blockSize };
}

// In four sums, which a processor can add to at the same time.
function dot(a: Float64Array, b: Float64Array, count: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 3 < count; i += 4) {
    s0 += (a[i] as number) * (b[i] as number);
    s1 += (a[i + 1] as number) * (b[i + 1] as number);
    s2 += (a[i + 2] as number) * (b[i + 2] as number);
    s3 += (a[i + 3] as number) * (b[i + 3] as number);
  }
  for (; i < count; i++) s0 += (a[i] as number) * (b[i] as number);
  return s0 + s1 + (s2 + s3);
}
