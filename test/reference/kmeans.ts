/** Σ weight · (value - nearest entry)^2. */
export function tableError(values: ArrayLike<number>, weights: ArrayLike<number>, table: ArrayLike<number>): number {
  let error = 0;
  for (let i = 0; i < values.length; i++) {
    let least = Infinity;
    for (let k = 0; k < table.length; k++)
      least = Math.min(least, Math.abs((values[i] as number) - (table[k] as number)));
    error += (weights[i] as number) * least * least;
  }
  return error;
}

/** Σ weight · (value - weighted mean)^2. */
function spread(values: readonly number[], weights: readonly number[]): number {
  const weight = weights.reduce((a, b) => a + b, 0);
  if (weight === 0) return 0;
  const mean = values.reduce((sum, value, i) => sum + (weights[i] as number) * value, 0) / weight;
  return values.reduce((sum, value, i) => sum + (weights[i] as number) * (value - mean) ** 2, 0);
}

/** The least error of `count` clusters, over all assignments of values to clusters whatever: count^length of them. */
export function leastErrorOfAll(values: readonly number[], weights: readonly number[], count: number): number {
  let least = Infinity;
  for (let assignment = 0; assignment < count ** values.length; assignment++) {
    const cluster = values.map((_, i) => Math.floor(assignment / count ** i) % count);
    let error = 0;
    for (let k = 0; k < count; k++) {
      error += spread(
        values.filter((_, i) => cluster[i] === k),
        weights.filter((_, i) => cluster[i] === k),
      );
    }
    least = Math.min(least, error);
  }
  return least;
}

/** The same for clusters that are intervals of the sorted values, as optimal ones are: quadratic in their number. */
export function leastError(values: ArrayLike<number>, weights: ArrayLike<number>, count: number): number {
  const order = Array.from(values, (_, i) => i).sort((a, b) => (values[a] as number) - (values[b] as number));
  const length = order.length;
  let least = Array.from({ length: length + 1 }, (_, i) => (i === 0 ? 0 : Infinity));
  for (let k = 0; k < count; k++) {
    const next = least.slice();
    for (let end = length; end > 0; end--) {
      // Grows the last cluster downwards, its mean and spread updated value by value (Welford 1962).
      let weight = 0;
      let mean = 0;
      let error = 0;
      for (let start = end - 1; start >= 0; start--) {
        const added = weights[order[start] as number] as number;
        if (added > 0) {
          const distance = (values[order[start] as number] as number) - mean;
          weight += added;
          mean += (distance * added) / weight;
          error += added * distance * ((values[order[start] as number] as number) - mean);
        }
        next[end] = Math.min(next[end] as number, (least[start] as number) + error);
      }
    }
    least = next;
  }
  return least[length] as number;
}
