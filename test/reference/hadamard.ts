// The Walsh-Hadamard transform and dense products by their definitions, in float64.

/** Entry of Sylvester's matrix: -1 to the number of bits that row and column share. */
export function sylvester(row: number, col: number): number {
  let shared = row & col;
  let sign = 1;
  for (; shared > 0; shared >>= 1) if (shared & 1) sign = -sign;
  return sign;
}

/**
 * (H_k ⊗ H_size) x / √n for each run of k · size numbers, or the transpose.
 * @param h [k, k] of 1 and -1
 */
export function hadamardExact(x: ArrayLike<number>, h: ArrayLike<number>, size: number, inverse = false): Float64Array {
  const k = Math.sqrt(h.length);
  const n = k * size;
  return Float64Array.from({ length: x.length }, (_, at) => {
    const [run, i] = [at - (at % n), at % n];
    let sum = 0;
    for (let j = 0; j < n; j++) {
      const [row, col] = [Math.floor(i / size), Math.floor(j / size)];
      const outer = h[inverse ? col * k + row : row * k + col] as number;
      sum += outer * sylvester(i % size, j % size) * (x[run + j] as number);
    }
    return sum / Math.sqrt(n);
  });
}

/** (left ⊗ right) x: the entry of rows (i, j) and columns (a, b) is left[i][a] · right[j][b]. */
export function kroneckerExact(
  x: ArrayLike<number>,
  left: ArrayLike<number>,
  right: ArrayLike<number>,
  t1: number,
  t2: number,
): Float64Array {
  const [m1, m2] = [left.length / t1, right.length / t2];
  return Float64Array.from({ length: m1 * m2 }, (_, at) => {
    const [i, j] = [Math.floor(at / m2), at % m2];
    let sum = 0;
    for (let a = 0; a < t1; a++) {
      for (let b = 0; b < t2; b++) {
        sum += (left[i * t1 + a] as number) * (right[j * t2 + b] as number) * (x[a * t2 + b] as number);
      }
    }
    return sum;
  });
}
