// The Walsh-Hadamard transform and dense products by their definitions, in float64, and the transform as it is rounded.

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

/**
 * The same with every operation rounded to float32 in the order of assembly/transform/README.md: butterflies of neighbours
 * first, then H_k by fours of rows.
 */
export function hadamardRounded(x: Float32Array, h: ArrayLike<number>, size: number, inverse = false): Float32Array {
  const k = Math.sqrt(h.length);
  const n = k * size;
  const factor = Math.fround(1 / Math.sqrt(n));
  const y = x.map((value) => value * factor);
  for (let distance = 1; distance < size; distance *= 2) {
    for (let i = 0; i < y.length; i++) {
      if (((i % n) % size) & distance) continue;
      const [a, b] = [y[i] as number, y[i + distance] as number];
      y[i] = a + b;
      y[i + distance] = a - b;
    }
  }
  if (k === 1) return y;
  return y.map((_, at) => {
    const [run, row, col] = [at - (at % n), Math.floor((at % n) / size), at % size];
    const term = (j: number): number => {
      const sign = h[inverse ? j * k + row : row * k + j] as number;
      return sign * (y[run + j * size + col] as number);
    };
    let sum = 0;
    if (size < 4) {
      for (let j = 0; j < k; j++) sum = Math.fround(sum + term(j));
    } else {
      for (let j = 0; j < k; j += 4) {
        const [low, high] = [Math.fround(term(j) + term(j + 1)), Math.fround(term(j + 2) + term(j + 3))];
        sum = Math.fround(sum + Math.fround(low + high));
      }
    }
    return sum;
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
