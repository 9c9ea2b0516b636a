// Rounding to the nearest of a few levels. Every float32 difference, product and sum here is taken in float64, where
// neither the largest float32 nor the smallest can leave the range: 2^24 weights · (2^129)^2 < 2^1023.

/** The largest level is kept below this; 2^-20 is more than float32 roundings of 8 alphas and an offset add up to. */
export const MAX_LEVEL = 3.4028234663852886e38 * (1 - 2 ** -20);

/** thresholds[k] = where level k ends and level k + 1 begins; a weight on it belongs to level k. */
export function setThresholds(thresholds: Float64Array, levels: ArrayLike<number>, count: number): void {
  for (let k = 0; k + 1 < count; k++) {
    thresholds[k] = ((levels[k] as number) + (levels[k + 1] as number)) / 2;
  }
}

/**
 * Gives each of the sorted values to its level: counts[k] of them with sum sums[k].
 *
 * A merge instead of a search for each value: no branch is hard to predict, and since what belongs to a level is added
 * up by itself, an outlier costs the sums of the other levels no digits, as it would with differences of prefix sums.
 *
 * @param values ascending
 * @param levels ascending; of equal levels the first takes the values up to it, the last those above
 * @returns Σ (value - level)^2
 */
export function shareOut(
  values: Float32Array,
  levels: Float64Array,
  thresholds: Float64Array,
  count: number,
  counts: Float64Array,
  sums: Float64Array,
): number {
  const length = values.length;
  let error = 0;
  for (let k = 0, i = 0; k < count; k++) {
    const level = levels[k] as number;
    const end = k + 1 < count ? (thresholds[k] as number) : Infinity;
    const first = i;
    let sum = 0;
    for (; i < length; i++) {
      const value = values[i] as number;
      if (value > end) break;
      sum += value;
      error += (value - level) * (value - level);
    }
    counts[k] = i - first;
    sums[k] = sum;
  }
  return error;
}

/** The index of the level of a value: how many thresholds lie below it. */
export function levelOf(value: number, thresholds: Float64Array, count: number): number {
  let low = 0;
  for (let high = count - 1; low < high; ) {
    const middle = (low + high) >> 1;
    if (value > (thresholds[middle] as number)) low = middle + 1;
    else high = middle;
  }
  return low;
}
