/** The distance of a value to the nearest alpha1 · t1 + alpha2 · t2 of all 9. */
export function nearestTritDistance(value: number, alpha1: number, alpha2: number): number {
  let least = Infinity;
  for (const t1 of [-1, 0, 1]) {
    for (const t2 of [-1, 0, 1]) least = Math.min(least, Math.abs(value - (alpha1 * t1 + alpha2 * t2)));
  }
  return least;
}

/** The largest singular value, from many steps of the power method on W^T W. */
export function largestSingularValue(w: ArrayLike<number>, rows: number, cols: number): number {
  let v = Array.from({ length: cols }, () => 1 / Math.sqrt(cols));
  let value = 0;
  for (let step = 0; step < 500; step++) {
    const u = Array.from({ length: rows }, (_, r) => v.reduce((sum, x, c) => sum + x * (w[r * cols + c] as number), 0));
    const next = v.map((_, c) => u.reduce((sum, x, r) => sum + x * (w[r * cols + c] as number), 0));
    const norm = Math.sqrt(next.reduce((sum, x) => sum + x * x, 0));
    if (norm === 0) return 0;
    value = Math.sqrt(norm);
    v = next.map((x) => x / norm);
  }
  return value;
}
