// Small dense matrices in float64: bases of lattices and their normal equations.

/**
 * The Cholesky factor C of a symmetric matrix, A = C Cᵀ, lower triangular with zeros above; pivots are at least `least`.
 * @param a [n, n], of which the lower triangle is read
 */
export function factorSpd(a: Float64Array, n: number, least: number): Float64Array {
  const c = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i * n + j] as number;
      for (let k = 0; k < j; k++) sum -= (c[i * n + k] as number) * (c[j * n + k] as number);
      c[i * n + j] = i === j ? Math.sqrt(Math.max(sum, least)) : sum / (c[j * n + j] as number);
    }
  }
  return c;
}

/** x of C Cᵀ x = b, in place of b [n]. */
export function solveSpd(c: Float64Array, n: number, b: Float64Array): void {
  for (let i = 0; i < n; i++) {
    let sum = b[i] as number;
    for (let k = 0; k < i; k++) sum -= (c[i * n + k] as number) * (b[k] as number);
    b[i] = sum / (c[i * n + i] as number);
  }
  for (let i = n - 1; i >= 0; i--) {
    let sum = b[i] as number;
    for (let k = i + 1; k < n; k++) sum -= (c[k * n + i] as number) * (b[k] as number);
    b[i] = sum / (c[i * n + i] as number);
  }
}
