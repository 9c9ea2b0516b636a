// Nearest points by trying all near ones, and rounding with feedback as GPTQ describes it, by the inverse Hessian.

/** Every tuple of n integers whose i-th is from floor(x_i) - 1 to floor(x_i) + 2. */
function* around(x: readonly number[]): Generator<number[]> {
  const point = x.map((value) => Math.floor(value) - 1);
  for (;;) {
    yield point;
    let i = 0;
    for (; i < x.length; i++) {
      point[i] = (point[i] as number) + 1;
      if ((point[i] as number) <= Math.floor(x[i] as number) + 2) break;
      point[i] = Math.floor(x[i] as number) - 1;
    }
    if (i === x.length) return;
  }
}

export function squaredDistance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += ((a[i] as number) - (b[i] as number)) ** 2;
  return sum;
}

/** The squared distance of x to the integers with an even sum, all of them moved by `shift`. */
export function distanceToD(x: ArrayLike<number>, shift = 0): number {
  const moved = Array.from(x, (value) => value - shift);
  let least = Number.POSITIVE_INFINITY;
  for (const point of around(moved)) {
    if (point.reduce((sum, value) => sum + value, 0) % 2 === 0) least = Math.min(least, squaredDistance(moved, point));
  }
  return least;
}

/** The squared distance of x to E8: integers with an even sum, and the same with ½ added to each. */
export function distanceToE8(x: ArrayLike<number>): number {
  return Math.min(distanceToD(x), distanceToD(x, 0.5));
}

/** Gauss-Jordan without pivoting, for positive definite matrices. */
export function inverse(matrix: readonly (readonly number[])[]): number[][] {
  const n = matrix.length;
  const rows = matrix.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1 : 0))]);
  for (let k = 0; k < n; k++) {
    const pivot = rows[k] as number[];
    const head = pivot[k] as number;
    for (let j = 0; j < 2 * n; j++) pivot[j] = (pivot[j] as number) / head;
    for (const [i, row] of rows.entries()) {
      const factor = row[k] as number;
      if (i !== k) for (let j = 0; j < 2 * n; j++) row[j] = (row[j] as number) - factor * (pivot[j] as number);
    }
  }
  return rows.map((row) => row.slice(n));
}

/**
 * One row of weights, blocks of columns in the given order (GPTQ, Frantar et al. 2023, equations 2 and 3, for blocks):
 * after a block is rounded, with error e, the columns left move by -e (H⁻¹_bb)⁻¹ H⁻¹_br, H the Hessian of block and rest.
 */
export function roundWithFeedback(
  weights: readonly number[],
  hessian: readonly (readonly number[])[],
  blocks: readonly (readonly number[])[],
  encode: (values: number[], columns: readonly number[]) => number[],
): number[] {
  const w = [...weights];
  const result = [...weights];
  for (const [i, block] of blocks.entries()) {
    const left = blocks.slice(i).flat();
    const h = inverse(left.map((row) => left.map((col) => hessian[row]?.[col] as number)));
    const values = block.map((col) => w[col] as number);
    const rounded = encode(values, block);
    for (const [c, col] of block.entries()) result[col] = rounded[c] as number;
    const size = block.length;
    const own = inverse(h.slice(0, size).map((row) => row.slice(0, size)));
    const error = values.map((value, c) => value - (rounded[c] as number));
    const share = own.map((_, c) => error.reduce((sum, e, k) => sum + e * (own[k]?.[c] as number), 0));
    for (let j = size; j < left.length; j++) {
      const col = left[j] as number;
      for (let c = 0; c < size; c++) w[col] = (w[col] as number) - (share[c] as number) * (h[c]?.[j] as number);
    }
  }
  return result;
}

/** d H dᵀ of one row. */
export function quadraticError(d: readonly number[], hessian: readonly (readonly number[])[]): number {
  return d.reduce((sum, a, i) => sum + d.reduce((part, b, j) => part + a * b * (hessian[i]?.[j] as number), 0), 0);
}
